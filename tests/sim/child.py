"""A step's process on a host: it outlives the daemon, keeps its own deadlines and writes its own result.

The work is a generator that yields the seconds until its next moment; a stopped process has no next moment until it is
told to carry on, and then goes on as if no time had passed.
"""

import json
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from agentd.core import events
from agentd.core.grants import Direction, Failure, Grant, Outcome, OutcomeKind, Progress, ResourceUse
from controlplane.core.migrations.clean_up import Left
from tests.sim import outages
from tests.sim.destinations import Obstructed, Refused, Writer

if TYPE_CHECKING:
    from tests.sim.host import AttemptDir, Host

# As in ``agentd.runner.child``.
UNTOLD_S = 900.0
RENEWAL_WAIT_S = 20.0

_OBSTRUCTED = {
    "not_as_published": "what somebody changed was left alone",
    "records_missing": "an undo met a destination that had lost its records",
    "kept_missing": "what an undo would put back was gone",
}


class _Ends(Exception):
    """The attempt ends with this outcome."""

    def __init__(self, kind: OutcomeKind, code: str, *, retryable: bool = False, unreachable: bool = False) -> None:
        super().__init__(code)
        self.kind = kind
        self.failure = Failure(code, f"the step ended: {code}", "", retryable, unreachable)


class Child:
    """One process. ``started_at`` is the host's clock."""

    def __init__(self, host: "Host", files: "AttemptDir") -> None:
        self.host = host
        self.world = host.world
        self.files = files
        self.grant: Grant = files.grant
        self.started_at = host.clock()
        self.progress = Progress()
        self.alive = True
        self.stopped = False
        self._stop_asked = False
        self._due = False
        self._params: dict[str, Any] = json.loads(self.grant.params or b"{}")
        self._writer = Writer(self.grant.attempt_id, self.grant.step_id, self.grant.migration_id, self.grant.fence)
        self._work = self._whole()

    def start(self) -> None:
        """Begin to work."""
        self.world.loop.call_later(0.0, self._go_on)

    def kill(self) -> None:
        """kill -9: an open transaction is rolled back, no result is written."""
        if not self.alive:
            return
        self.world.event("child killed", self.grant.attempt_id)
        self.alive = False
        self.world.destinations.drop_transactions(self.grant.attempt_id)
        self._tell_end()

    def stop(self) -> None:
        """SIGSTOP."""
        if self.alive:
            self.stopped = True

    def carry_on(self) -> None:
        """SIGCONT."""
        if self.stopped:
            self.stopped = False
            if self.alive and self._due:
                self._due = False
                self.world.mark("a stopped process carried on")
                self._go_on()

    def ask_to_stop(self) -> None:
        """SIGTERM: noticed at the next checkpoint."""
        self._stop_asked = True

    # Moments.

    def _go_on(self) -> None:
        if not self.alive:
            return
        if self.stopped:
            self._due = True
            return
        try:
            delay_s = next(self._work)
        except StopIteration as end:
            self._finish(end.value)
            return
        self.world.loop.call_later(delay_s, self._go_on)

    def _finish(self, outcome: Outcome) -> None:
        self.world.event("child ended", self.grant.attempt_id, outcome.kind.value)
        self.files.outcome = outcome
        self.alive = False
        self.world.destinations.drop_transactions(self.grant.attempt_id)
        self._tell_end()

    def _tell_end(self) -> None:
        self.world.loop.call_later(self.host.rng.uniform(0.001, 0.05), self._ended)

    def _ended(self) -> None:
        if self.host.daemon is not None and self.files.child is self:
            event = events.ChildEnded(self.grant.attempt_id, self.files.outcome, ResourceUse(wall_s=1.0))
            self.host.daemon.post(event)

    # The work.

    def _whole(self) -> Generator[float, None, Outcome]:
        try:
            result = yield from self._executed()
        except _Ends as ended:
            return self._outcome(ended.kind, failure=ended.failure)
        except Refused as error:
            self.world.mark("a destination refused a stale writer")
            return self._outcome(OutcomeKind.FENCED, failure=Failure("fenced", str(error)))
        except Obstructed as error:
            if error.code in _OBSTRUCTED:
                self.world.mark(_OBSTRUCTED[error.code])
            return self._outcome(OutcomeKind.FAILED, failure=Failure(error.code, error.code))
        return self._outcome(OutcomeKind.SUCCEEDED, result=result)

    def _outcome(self, kind: OutcomeKind, result: bytes = b"", failure: Failure | None = None) -> Outcome:
        return Outcome(self.grant.attempt_id, self.grant.fence, kind, result, failure, ResourceUse(wall_s=1.0))

    def _executed(self) -> Generator[float, None, bytes]:
        rng = self.host.rng
        yield rng.uniform(0.01, 0.1)
        undo = self.grant.direction is Direction.UNDO
        chances = self._params["undo_fails" if undo else "fails"]
        trouble = rng.random()
        does = self._params["does"]
        self._checkpoint()
        if does in ("publish", "clean_up"):
            yield from self._claim()
            if does == "publish" and not undo and self.world.destinations.adopt(self.grant.target, self._writer):
                self.world.mark("an earlier attempt's publish was taken over")
                return self._result()
        ticks = 1 if undo else int(self._params["ticks"])
        if not undo and rng.random() < self._params["refutes"]:
            self.world.mark("a proof refuted what was moved")
            raise _Ends(OutcomeKind.FAILED, "verification_failed")
        for tick in range(ticks):
            yield rng.uniform(0.3, 1.0) * float(self._params["tick_s"])
            self._advance(tick + 1, ticks)
            if trouble < chances[0] and tick == ticks // 2:
                raise _Ends(OutcomeKind.FAILED, "busy", retryable=True)
            if trouble < chances[1] and tick == ticks // 2:
                raise _Ends(OutcomeKind.FAILED, "type_mismatch")
            if trouble < chances[2] and tick == ticks // 2:
                self.world.mark("a child stood still")
                yield 1e6
        if does == "publish":
            yield from self._commit(undo=undo)
        elif does == "unfenced":
            yield from self._unfenced(undo=undo)
        elif does == "clean_up":
            yield from self._clean_up()
        else:
            self.world.destinations.stage(self.grant.target, self._writer)
        yield rng.uniform(0.001, 0.1)
        return b"" if undo else self._result()

    def _result(self) -> bytes:
        told: dict[str, object] = {"rows": self._params["rows"], "fence": self.grant.fence}
        if self._params["does"] == "publish":
            told["formerContentKept"] = self.world.destinations.kept_former(self.grant.target, self._writer)
        return json.dumps(told).encode()

    def _claim(self) -> Generator[float, None, None]:
        destinations, target = self.world.destinations, self.grant.target
        destinations.require_not_stale(target, self._writer)
        if destinations.is_blocked(target, self._writer):
            self.world.mark("a writer met another's open transaction")
            self.world.watch.writer_blocked(self.grant, destinations.targets[target].transaction)
            destinations.evict(target, self.grant.evict_attempt_ids)
        while destinations.is_blocked(target, self._writer):
            yield 1.0
            self._checkpoint()
        destinations.claim(target, self._writer)

    def _commit(self, *, undo: bool) -> Generator[float, None, None]:
        destinations, target = self.world.destinations, self.grant.target
        self._checkpoint()
        while destinations.is_blocked(target, self._writer):
            yield 1.0
            self._checkpoint()
        yield from self._reach("before publish")
        self._checkpoint()
        destinations.begin(target, self._writer)
        yield from self._reach("publish open")
        yield self.host.rng.uniform(0.001, 0.5)
        if undo:
            forward = json.loads(self.grant.forward_result or b"{}")
            discards = self.grant.discard_changes
            destinations.withdraw(target, self._writer, int(forward.get("fence", 0)), discards=discards)
        else:
            destinations.publish(target, self._writer)
        yield from self._reach("after publish")

    def _clean_up(self) -> Generator[float, None, None]:
        destinations, target = self.world.destinations, self.grant.target
        if self._params["left"] == Left.STAGED:
            destinations.drop_parts(target, self._writer, self._params["of_step"])
            return
        while destinations.is_blocked(target, self._writer):
            yield 1.0
            self._checkpoint()
        destinations.begin(target, self._writer)
        yield from self._reach("publish open")
        yield self.host.rng.uniform(0.001, 0.5)
        destinations.drop_former(target, self._writer)
        yield from self._reach("after publish")
        if self.world.faults.active and self.host.rng.random() < 0.2:
            self.world.mark("a clean-up failed after it had removed everything")
            raise _Ends(OutcomeKind.FAILED, "busy", retryable=True)

    def _reach(self, point: str) -> Generator[float, None, None]:
        """An exact point of the publish, at which a fault may stop the process."""
        if self.world.faults.stops_here(point, self.grant.target):
            self.world.event(f"fault: child stopped (SIGSTOP), {point}", self.grant.attempt_id)
            self.stop()
            yield 0.0

    def _unfenced(self, *, undo: bool) -> Generator[float, None, None]:
        give_up_at = self.host.clock() + RENEWAL_WAIT_S
        while self.host.clock() >= self.files.destroy_at:
            if self.host.clock() >= give_up_at:
                self.world.mark("an unfenced effect was not begun for want of a renewal")
                raise _Ends(OutcomeKind.FAILED, "lease_expired", retryable=True)
            yield 0.5
            self._checkpoint()
        self.world.destinations.put_unfenced(self.grant.target, self._writer, undo=undo)

    def _advance(self, watermark: int, total: int) -> None:
        self.progress = Progress(watermark, total, watermark * 10, "working")
        if self.host.daemon is not None:
            self.host.daemon.post(events.ChildProgressed(self.grant.attempt_id, self.progress))
        self._checkpoint()

    def _checkpoint(self) -> None:
        now, grant = self.host.clock(), self.grant
        end_at = self.files.end_at if self.files.end_at is not None else self.started_at + UNTOLD_S
        if now >= end_at:
            self.world.mark("a child ended itself for want of contact")
            raise _Ends(OutcomeKind.FAILED, "disconnected", retryable=True)
        if grant.start_to_finish_s and now >= self.started_at + grant.start_to_finish_s:
            raise _Ends(OutcomeKind.FAILED, "timed_out", retryable=True)
        if self.world.destinations.is_away(grant.target):
            raise _Ends(OutcomeKind.FAILED, outages.CODE, retryable=True, unreachable=True)
        if self._stop_asked:
            raise _Ends(OutcomeKind.CANCELLED, "cancelled")
