"""What an attempt's processes use, sampled from outside: the figures of a child that cannot tell any more."""

import psutil

from agentd.core.grants import ResourceUse
from agentd.processes.identity import ProcessIdentity, descendants


class UseMeter:
    """Samples one attempt: its leader and whatever that started."""

    def __init__(self, leader: ProcessIdentity, started_at: float) -> None:
        self._leader = leader
        self._started_at = started_at
        self._rss_bytes_max = 0
        self._cpu_s: dict[int, float] = {}
        self._io_bytes: dict[int, tuple[int, int]] = {}

    def sample(self) -> None:
        """Look once. Processes that are gone keep the figures of their last sample."""
        rss_bytes = 0
        for pid in [self._leader.pid, *descendants(self._leader.pid)]:
            try:
                process = psutil.Process(pid)
                with process.oneshot():
                    times = process.cpu_times()
                    rss_bytes += process.memory_info().rss
                    counters = process.io_counters()
            except psutil.Error:
                continue
            self._cpu_s[pid] = times.user + times.system
            self._io_bytes[pid] = (counters.read_bytes, counters.write_bytes)
        self._rss_bytes_max = max(self._rss_bytes_max, rss_bytes)

    def so_far(self, now: float) -> ResourceUse:
        """Everything seen up to `now` (CLOCK_BOOTTIME seconds)."""
        return ResourceUse(
            wall_s=max(0.0, now - self._started_at),
            cpu_s=sum(self._cpu_s.values()),
            rss_bytes_max=self._rss_bytes_max,
            read_bytes=sum(read for read, _ in self._io_bytes.values()),
            written_bytes=sum(written for _, written in self._io_bytes.values()),
        )
