"""The bench's side of a process full of simulated agents."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from tests.bench.crowd import Part
from tests.kit.processes import NotInTime

STOP_BOUND_S = 20.0


class CrowdProcess:
    """Starts one; use it as a context manager, which ends it."""

    def __init__(self, part: Part) -> None:
        root = Path(__file__).parents[2]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.crowd", json.dumps(asdict(part))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            cwd=root,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "proto")])},
            text=True,
            # Ctrl-C is for who started it.
            process_group=0,
        )
        self.pid = self._process.pid
        self._lines: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "CrowdProcess":
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()

    def heard(self, what: str, bound_s: float) -> Mapping[str, Any]:
        """Return the next thing it says that has the key ``what``; others before it are dropped."""
        deadline_at = time.monotonic() + bound_s
        while True:
            try:
                told = self._lines.get(timeout=max(0.0, deadline_at - time.monotonic()))
            except queue.Empty:
                raise NotInTime(f"the simulated agents did not say {what} within {bound_s:g} s") from None
            if "error" in told:
                print(f"a simulated agent: {told['error']}", file=sys.stderr)
            if what in told:
                return told

    def cpu_s(self) -> float:
        """CPU seconds of the process since its start."""
        used = psutil.Process(self.pid).cpu_times()
        return float(used.user + used.system)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def end(self) -> None:
        """End it, wherever it stands."""
        if self._process.poll() is None:
            # A stopped process takes no other signal before this one.
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            try:
                self._process.wait(STOP_BOUND_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(STOP_BOUND_S)
        self._reader.join(STOP_BOUND_S)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None, "it was opened with a pipe"
        for line in self._process.stdout:
            self._lines.put(json.loads(line))


def shares(names: Sequence[str], count: int) -> list[list[str]]:
    """Deal names to ``count`` processes.

    >>> shares(["a", "b", "c"], 2)
    [['a', 'c'], ['b']]
    """
    return [list(names[i::count]) for i in range(count)]
