"""The child's own side of an attempt: from the fork to the result.

The child belongs to nobody: it keeps its own deadlines and writes its own result, so that it outlives the
runner
host and the daemon. Its exit code says nothing.
"""

import contextlib
import os
import resource
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from agentd.core.grants import Failure, Grant, Outcome, OutcomeKind, Progress, ResourceUse
from agentd.isolation import cgroups, privileges, rlimits
from agentd.isolation.landlock import OutsideThread
from agentd.policy.limits import Limits
from agentd.processes.identity import boottime, identify
from agentd.runner.attempt_files import AttemptDirectory, Deadlines, Spec
from agentd.runner.secrets import Secrets
from agentd.runner.stopping import end_descendants

T = TypeVar("T")

# A child whose daemon never wrote a deadline (it died right after the fork) may work this long.
UNTOLD_S = 900.0
# A fresh lease permits nothing destructive until its first renewal, which is usually under way.
RENEWAL_WAIT_S = 20.0
_PROGRESS_EVERY_S = 0.1
_WATCH_EVERY_S = 1.0
# How long an executor may take to notice that it should stop before the child ends itself.
_OWN_GRACE_S = 10.0
# What a child keeps of the daemon's environment besides what the host's configuration lists.
ENVIRONMENT_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")


class StopRequested(Exception):
    """This attempt should stop: `reason` says who asked."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class DeadlinePassed(Exception):
    """The lease can no longer be relied on, so nothing unfenced or destructive may start."""


class ChildSide:
    """What an executor's context is made of. Methods may be called from the main thread only."""

    def __init__(self, files: AttemptDirectory, spec: Spec, secrets: Secrets) -> None:
        self.files = files
        self.spec = spec
        self.secrets = secrets
        self.started_at = boottime()
        self.stop_reason = ""
        self.limits = Limits()
        self.memory_limit_bytes = 0
        self.memory_is_in_cgroup = False
        # Begun now, so that it stays outside the sandbox that this thread is put into later.
        self._outside = OutsideThread()
        self._progress = Progress()
        self._written_at = 0.0

    @property
    def grant(self) -> Grant:
        """The grant under which this child runs."""
        return self.spec.grant

    def progress(self, watermark: int, total: int = 0, done_bytes: int = 0, stage: str = "") -> None:
        """Say how far the work is; cheap enough for every batch. Raises StopRequested like `check_cancelled`."""
        new = Progress(watermark, total, done_bytes, stage or self._progress.stage)
        due = boottime() >= self._written_at + _PROGRESS_EVERY_S
        if due or new.stage != self._progress.stage or new.watermark == new.total:
            self.files.write_progress(new)
            self._written_at = boottime()
        self._progress = new
        self.check_cancelled()

    def check_cancelled(self) -> None:
        """Raise StopRequested when this attempt should stop."""
        if self.stop_reason:
            raise StopRequested(self.stop_reason)

    def resolve_secret(self, ref: str) -> str:
        """The value behind a reference; raises SecretUnavailable."""
        return self.outside(lambda: self.secrets.resolve(ref))

    def outside(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises, run where the sandbox around this step does not reach."""
        return self._outside.run(work)

    def keep_limits(self, limits: Limits) -> None:
        """Keep to the host's limits from now on."""
        self.memory_limit_bytes = rlimits.keep(limits, self.memory_is_in_cgroup)
        self.limits = limits

    def exceeded(self) -> str:
        """The code of a limit of the host's that this attempt has exceeded, "" where it has not."""
        return rlimits.over(self.limits, self.started_at, _counted)

    def before_destructive(self) -> None:
        """Return only while the lease can be relied on; wait for a renewal that is under way.

        Raises DeadlinePassed when none comes, StopRequested when asked to stop meanwhile."""
        give_up_at = boottime() + RENEWAL_WAIT_S
        while True:
            self.check_cancelled()
            told = self.files.read_deadlines()
            if told is not None and boottime() < told.destroy_at:
                return
            if boottime() >= give_up_at:
                raise DeadlinePassed("the lease was not renewed in time")
            time.sleep(0.02)

    def reach(self, point: str) -> None:
        """Note a named point of the work. A fault-injection switch may stop the process here."""
        self.files.write_point(point)
        if self.grant.number == 1 and self.spec.settings.stop_at in (point, f"{self.grant.kind}:{point}"):
            os.kill(os.getpid(), signal.SIGSTOP)

    def flush_progress(self) -> None:
        """Write the last progress, however recent the one before it was."""
        if self._progress != Progress():
            self.files.write_progress(self._progress)

    def end_at(self) -> tuple[float, str]:
        """When this attempt ends by itself, and with which failure code."""
        told = self.files.read_deadlines() or Deadlines(0.0, self.started_at + UNTOLD_S)
        ends = [(told.end_at, "disconnected")]
        if self.grant.start_to_finish_s > 0:
            ends.append((self.started_at + self.grant.start_to_finish_s, "timed_out"))
        return min(ends)

    def succeeded(self, result: bytes) -> Outcome:
        """The outcome of an attempt whose executor returned `result`."""
        return self.outcome(OutcomeKind.SUCCEEDED, result)

    def failed(
        self,
        code: str,
        message: str,
        hint: str = "",
        *,
        retryable: bool = False,
        unreachable: bool = False,
        result: bytes = b"",
    ) -> Outcome:
        """The outcome of an attempt that cannot go on."""
        return self.outcome(OutcomeKind.FAILED, result, Failure(code, message, hint, retryable, unreachable))

    def fenced(self, message: str, hint: str = "") -> Outcome:
        """The outcome of an attempt that its destination refused."""
        return self.outcome(OutcomeKind.FENCED, failure=Failure("fenced", message, hint))

    def outcome(self, kind: OutcomeKind, result: bytes = b"", failure: Failure | None = None) -> Outcome:
        """An outcome of this attempt with what it used so far; every secret in it is masked."""
        if failure is not None:
            mask = self.secrets.mask
            failure = replace(failure, message=mask(failure.message), hint=mask(failure.hint))
        use = replace(
            self.outside(lambda: _use(boottime() - self.started_at)), memory_limit_bytes=self.memory_limit_bytes
        )
        return Outcome(self.grant.attempt_id, self.grant.fence, kind, result, failure, use)


Execute = Callable[[ChildSide], Outcome]


def run_child(path: Path, execute: Execute) -> NoReturn:
    """Be the child of the attempt in `path`: called right after the fork, never returns."""
    try:
        _run(AttemptDirectory(path), execute)
    except BaseException as error:  # noqa: BLE001 - nothing may travel up into the fork server's loop
        with contextlib.suppress(OSError):
            os.write(2, f"attempt ended badly: {type(error).__name__}\n".encode())
    os._exit(0)


def _run(files: AttemptDirectory, execute: Execute) -> None:
    os.setsid()
    privileges.give_up()
    me = identify(os.getpid())
    assert me is not None
    if not files.claim(me):
        return
    os.chdir(files.path)
    with contextlib.suppress(OSError):
        files.reserve()
    whole_environment = dict(os.environ)
    spec = files.read_spec()
    joined = cgroups.join(list(spec.settings.cgroups.values()))
    _keep_environment(spec.settings.environment)
    _keep_to_own_directory(files.path / "tmp")
    secrets = Secrets(whole_environment)
    side = ChildSide(files, spec, secrets)
    side.memory_is_in_cgroup = spec.settings.cgroups.get("memory", "") in joined
    _be_killed_first()
    with _output_to(files.stdout_path, secrets):
        signal.signal(signal.SIGTERM, lambda *_: _ask(side, "told to stop"))
        watch = threading.Thread(target=_watch, args=(side,), name="deadlines", daemon=True)
        watch.start()
        outcome = _executed(side, execute)
        with contextlib.suppress(OSError):
            side.flush_progress()
        sys.stdout.flush()
        sys.stderr.flush()
        files.write_result(outcome)
        end_descendants()


def _executed(side: ChildSide, execute: Execute) -> Outcome:
    try:
        return execute(side)
    except StopRequested as asked:
        return stopped_outcome(side, asked.reason)
    except DeadlinePassed as error:
        return side.failed("lease_expired", str(error), "the step is tried again by itself", retryable=True)
    except MemoryError:
        if side.memory_limit_bytes:
            return side.outcome(OutcomeKind.FAILED, failure=rlimits.failure_of("memory_limit", side.limits))
        return side.failed("out_of_memory", "the step ran out of memory", retryable=True)
    except Exception as error:  # noqa: BLE001 - whatever a step raises becomes one line, and no value of a row leaves
        sys.stderr.write(f"{unexpected(error)}\n{''.join(traceback.format_tb(error.__traceback__))}")
        hint = "This is a defect of the step kind; `haulier logs` shows where in the program it happened."
        return side.failed("internal", unexpected(error), hint, retryable=True)


def stopped_outcome(side: ChildSide, reason: str) -> Outcome:
    """The outcome of an attempt that stopped because of `reason`."""
    if reason in ("disconnected", "timed_out"):
        return side.failed(reason, f"the attempt reached its deadline ({reason}) and stopped", retryable=True)
    if reason in rlimits.LIMITS:
        return side.outcome(OutcomeKind.FAILED, failure=rlimits.failure_of(reason, side.limits))
    return side.outcome(OutcomeKind.CANCELLED, failure=Failure("cancelled", "the attempt was asked to stop"))


# Errors that speak of the host or of the program. What others say may be made of the data that they met.
_OF_PROGRAM = (ImportError, AttributeError, NameError)


def unexpected(error: BaseException) -> str:
    """What may be told of an exception that no step should raise: never a value of a row."""
    told = type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        told += f": {error.strerror}" + (f": {error.filename}" if error.filename else "")
    elif isinstance(error, _OF_PROGRAM) and str(error).strip():
        told += f": {str(error).strip().splitlines()[0][:300]}"
    return f"the step failed unexpectedly: {told}"


def _ask(side: ChildSide, reason: str) -> None:
    side.stop_reason = side.stop_reason or reason


def _watch(side: ChildSide) -> None:
    """The child's own deadline: asks first, then ends the whole group. Runs on its own thread."""
    while True:
        time.sleep(_WATCH_EVERY_S)
        if side.files.stop_asked():
            _ask(side, "told to stop")
        end_at, reason = side.end_at()
        if boottime() < end_at:
            reason = side.exceeded()
        if not reason:
            continue
        _ask(side, reason)
        time.sleep(_OWN_GRACE_S)
        with contextlib.suppress(OSError):
            side.files.write_result(stopped_outcome(side, reason))
        end_descendants()
        os.killpg(os.getpid(), signal.SIGKILL)


def _counted() -> tuple[float, int]:
    """Processor seconds and bytes written to storage, of this process and of those it has seen end."""
    use = _use(0.0)
    return use.cpu_s, use.written_bytes


def _keep_environment(names: tuple[str, ...]) -> None:
    kept = {name: os.environ[name] for name in (*ENVIRONMENT_KEPT, *names) if name in os.environ}
    os.environ.clear()
    os.environ.update(kept)


def _keep_to_own_directory(temporary: Path) -> None:
    """Temporary files lie in the attempt's directory, and go with it; what the daemon was given may be gone by then."""
    temporary.mkdir(mode=0o700, exist_ok=True)
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)


def _be_killed_first() -> None:
    """When memory runs out, a step is lost rather than the agent."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")


class _MaskingWriter(TextIOWrapper):
    """Text output on which resolved secrets do not show."""

    def __init__(self, buffer: Any, secrets: Secrets) -> None:
        super().__init__(buffer, encoding="utf-8", errors="backslashreplace", line_buffering=True)
        self._secrets = secrets

    def write(self, text: str, /) -> int:
        super().write(self._secrets.mask(text))
        return len(text)


@contextlib.contextmanager
def _output_to(path: Path, secrets: Secrets) -> Iterator[None]:
    """Send what this process and its libraries print to `path`, and nothing to the daemon's pipes."""
    output = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout = _MaskingWriter(open(1, "wb", buffering=0, closefd=False), secrets)  # noqa: SIM115 - lives as long
    sys.stderr = _MaskingWriter(open(2, "wb", buffering=0, closefd=False), secrets)  # noqa: SIM115 - as the process
    yield


def _use(wall_s: float) -> ResourceUse:
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    rss_bytes = max(own.ru_maxrss, children.ru_maxrss) * 1024
    read_bytes = written_bytes = 0
    with contextlib.suppress(OSError, ValueError):
        lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
        counted = dict(line.split(": ") for line in lines)
        read_bytes, written_bytes = int(counted["read_bytes"]), int(counted["write_bytes"])
    return ResourceUse(wall_s, cpu_s, rss_bytes, read_bytes, written_bytes)
