"""Promises S9 and S6 of an outage: it uses up no try before it has lasted `retry.unreachableFor`, and then it does.

The product takes the time in which a try got on with its work out of an outage. Which tries got on it knows from their
progress, of which a killed control plane may have lost the newest. So an outage is measured twice here: with all of
that time, for what must not count yet, and without it, for what must count by now.
"""

from enum import Enum, auto
from typing import TYPE_CHECKING

from haulier.v1 import agent_pb2 as pb

from controlplane.core.events import Event
from controlplane.core.model import Attempt
from controlplane.core.steps.leasing import NOT_THE_STEPS_FAULT

if TYPE_CHECKING:
    from tests.sim.world import World

CODE = "unreachable"
_LOST = ("LeaseExpired", "AttemptCancelled")


class Count(Enum):
    """Whether the end of an attempt is one of the failures that its step is allowed."""

    NO = auto()  # it says nothing of the step
    BORNE = auto()  # it met an outage that must not count yet
    MAY = auto()  # it met one of which nobody can tell from outside whether it has lasted long enough
    YES = auto()


class Outages:
    """Follows the ends of attempts, step by step."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._got_on: set[str] = set()  # attempts whose progress has reached a control plane
        # Step → when the outage began that its last tries met: at the earliest, and at the latest.
        self._began_at: dict[str, tuple[float, float]] = {}

    def arrives_at_plane(self, message: pb.SessionRequest) -> None:
        """Take note of attempts that get on with their work."""
        for held in (*message.heartbeat.held, *message.hello.held):
            self._note(held.attempt_id, held.watermark)
        for news in message.progress:
            self._note(news.attempt_id, news.watermark)

    def _note(self, attempt_id: str, watermark: int) -> None:
        if watermark > 0:
            self._got_on.add(attempt_id)

    def counts(self, event: Event, attempt: Attempt, unreachable_for_s: float) -> Count:
        """Take in the end of an attempt; tell whether it counts as a failure of its step."""
        code = event.detail.partition(":")[0]
        if event.type == "AttemptFailed" and code == CODE:
            return self._met(event, attempt, unreachable_for_s)
        is_lost = event.type in _LOST and not code.endswith("_timeout")
        if not is_lost and code not in NOT_THE_STEPS_FAULT:
            self.is_over(attempt.step_id)
        own_fault = event.type in ("AttemptFailed", "AttemptFenced") and code not in NOT_THE_STEPS_FAULT
        return Count.YES if own_fault else Count.NO

    def _met(self, event: Event, attempt: Attempt, unreachable_for_s: float) -> Count:
        self._world.mark("a try met an outage")
        earliest, latest = self._began_at.get(attempt.step_id, (event.at, event.at))
        if attempt.id in self._got_on:
            latest = min(event.at, latest + event.at - attempt.granted_at)
        self._began_at[attempt.step_id] = earliest, latest
        if event.at - earliest < unreachable_for_s:
            return Count.BORNE
        return Count.YES if event.at - latest >= unreachable_for_s else Count.MAY

    def is_over(self, step_id: str) -> None:
        """The step got to its work, or starts afresh."""
        self._began_at.pop(step_id, None)
