"""More work than a control plane can do, beside a rollout: floods from outside, and times in which it does nothing."""

import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from tests.bench.plane import Plane
from tests.floods.attacks import Setting
from tests.kit.beside import beside
from tests.kit.processes import end, send, start

# Whose certificate the floods show: it was sent away before, so that it is not a host of any rollout.
FLOODER = "flooder"
# What takes the most of a control plane's time for each that is sent.
FLOODS = ("malformed messages", "open and cancel")
END_BOUND_S = 10.0


@dataclass(slots=True)
class Load:
    """What the control plane used, and how long it was flooded."""

    cpu_s: float = 0.0
    elapsed_s: float = 0.0


@contextmanager
def flooded(plane: Plane) -> Iterator[Load]:
    """Flood the control plane from other processes while the block runs."""
    addresses = plane.addresses()
    identity = str(plane.identities / f"{FLOODER}.json")
    setting = json.dumps(asdict(Setting(addresses["agents"], addresses["public"], identity, sys.maxsize)))
    load, began_s, began_at = Load(), plane.cpu_s(), time.monotonic()
    log = plane.log.with_name("floods.log")
    pids = [start([sys.executable, "-m", "tests.floods.attacks", name, setting], log) for name in FLOODS]
    try:
        yield load
    finally:
        load.cpu_s, load.elapsed_s = plane.cpu_s() - began_s, time.monotonic() - began_at
        for pid in pids:
            end(pid, END_BOUND_S)


@contextmanager
def stopped_again_and_again(plane: Plane, stops: int, stopped_s: float, going_s: float) -> Iterator[threading.Event]:
    """Stop the control plane so many times while the block runs; the event tells that it was the last time."""
    last = threading.Event()

    def stop_and_go(over: threading.Event) -> None:
        for _ in range(stops):
            # The rollout is on its way before each stop.
            if over.wait(going_s):
                break
            send(plane.pid, signal.SIGSTOP)
            over.wait(stopped_s)
            send(plane.pid, signal.SIGCONT)
        last.set()

    with beside(stop_and_go):
        yield last
