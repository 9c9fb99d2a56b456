"""Plans the clean-up of what ended migrations left behind, when its time has come."""

from controlplane.service.migrations.clean_up import CleanUps


class CleanUpPlanner:
    """One pass plans every clean-up that is due by now."""

    def __init__(self, clean_ups: CleanUps) -> None:
        self._clean_ups = clean_ups

    async def run(self) -> None:
        """Make one pass. Raises ``StoreFailed``."""
        await self._clean_ups.plan_due()
