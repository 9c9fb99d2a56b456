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
        self._cpu_s: dict[int, float] = {}
        self._looked_at = time.monotonic()
        psutil.cpu_percent()
        self._own_cores([])

    def up_s(self) -> float:
        """For how long this daemon runs."""
        return max(0.0, time.time() - float(self._me.create_time()))

    def own_rss_bytes(self) -> int:
        """Memory of this daemon alone."""
        return int(self._me.memory_info().rss)

    def _own_cores(self, child_pids: list[int]) -> float:
        """Cores that the daemon and these children used since the last look; one that began meanwhile counts whole."""
        before, now = self._cpu_s, time.monotonic()
        elapsed_s = max(now - self._looked_at, 1e-3)
        self._cpu_s, self._looked_at = {}, now
        for process in [self._me, *_alive(child_pids)]:
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            self._cpu_s[process.pid] = times.user + times.system
        used_s = sum(max(spent_s - before.get(pid, 0.0), 0.0) for pid, spent_s in self._cpu_s.items())
        return used_s / elapsed_s

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
            agent_cpu_cores=self._own_cores(child_pids),
        )


def _alive(pids: list[int]) -> list[psutil.Process]:
    found = []
    for pid in pids:
        try:
            found.append(psutil.Process(pid))
        except psutil.Error:
            continue
    return found
