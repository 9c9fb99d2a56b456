"""Promise S9, learned from the log alone: an outage uses up no try before it has lasted `retry.unreachableFor`.

The product takes the time in which a try got on with its work out of an outage, so there it may count later than here,
and never earlier.
"""

from typing import TYPE_CHECKING

from controlplane.core.events import Event
from controlplane.core.steps.leasing import NOT_THE_STEPS_FAULT

if TYPE_CHECKING:
    from tests.sim.world import World

CODE = "unreachable"
_LOST = ("LeaseExpired", "AttemptCancelled")


class Outages:
    """Follows the ends of attempts, step by step."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._began_at: dict[str, float] = {}  # step → when the outage began that its last tries met

    def is_borne(self, event: Event, step_id: str, unreachable_for_s: float) -> bool:
        """Take in the failed end of an attempt; tell whether it must not count as a failure of the step."""
        code = event.detail.partition(":")[0]
        if event.type == "AttemptFailed" and code == CODE:
            self._world.mark("a try met an outage")
            return event.at - self._began_at.setdefault(step_id, event.at) < unreachable_for_s
        is_lost = event.type in _LOST and not code.endswith("_timeout")
        if not is_lost and code not in NOT_THE_STEPS_FAULT:
            self.is_over(step_id)
        return False

    def is_over(self, step_id: str) -> None:
        """The step got to its work, or starts afresh."""
        self._began_at.pop(step_id, None)
