"""Moves rollouts on, and makes one wherever a Fleet desires another release than it had."""

from controlplane.service.rollouts.rollouts import Rollouts


class RolloutPilot:
    """One pass looks at every rollout and every Fleet."""

    def __init__(self, rollouts: Rollouts) -> None:
        self._rollouts = rollouts

    async def run(self) -> None:
        """Make one pass."""
        await self._rollouts.reconcile()
        await self._rollouts.look()
