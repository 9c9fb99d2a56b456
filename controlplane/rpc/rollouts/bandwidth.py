"""How fast artefacts leave: for all hosts together, and for each. Heartbeats never wait behind them."""

import asyncio


class BandwidthLimiter:
    """At most so many bytes a second. Whoever comes first goes first; nothing is saved up while nobody comes."""

    def __init__(self, bytes_per_s_max: float) -> None:
        self._bytes_per_s_max = bytes_per_s_max
        self._free_at = 0.0

    def reserve(self, size_bytes: int, now: float) -> float:
        """Take room for `size_bytes`; returns when they may go, on the clock of `now` (seconds)."""
        goes_at = max(now, self._free_at)
        self._free_at = goes_at + size_bytes / self._bytes_per_s_max
        return goes_at


async def go(size_bytes: int, *paces: BandwidthLimiter) -> None:
    """Wait until `size_bytes` may go by every pace."""
    clock = asyncio.get_running_loop().time
    now = clock()
    goes_at = max(pace.reserve(size_bytes, now) for pace in paces)
    await asyncio.sleep(max(0.0, goes_at - now))
