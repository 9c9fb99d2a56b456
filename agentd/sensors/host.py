"""One sample of the host: cores, memory, disk, and what this agent itself takes."""

import time
from pathlib import Path

import psutil

from agentd.core.grants import HostSample


class HostSensor:
    """Samples the host for one agent; `state` is on the disk whose free space counts."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._me = psutil.Process()
        psutil.cpu_percent()

    def up_s(self) -> float:
        """For how long this daemon runs."""
        return max(0.0, time.time() - float(self._me.create_time()))

    def own_rss_bytes(self) -> int:
        """Memory of this daemon alone."""
        return int(self._me.memory_info().rss)

    def sample(self, child_pids: list[int]) -> HostSample:
        """Look once; cheap enough for every heartbeat."""
        memory = psutil.virtual_memory()
        rss_bytes: int = self._me.memory_info().rss
        for pid in child_pids:
            try:
                rss_bytes += psutil.Process(pid).memory_info().rss
            except psutil.Error:
                continue
        return HostSample(
            cpu_fraction=psutil.cpu_percent() / 100.0,
            memory_used_bytes=memory.total - memory.available,
            memory_total_bytes=memory.total,
            disk_free_bytes=psutil.disk_usage(str(self._state)).free,
            agent_rss_bytes=rss_bytes,
        )
