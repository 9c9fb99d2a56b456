"""Moves rollouts on, and makes one wherever a Fleet desires another release than it had."""

from controlplane.service.rollouts import Rollouts

# What a Fleet desires is looked at on each of so many passes.
RECONCILE_EVERY = 5


class RolloutPilot:
    """See the module."""

    def __init__(self, rollouts: Rollouts) -> None:
        self._rollouts = rollouts
        self._passes = 0

    async def run(self) -> None:
        """Make one pass."""
        if self._passes % RECONCILE_EVERY == 0:
            await self._rollouts.reconcile()
        self._passes += 1
        await self._rollouts.look()
