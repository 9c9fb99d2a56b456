"""Durable steps a second of one control plane with simulated agents, read back from its store."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.bench.crowd import Part
from tests.bench.crowd_process import CrowdProcess, shares
from tests.bench.evidence import check_run, position, reading, run_after, succeeded_after
from tests.bench.plane import Plane
from tests.kit.processes import until

STEPS_EACH = 100  # of one migration
RUN_BOUND_S = 120.0
CONNECT_BOUND_S = 60.0


class Throughput(NamedTuple):
    """One run: durable steps a second, and CPU seconds of the control plane per 1,000 steps."""

    steps_per_s: float
    cpu_s_per_1000: float


def load(plane: Plane, steps: int) -> None:
    """Queue steps while the control plane is down."""
    assert not plane.pid, "one process writes a store"
    command = [sys.executable, "-m", "tests.bench.loading", str(plane.store), str(steps // STEPS_EACH), str(STEPS_EACH)]
    subprocess.run(command, cwd=Path(__file__).parents[2], check=True)


def measure(
    plane: Plane, names: list[str], slots: int, steps: int, *, processes: int, results_max: int, touches: str = ""
) -> Throughput:
    """Run ``steps`` queued steps with the agents ``names``, who join a control plane that was just started.

    The agents live in ``processes`` other processes; ``touches`` names a file that gets 16 bytes for each step.
    """
    load(plane, steps)
    after = position(plane.store)
    plane.serve()
    try:
        crowds = [
            CrowdProcess(Part(str(plane.identities), share, slots, results_max=results_max, touches=touches))
            for share in shares(names, processes)
        ]
        try:
            began_s = plane.cpu_s()
            with reading(plane.store) as db:
                until(lambda: succeeded_after(db, after) >= steps, RUN_BOUND_S, "all steps to succeed", plane.log)
            used_s = plane.cpu_s() - began_s
        finally:
            for crowd in crowds:
                crowd.end()
    finally:
        plane.stop()
    check_run(plane.store, after, steps)
    return Throughput(run_after(plane.store, after).steps_per_s, used_s * 1000 / steps)
