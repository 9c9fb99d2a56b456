"""Runs a program that the host named: the very bytes that were hashed, with words that the host chose, and no shell.

The program's file is copied into sealed memory while it is hashed, and that copy is what runs, so nobody can change it
in between. The step's process is in the program's own sandbox by then, and the program inherits it.
"""

import contextlib
import fcntl
import hashlib
import os
import selectors
import signal
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentd.datastores.port.failures import StepFailure
from agentd.executors.context import ProgramEnded
from agentd.isolation.landlock import RUN, WRITE, Opening
from agentd.policy.beneath import is_beneath
from agentd.policy.host_policy import Policy
from agentd.policy.programs import BadValue, ProgramRule
from agentd.policy.refusals import PolicyRefused
from agentd.processes.identity import boottime
from agentd.runner.child import ChildSide
from agentd.runner.stopping import end_descendants

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_BLOCK_BYTES = 1 << 20
_PROGRAM_BYTES_MAX = 1 << 30
# Linux 6.3 and newer want to be told that memory is meant to be run.
_MFD_EXEC = 0x10
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
_LOOK_EVERY_S = 0.5
_STOP_GRACE_S = 5.0
_LAST_WORDS_MAX = 300


def rule_for(policy: Policy, name: str, undo: bool) -> ProgramRule | None:
    """The program to run for a name; None where the host says that there is nothing to undo. Raises PolicyRefused."""
    rule = policy.program(name)
    if undo:
        return policy.program(rule.undo) if rule.undo else None
    return rule


def words_for(policy: Policy, rule: ProgramRule, values: Mapping[str, str]) -> list[str]:
    """Words after the program's name. Raises PolicyRefused for values that the host does not allow."""
    try:
        return rule.command(values, lambda path: str(policy.check_path(path)))
    except BadValue as error:
        hint = f"{policy.owner} can change [programs.{rule.name}.values] in {policy.path}"
        raise PolicyRefused(str(error), hint) from error


def openings_for(policy: Policy, rule: ProgramRule, values: Mapping[str, str]) -> list[Opening]:
    """Openings in the sandbox for a program: the system's, its own, and the paths that it is given."""
    found = [Opening(Path(path), RUN) for path in ("/usr", "/bin", "/sbin", "/lib", "/lib64", *rule.reads)]
    found += [Opening(Path(path), WRITE | RUN) for path in rule.writes]
    for name, kind in rule.values.items():
        if kind.type == "path" and name in values:
            path = policy.check_path(values[name])
            # What does not exist yet is made in its directory.
            place = path if path.exists() or not is_beneath(path.parent, policy.roots) else path.parent
            found.append(Opening(place, WRITE, policy.roots))
    return found


class ProgramRunner:
    """Runs programs for one attempt."""

    def __init__(self, side: ChildSide, policy: Policy) -> None:
        self._side = side
        self._policy = policy

    def run(self, name: str, values: Mapping[str, str], undo: bool) -> ProgramEnded | None:
        """Run it to its end; None where there is nothing to undo. Raises StepFailure, PolicyRefused, StopAsked."""
        rule = rule_for(self._policy, name, undo)
        if rule is None:
            return None
        words = words_for(self._policy, rule, values)
        copy = self._side.outside(lambda: sealed_copy(rule))
        # A secret in the environment could be read off the process list; in memory only the program finds it.
        secrets = {variable: _in_memory(self._side.resolve_secret(ref)) for variable, ref in rule.secrets.items()}
        try:
            return self._watched(rule, words, copy, secrets)
        finally:
            for descriptor in (copy, *secrets.values()):
                os.close(descriptor)

    def _environment(self, rule: ProgramRule, secrets: Mapping[str, int]) -> dict[str, str]:
        work = self._side.files.path / "work"
        work.mkdir(mode=0o700, exist_ok=True)
        found = {"PATH": _PATH, "HOME": str(work), "TMPDIR": os.environ["TMPDIR"], "LANG": "C.UTF-8"}
        places = {variable: f"/proc/self/fd/{descriptor}" for variable, descriptor in secrets.items()}
        return {**found, **rule.environment, **places}

    def _watched(self, rule: ProgramRule, words: list[str], copy: int, secrets: Mapping[str, int]) -> ProgramEnded:
        try:
            process = subprocess.Popen(
                [rule.path, *words],
                executable=f"/proc/self/fd/{copy}",
                pass_fds=[copy, *secrets.values()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self._side.files.path / "work",
                env=self._environment(rule, secrets),
            )
        except OSError as error:
            raise StepFailure(
                "program_failed", f"program {rule.name!r} cannot be run: {error.strerror}", "See its file on the host."
            ) from error
        output = _Output(rule.output_bytes_max)
        try:
            self._follow(rule, process, output)
        except BaseException:
            # An interrupt too leaves no program running that nobody waits for.
            _stop(process)
            raise
        finally:
            end_descendants()
        if process.returncode != 0:
            # Who asks an attempt to stop asks its whole group.
            self._side.check_cancelled()
            how = f"exit code {process.returncode}" if process.returncode > 0 else _signal_name(-process.returncode)
            words_left = f": {output.last_words}" if output.last_words else ""
            hint = "see its output by `haulier logs`, and mend the cause on the host"
            raise StepFailure(
                "program_failed", f"program {rule.name!r} ended with {how}{words_left}", hint, retryable=True
            )
        return ProgramEnded(bytes(output.kept).decode("utf-8", "replace"), output.is_cut)

    def _follow(self, rule: ProgramRule, process: "subprocess.Popen[bytes]", output: "_Output") -> None:
        end_at = boottime() + rule.timeout_s
        with selectors.DefaultSelector() as selector:
            for stream, is_result in ((process.stdout, True), (process.stderr, False)):
                assert stream is not None
                selector.register(stream, selectors.EVENT_READ, is_result)
            while selector.get_map() or process.poll() is None:
                for key, _ in selector.select(_LOOK_EVERY_S):
                    data = os.read(key.fd, 65536)
                    if data:
                        output.take(data, is_result=key.data)
                    else:
                        selector.unregister(key.fileobj)
                if process.poll() is not None and not selector.select(0):
                    # Something that it started may hold the pipes open; that is ended too.
                    break
                self._side.progress(output.bytes_seen, stage="running")
                self._require_time(rule, end_at)
        process.wait()

    def _require_time(self, rule: ProgramRule, end_at: float) -> None:
        if boottime() > end_at:
            raise StepFailure(
                "time_limit",
                f"program {rule.name!r} ran longer than the {rule.timeout_s:g} s that this host allows it",
                f"{self._policy.owner} can raise timeout_s of [programs.{rule.name}] in {self._policy.path}",
            )
        told = self._side.files.read_deadlines()
        if told is not None and boottime() >= told.destroy_at:
            raise StepFailure(
                "lease_expired",
                f"program {rule.name!r} was ended: the lease was not renewed, and nothing else keeps a second one out",
                "nothing to mend: the step is tried again under a new lease",
                retryable=True,
            )


class _Output:
    """What a program prints: the beginning of its standard output is kept, all of it goes to the attempt's output."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self.kept = bytearray()
        self.is_cut = False
        self.bytes_seen = 0
        self.last_words = ""

    def take(self, data: bytes, is_result: bool) -> None:
        self.bytes_seen += len(data)
        text = data.decode("utf-8", "backslashreplace")
        (sys.stdout if is_result else sys.stderr).write(text)
        if not is_result:
            said = text.strip().splitlines()
            self.last_words = said[-1][-_LAST_WORDS_MAX:] if said else self.last_words
            return
        room = self._bytes_max - len(self.kept)
        self.kept += data[:room]
        self.is_cut = self.is_cut or len(data) > room


def sealed_copy(rule: ProgramRule) -> int:
    """A copy, which nobody can change, of a file with the digest that the host gave. Raises StepFailure."""
    try:
        source = os.open(rule.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise _changed(rule, f"cannot be opened: {error.strerror}") from error
    copy = _memory(rule.name)
    try:
        found = os.fstat(source)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _PROGRAM_BYTES_MAX:
            raise _changed(rule, "is not an ordinary file of at most 1 GiB")
        digest = hashlib.sha256()
        while block := os.read(source, _BLOCK_BYTES):
            digest.update(block)
            with memoryview(block) as left:
                done = 0
                while done < len(block):
                    done += os.write(copy, left[done:])
        if digest.hexdigest() != rule.sha256:
            raise _changed(rule, f"has the digest {digest.hexdigest()}")
        fcntl.fcntl(copy, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        # Nobody has the copy yet who could close it.
        os.close(copy)
        raise
    finally:
        os.close(source)
    return copy


def _memory(name: str) -> int:
    with contextlib.suppress(OSError):
        return os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING | _MFD_EXEC)
    return os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def _in_memory(secret: str) -> int:
    """A descriptor of a file that holds a secret and has no name anywhere."""
    descriptor = os.memfd_create("secret", os.MFD_CLOEXEC)
    os.fchmod(descriptor, 0o400)
    os.write(descriptor, secret.encode())
    return descriptor


def _changed(rule: ProgramRule, what: str) -> StepFailure:
    return StepFailure(
        "policy_refused",
        f"program {rule.name!r} is not what this host's policy says: {rule.path} {what}",
        f"if it was changed on purpose, the owner of this host gives its sha256 under [programs.{rule.name}]",
    )


def _stop(process: "subprocess.Popen[Any]") -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        process.wait(_STOP_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
