"""What is kept of a failed upgrade, before anything is done about it: enough to see why, bounded, without secrets."""

import contextlib
import json
import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agentd.core.release_state import UpdaterState
from agentd.disk import durable
from agentd.policy import reading
from agentd.policy.places import matches
from agentd.policy.refusals import PolicyBroken
from agentd.updater import exchange
from agentd.updater.evidence import Answer
from agentd.updater.memory import Memory
from agentd.updater.programs import Programs
from agentd.updater.settings import UpdaterSettings

DIRECTORY = "black-boxes"
BYTES_MAX = 192 * 1024
_LOG_BYTES_MAX = 64 * 1024
_LOG_LINES_MAX = 400
_WAIT_S = 20.0
_SECRET_BYTES_MAX = 8 * 1024
_MASK = "••••"
# What secrets look like where nobody says that they are some.
_PATTERNS = (
    re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(-----END|\Z)", re.DOTALL),
    re.compile(r"(\w+://[^\s:/@]*:)[^\s@]+(@)"),
    re.compile(
        r"(?i)((?:password|passwd|passphrase|secret|token|api_?key|authorization)\w*[\"']?\s*[:=]\s*[\"']?)[^\s\"',;]+()"
    ),
    re.compile(r"()\bhaulier-(?:join|operator)[.-][\w.=:-]{8,}()"),
)


class BlackBoxes:
    """Black boxes of one host."""

    def __init__(self, settings: UpdaterSettings, memory: Memory, programs: Programs) -> None:
        self._settings = settings
        self._memory = memory
        self._programs = programs

    def keep(self, state: UpdaterState, answer: Answer) -> None:
        """Write down everything about the upgrade that is about to be taken back, and leave a copy for the agent.

        What cannot be found out is left out: nothing here may keep a host from going back."""
        assert state.last is not None
        path = self._settings.state / DIRECTORY / f"{state.last.digest[:16]}.json"
        try:
            if path.exists() and _request_of(path) == state.last.request_id:
                # A pass that was killed later on wrote it already, when there was more to see.
                text = path.read_text(encoding="utf-8")
            else:
                text = json.dumps(self._contents(state, answer), indent=1, sort_keys=True, ensure_ascii=False)
                path.parent.mkdir(mode=0o700, exist_ok=True)
                durable.replace(path, text.encode("utf-8"))
                self._make_room()
            exchange.write_text(self._settings.agent_state, exchange.BLACK_BOX, text)
        except OSError:
            return

    def _make_room(self) -> None:
        boxes = sorted((self._settings.state / DIRECTORY).glob("*.json"), key=lambda each: each.stat().st_mtime)
        for each in boxes[: max(0, len(boxes) - self._settings.black_boxes_max)]:
            each.unlink()

    def _contents(self, state: UpdaterState, answer: Answer) -> dict[str, Any]:
        assert state.last is not None
        # The policy of the release that failed may be what was broken: then the one before has named them.
        known = [state.last.digest, *([state.current.digest] if state.current else [])]
        mask = Mask(self._secrets(answer.pid, known))
        return {
            "format": 1,
            "request_id": state.last.request_id,
            "rollout_id": state.last.rollout_id,
            "digest": state.last.digest,
            "version": state.wanted.release.version if state.wanted else "",
            "back_to": state.current.version if state.current else "",
            "cause_code": state.last.code,
            "cause": mask(state.last.message),
            "probation": mask.all(asdict(state.probation)) if state.probation else {},
            "timeline": self._memory.timeline(),
            "held_attempts": mask.all(list(answer.held))[:64],
            "figures": self._figures(answer),
            "log": mask(self._log())[-_LOG_BYTES_MAX:].splitlines(),
        }

    def _figures(self, answer: Answer) -> dict[str, Any]:
        figures: dict[str, Any] = {
            "at": time.time(),
            "load": list(os.getloadavg()),
            "agent_pid": answer.pid,
            "agent_rss_bytes": answer.rss_bytes,
            "incarnation": answer.incarnation,
            "kernel": platform.release(),
            "machine": platform.machine(),
        }
        for name, path in (("home", self._settings.home), ("agent_state", self._settings.agent_state)):
            with contextlib.suppress(OSError):
                figures[f"{name}_free_bytes"] = shutil.disk_usage(path).free
        return figures

    def _log(self) -> str:
        """The end of the agent's log, wherever this host keeps it."""
        if self._settings.program:
            command = [self._settings.program, "log"]
        else:
            command = ["journalctl", "-u", self._settings.service, "-n", str(_LOG_LINES_MAX), "-o", "short-iso"]
            command.append("--no-pager")
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_WAIT_S, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stdout[-2 * _LOG_BYTES_MAX :].decode("utf-8", "replace")

    def _secrets(self, pid: int, releases: Iterable[str]) -> list[str]:
        """Values of the secrets that the policy names, the host's or one of these releases', as far as they can be
        seen from here."""
        try:
            told = self._settings.agent_config.read_text(encoding="utf-8")
            name = re.search(r'^policy\s*=\s*"(.+)"', told, re.MULTILINE)
            policy = self._settings.agent_config.parent / (name[1] if name else "policy.toml")
        except OSError:
            return []
        references: set[str] = set()
        for release in releases:
            with contextlib.suppress(PolicyBroken):
                references |= set(reading.load(policy, self._settings.tree(release)).secret_references)
        return [*_of_files(references), *_of_environment(pid, tuple(references))]


def _request_of(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["request_id"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _of_files(references: Iterable[str]) -> list[str]:
    found = []
    for each in references:
        if not each.startswith("file:/"):
            continue
        with contextlib.suppress(OSError, ValueError):
            for path in Path("/").glob(each.removeprefix("file:/")):
                if path.is_file() and path.stat().st_size <= _SECRET_BYTES_MAX:
                    found.append(path.read_text(encoding="utf-8", errors="replace").strip())
    return found


def _of_environment(pid: int, references: tuple[str, ...]) -> list[str]:
    found = []
    with contextlib.suppress(OSError):
        for each in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if pid else ():
            name, _, value = each.decode("utf-8", "replace").partition("=")
            if matches(f"env:{name}", references):
                found.append(value)
    return found


class Mask:
    """Takes secrets out of text: those that are known, and what looks like one."""

    def __init__(self, secrets: Iterable[str]) -> None:
        # Longest first, so that one that contains another is masked whole; a very short one would mask everything.
        self._secrets = sorted({each for each in secrets if len(each) >= 4}, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, _MASK)
        for pattern in _PATTERNS:
            text = pattern.sub(rf"\g<1>{_MASK}\g<2>", text)
        return text

    def all(self, told: Any) -> Any:
        """The same for every text inside a value."""
        if isinstance(told, str):
            return self(told)
        if isinstance(told, dict):
            return {key: self.all(value) for key, value in told.items()}
        if isinstance(told, list | tuple):
            return [self.all(each) for each in told]
        return told
