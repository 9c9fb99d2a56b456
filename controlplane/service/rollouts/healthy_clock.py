"""Whether the control plane is well enough to judge others: while busy, or just back, silence proves nothing."""

from collections.abc import Callable, Sequence

from controlplane.service.health.loop_health import LoopHealth

# A pass that comes so late, or a loop that is so far behind, shows that heartbeats waited too.
LATE_S = 5.0
SLOW_PASS_S = 2.0


class HealthyClock:
    """Counts the seconds in which silence says something."""

    def __init__(self, settle_s: float, loops: Callable[[], Sequence[LoopHealth]]) -> None:
        """``settle_s``: how long after trouble agents may need to be heard again. ``loops``: brief ones, run every
        second or so."""
        self._settle_s = settle_s
        self._loops = loops
        self._seen_at: float | None = None
        self._healthy_from = 0.0

    def passed_s(self, now: float) -> float:
        """Return the healthy seconds since the last call."""
        since, self._seen_at = self._seen_at, now
        if since is None or now - since > LATE_S or self.trouble(now):
            self._healthy_from = now + self._settle_s
            return 0.0
        return max(0.0, now - max(since, self._healthy_from))

    def trouble(self, now: float) -> str:
        """Return the first loop that is not well, for people; empty when all are."""
        for loop in self._loops():
            late_s = now - loop.last_run_at if loop.last_run_at is not None else 0.0
            if loop.last_error or loop.duration_s > SLOW_PASS_S or late_s > LATE_S + loop.duration_s:
                return loop.name
        return ""
