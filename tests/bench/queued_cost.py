"""Whether a step costs more when many wait: the same bursts with a short and with a long queue, in turn."""

import signal
import time
from pathlib import Path
from typing import NamedTuple

from tests.bench.crowd import Part
from tests.bench.crowd_process import CrowdProcess
from tests.bench.evidence import position, reading, succeeded_after
from tests.bench.figures import median
from tests.bench.manifests import apply_noops, start_noops
from tests.bench.plane import Plane
from tests.kit.processes import until

BURST = 1_000  # steps, and the whole of the short queue
LONG = 1_000_000
STEPS_EACH = 100  # of one migration
BURSTS = 9
AGENTS, SLOTS = 16, 4
BURST_BOUND_S = 60.0
LOADED_AT_ONCE = 50  # migrations
IDLE_S = 3.0
SETTLE_S = 0.2


class QueuedCost(NamedTuple):
    """CPU seconds of the control plane per 1,000 steps, and cores in use when idle."""

    short_cpu_s: float
    long_cpu_s: float
    short_idle_cores: float
    long_idle_cores: float

    @property
    def ratio(self) -> float:
        """How much dearer a step is with the long queue."""
        return self.long_cpu_s / self.short_cpu_s


class _Side:
    """One control plane with its agents, which answer only in bursts."""

    def __init__(self, home: Path, queued: int) -> None:
        home.mkdir()
        self.plane = Plane(home)
        self.plane.init()
        self.plane.serve()
        # Through the listener, as everybody does: what comes into the store behind the audit log's back is checked for
        # minutes, and that is not part of the cost of a step.
        for first in range(0, queued // STEPS_EACH, LOADED_AT_ONCE):
            loaded = [f"l-{number}" for number in range(first, first + LOADED_AT_ONCE)]
            apply_noops(self.plane, loaded, STEPS_EACH)
            start_noops(self.plane, loaded)
        names = [f"agent-{number}" for number in range(AGENTS)]
        self.plane.enrol(names)
        self.waves = [[f"m-{burst}-{i}" for i in range(BURST // STEPS_EACH)] for burst in range(BURSTS + 1)]
        apply_noops(self.plane, [name for wave in self.waves for name in wave], STEPS_EACH)
        self.crowd = CrowdProcess(Part(str(self.plane.identities), names, SLOTS, burst=BURST))
        self.crowd.heard("connected", BURST_BOUND_S)
        # More than a burst must be there, or the agents would wait for its last steps while they hold some back.
        start_noops(self.plane, self.waves.pop())

    def stop(self) -> None:
        self.crowd.end()
        self.plane.stop()

    def burst(self) -> float:
        """Queue one burst more, let one burst run; return its CPU seconds per 1,000 steps."""
        start_noops(self.plane, self.waves.pop())
        time.sleep(SETTLE_S)
        before = position(self.plane.store)
        began_s = self.plane.cpu_s()
        self.crowd.send(signal.SIGUSR1)
        self.crowd.heard("done", BURST_BOUND_S)
        with reading(self.plane.store) as db:
            until(lambda: succeeded_after(db, before) >= BURST, BURST_BOUND_S, "a burst to be durable")
        return (self.plane.cpu_s() - began_s) * 1000 / BURST

    def idle_cores(self) -> float:
        """Cores in use while nothing moves."""
        began_s = self.plane.cpu_s()
        time.sleep(IDLE_S)
        return (self.plane.cpu_s() - began_s) / IDLE_S


def measure(home: Path) -> QueuedCost:
    """Compare bursts of 1,000 steps with about 1,000 and about 1,000,000 steps queued."""
    sides: list[_Side] = []
    try:
        for name, queued in (("short", 0), ("long", LONG)):
            sides.append(_Side(home / name, queued))
        for side in sides:
            side.burst()  # caches and connections warm up
        costs = [[side.burst() for side in sides] for _ in range(BURSTS - 1)]
        idle = [side.idle_cores() for side in sides]
    finally:
        for side in sides:
            side.stop()
    return QueuedCost(median([pair[0] for pair in costs]), median([pair[1] for pair in costs]), *idle)
