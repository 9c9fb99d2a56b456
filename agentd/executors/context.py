"""What an executor is given: who it is, what it may do, and the calls back to its agent."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from haulier.v1 import kinds_pb2 as k

from agentd.datastores.port.datastore import Writer
from agentd.datastores.port.failures import StepFailure


class Progress(Protocol):
    """Moves the watermark. All but `watermark` may be left out; `stage` names what is going on, such as "staging"."""

    def __call__(self, watermark: int, total: int = 0, done_bytes: int = 0, stage: str = "") -> None: ...


@dataclass(frozen=True, slots=True)
class ProgramEnded:
    """A program of the host's that succeeded: the beginning of its standard output, and whether there was more."""

    output: str
    is_cut: bool


def _no_programs(name: str, values: Mapping[str, str], undo: bool) -> ProgramEnded | None:
    """For callers without a host."""
    del values, undo
    raise StepFailure("policy_refused", f"program {name!r} is not named on this host")


def _nothing(*_: object) -> None:
    """For callers that do not watch."""


def _directly(work: Callable[[], Any]) -> Any:
    """For callers around whom there is no sandbox."""
    return work()


def _no_progress(watermark: int, total: int = 0, done_bytes: int = 0, stage: str = "") -> None:
    """For callers that do not watch."""


@dataclass(slots=True)
class _Watermark:
    """Rows taken in so far. A wait that is borne counts as one more, so that its lease is renewed until its bound."""

    progress: Progress
    total: int
    stage: str
    done: int = 0

    def rows(self, rows: int) -> None:
        self.done = max(self.done, rows)
        self.progress(self.done, self.total, stage=self.stage)

    def waits(self, text: str) -> None:
        self.done += 1
        self.progress(self.done, self.total, stage=text)


@dataclass(frozen=True, slots=True)
class Context:
    """One attempt at a step. `params` and `forward_result` are serialised kinds messages; `directory` is private
    scratch.

    `forward_result` is what the step's forward run reported, for `undo`; empty where it never did. `discard_changes` is
    a person's consent that `undo` may lose what others changed since.

    The callables lead back to the agent: `resolve_secret` gives the value of a reference, `datastore_secret` that of a
    datastore's own if the host lets it go there, `allow_datastore` raises StepFailure (policy_refused) where the host's
    policy does not allow a place, `check_cancelled` raises Cancelled, `before_destructive` raises where the local
    deadline has passed, `reach` marks exact points (before_publish, publish_open, after_publish), `outside` runs what
    must see more of the host than a step may, `run_program` runs a program that the host names, or its undo, `say`
    puts a line into the attempt's output, in which no value of a row may stand.
    `places` is where the agent remembers the roots that its steps have used, None where nobody does.
    """

    attempt_id: str
    step_id: str
    migration_id: str
    number: int
    fence: int
    target: str
    params: bytes
    directory: Path
    forward_result: bytes = b""
    discard_changes: bool = False
    evict_attempt_ids: tuple[str, ...] = ()
    places: Path | None = None
    progress: Progress = field(default=_no_progress)
    check_cancelled: Callable[[], None] = field(default=_nothing)
    resolve_secret: Callable[[str], str] = field(default=lambda ref: "")
    datastore_secret: Callable[[k.Datastore], str] = field(default=lambda datastore: "")
    allow_datastore: Callable[[k.Datastore], None] = field(default=_nothing)
    before_destructive: Callable[[], None] = field(default=_nothing)
    reach: Callable[[str], None] = field(default=_nothing)
    outside: Callable[[Callable[[], Any]], Any] = field(default=_directly)
    run_program: Callable[[str, Mapping[str, str], bool], ProgramEnded | None] = field(default=_no_programs)
    say: Callable[[str], None] = field(default=_nothing)

    def writer(self, total: int = 0, stage: str = "staging") -> Writer:
        """This attempt as a destination knows it; rows that it takes in move the watermark under the stage's name."""
        mark = _Watermark(self.progress, total, stage)
        return Writer(
            target=self.target,
            fence=self.fence,
            attempt_id=self.attempt_id,
            migration_id=self.migration_id,
            evict=self.evict_attempt_ids,
            reach=self._reach,
            progress=mark.rows,
            waits=mark.waits,
            check_cancelled=self.check_cancelled,
            before_destructive=self.before_destructive,
            outside=self.outside,
        )

    def _reach(self, point: str) -> None:
        """Cancel is still possible up to the publish, and not in the middle of it."""
        if point == "before_publish":
            self.check_cancelled()
        self.reach(point)


class Executor(Protocol):
    """One step kind. Instances hold no state: everything comes with the context."""

    kind: str
    SAFE_TO_REPEAT: str
    UNDO: str

    # Besides these a class says what its steps touch, by a static method `uses(params, undo)`; see `registry`.

    def probe(self, ctx: Context) -> bytes | None:
        """Serialised result if an earlier attempt already did all of it, else None. Does no work of its own."""

    def run(self, ctx: Context) -> bytes:
        """Do it; returns the serialised result. Raises StepFailure or Cancelled."""

    def undo(self, ctx: Context) -> None:
        """Restore what was before, whether or not the forward run got anywhere. Harmless when repeated."""
