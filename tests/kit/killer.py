"""Kills processes of a world in the middle of a step, and starts again what a service manager would.

Every kill is aimed: it waits until a step's child runs, kills, and makes sure that the step had not ended meanwhile, so
that a kill between two steps is never counted.
"""

import random
import signal
import threading
from collections import Counter
from collections.abc import Callable

from tests.kit.processes import alive, reap, send, until
from tests.kit.world import World

KINDS = ("agent", "child", "controlplane", "all")
LOOK_S = 0.005


class Killer:
    """Kills in a thread of its own until it is stopped; also the supervisor that restarts what died."""

    def __init__(
        self, world: World, seed: int, kinds: tuple[str, ...] = KINDS, pause_s: float = 1.0, strikes_max: int = 0
    ) -> None:
        """``strikes_max``: go on restarting but kill no more after so many; 0 means no limit."""
        self._world = world
        self._random = random.Random(seed)
        self._kinds = kinds
        self._pause_s = pause_s
        self._strikes_max = strikes_max
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._guarded, name="killer", daemon=True)
        self.kills: Counter[str] = Counter()
        self.adopted: list[str] = []  # attempts that were running when their daemon alone was killed
        self.killed_attempts: set[str] = set()
        self.error: BaseException | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, with every daemon running again; raise what the thread met."""
        self._stopping.set()
        self._thread.join()
        if self.error is not None:
            raise self.error

    def _guarded(self) -> None:
        try:
            self._run()
        # Kept for stop(), which raises it in the main thread.
        except BaseException as error:  # noqa: BLE001
            self.error = error

    def _run(self) -> None:
        order: list[str] = []
        while not self._stopping.wait(self._pause_s * self._random.uniform(0.2, 1.0)):
            if self._strikes_max and self.kills.total() >= self._strikes_max:
                return
            if not order:
                order = list(self._kinds)
                self._random.shuffle(order)
            if self._strike(order[-1]):
                self.kills[order.pop()] += 1

    def _strike(self, kind: str) -> bool:
        """Kill one kind of process while a step runs; tell whether it was in the middle of a step."""
        running = self._world.attempt_pids()
        while not running:
            if self._stopping.wait(LOOK_S):
                return False
            running = self._world.attempt_pids()
        attempt, (agent, pid) = self._random.choice(sorted(running.items()))
        # Freeze the victim first: what is running when it is frozen is running when it dies.
        send(pid, signal.SIGSTOP)
        if attempt not in self._world.attempt_pids():
            send(pid, signal.SIGCONT)
            return False
        strikes: dict[str, Callable[[], None]] = {
            "agent": lambda: self._agent(agent, attempt, pid),
            "child": lambda: self._child(attempt, pid),
            "controlplane": lambda: self._controlplane(pid),
            "all": lambda: self._all(pid),
        }
        strikes[kind]()
        return True

    def _agent(self, agent: str, attempt: str, pid: int) -> None:
        self._world.kill(agent)
        send(pid, signal.SIGCONT)
        self.adopted.append(attempt)
        self._world.start_agent(agent)

    def _child(self, attempt: str, pid: int) -> None:
        self.killed_attempts.add(attempt)
        send(pid, signal.SIGKILL)
        until(lambda: not alive(pid), 10.0, "a killed step to be gone")

    def _controlplane(self, pid: int) -> None:
        self._world.kill("controlplane")
        send(pid, signal.SIGCONT)
        self._world.start_controlplane()

    def _all(self, pid: int) -> None:
        self._world.kill("controlplane")
        for name in self._world.names:
            self._world.kill(name)
        running = self._world.attempt_pids()
        self.killed_attempts |= set(running)
        for _, child in running.values():
            send(child, signal.SIGKILL)
        self._world.start_controlplane()
        for name in self._world.names:
            self._world.start_agent(name)
        reap(pid)
