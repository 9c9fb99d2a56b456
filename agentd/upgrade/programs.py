"""Runs the programs of one release for the updater: never as root, always with a bound, their output limited.

A release that may be bad must not be able to hold up or fill what judges it.
"""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentd.core.releases import SelfTest, Undecodable, self_test_from_text
from agentd.core.releasing import Contact
from agentd.upgrade.settings import Settings

AGENT = Path("bin") / "haulier-agentd"
_OUTPUT_BYTES_MAX = 256 * 1024
_JOURNAL_WAIT_S = 60.0
_CONTACT_WAIT_S = 30.0
_ENVIRONMENT_KEPT = ("PATH", "LANG", "LC_ALL", "TZ")


@dataclass(frozen=True, slots=True)
class Said:
    """How a program ended: its exit code, -1 where it did not end in time or could not be started, and its output."""

    code: int
    out: str
    err: str
    wall_s: float


class Programs:
    """The programs of the releases of this host."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def self_test(self, digest: str) -> SelfTest:
        """What the release's own test finds; a test that crashes or hangs has failed."""
        said = self._run(digest, ["selftest", *self._where(), "-o", "json"], self._settings.self_test_max_s)
        try:
            return self_test_from_text(said.out)
        except Undecodable:
            if said.code == -1 and said.wall_s >= self._settings.self_test_max_s:
                detail = f"it did not end within {self._settings.self_test_max_s:g} s"
            else:
                detail = f"it ended with {said.code} and no report: {_last_line(said.err)}"
            return SelfTest(False, ("process",), detail=detail, wall_s=said.wall_s)

    def contact(self, digest: str) -> Contact:
        """How the control plane answers this release, beside whatever session another one has."""
        arguments = ["selftest", *self._where(), "--only", "contact", "-o", "json"]
        said = self._run(digest, arguments, _CONTACT_WAIT_S)
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return Contact(json.loads(said.out)["contact"])
        return Contact.UNKNOWN

    def copy_journal(self, digest: str, to: str) -> Said:
        """Copy the journal as it is now, while the daemon runs, to a name beside the exchange."""
        return self._journal(digest, "copy", to)

    def try_journal(self, digest: str, copy: str) -> Said:
        """Whether this release can read a copy of the journal and write to it."""
        return self._journal(digest, "try", copy)

    def mend_journal(self, digest: str, copy: str, incarnation: int) -> Said:
        """Make sure that this release can use the journal: no daemon runs. Nothing happens where it can."""
        return self._journal(digest, "mend", copy, "--incarnation", str(incarnation))

    def _journal(self, digest: str, verb: str, copy: str, *more: str) -> Said:
        path = self._settings.agent_upgrade / copy
        state = ["--state", str(self._settings.agent_state)]
        return self._run(digest, ["journal", verb, *state, "--copy", str(path), *more], _JOURNAL_WAIT_S)

    def _where(self) -> list[str]:
        return ["--state", str(self._settings.agent_state), "--config", str(self._settings.agent_config)]

    def _run(self, digest: str, arguments: Sequence[str], wait_s: float) -> Said:
        command = [str(self._settings.tree(digest) / AGENT), *arguments]
        began_at = time.monotonic()
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            code = _ended(command, self._as_agent(), wait_s, out, err)
            return Said(code, _read(out), _read(err), time.monotonic() - began_at)

    def _as_agent(self) -> dict[str, Any]:
        """The owner of the agent's state runs them, where we may choose."""
        if os.geteuid() != 0:
            return {}
        try:
            owner = self._settings.agent_state.stat()
        except FileNotFoundError:
            return {}
        return {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if owner.st_uid else {}


def _ended(command: Sequence[str], who: dict[str, Any], wait_s: float, out: Any, err: Any) -> int:
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd="/",
            start_new_session=True,
            env={name: os.environ[name] for name in _ENVIRONMENT_KEPT if name in os.environ},
            **who,
        )
    except OSError as error:
        err.write(f"{command[0]}: {error.strerror}\n".encode())
        return -1
    try:
        code = process.wait(wait_s)
    except subprocess.TimeoutExpired:
        code = -1
    # Also what it may have left behind.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return code


def _read(file: Any) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _OUTPUT_BYTES_MAX))
    return bytes(file.read()).decode("utf-8", "replace")


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"
