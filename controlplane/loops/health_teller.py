"""Lets the gRPC health service say of each service what readiness says."""

from collections.abc import Awaitable, Callable

from controlplane.service.health.readiness import Readiness


class HealthTeller:
    """One pass brings the health service to what readiness says now."""

    def __init__(self, readiness: Readiness, tell: Callable[[bool], Awaitable[None]]) -> None:
        """``tell`` sets the state of every service: whether it is ready."""
        self._readiness = readiness
        self._tell = tell

    async def run(self) -> None:
        """Make one pass."""
        await self._tell(self._readiness.is_ready())
