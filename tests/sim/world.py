"""The simulated world: one of everything a history needs, and the record of what happened in it."""

from collections.abc import Iterable
from random import Random
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controlplane.identity.audit_key import AuditKey
from controlplane.store.sqlite.tx import SqliteTx
from tests.sim import plane as planes
from tests.sim import workload as workloads
from tests.sim.destinations import Destinations
from tests.sim.explaining import Explaining
from tests.sim.faults import Faults
from tests.sim.network import Stream
from tests.sim.operators import Operators
from tests.sim.outsiders import Outsiders
from tests.sim.rollouts import Rollouts
from tests.sim.stored import fresh_connection
from tests.sim.tidying import Tidying
from tests.sim.updater import Updater
from tests.sim.virtual_time import VirtualLoop
from tests.sim.watch import Watch

# Any key will do, and a history must not depend on which.
AUDIT_KEY = AuditKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


class World:
    """Built from a seed. ``broken`` stops the history."""

    def __init__(self, seed: int, loop: VirtualLoop) -> None:
        self.seed = seed
        self.loop = loop
        rng = Random(seed)
        self.rng = rng
        self.marks: set[str] = set()
        self.trace: list[tuple[float, str, str, tuple[Any, ...]]] = []
        self.violation: tuple[str, str, str] | None = None
        self.cause: BaseException | None = None
        self.tampered = False  # somebody got at the store: alarms are right
        self.audit_key = AUDIT_KEY
        self.connection = fresh_connection()
        self.tx = SqliteTx(self.connection)
        self.wall_offset = rng.choice((0.0, 1.7e9))
        self.settings = workloads.settings_of(rng)
        self.load = workloads.workload_of(rng)
        self.limits = workloads.limits_of(Random(f"limits {seed}"), self.load)
        self.limits_at = -1e9
        self.tidying = Tidying(self, Random(f"tidying {seed}"))
        self.watch = Watch(self)
        self.destinations = Destinations(self.watch.effect)
        for name, (fenced, initial) in self.load.targets.items():
            self.destinations.add(name, fenced=fenced, initial=initial)
        self.faults = Faults(self, Random(rng.getrandbits(64)))
        self.operators = Operators(self, Random(rng.getrandbits(64)))
        self.outsiders = Outsiders(self, Random(f"outsiders {seed}"))
        self.explaining = Explaining(self, Random(rng.getrandbits(64)))
        self.hosts = workloads.hosts_of(self, rng)
        self.rollouts = Rollouts(self, Random(rng.getrandbits(64)))
        if self.rollouts.wanted:
            for host in self.hosts:
                host.updater = Updater(host, Random(rng.getrandbits(64)))
        self.by_agent = {host.agent_id: host for host in self.hosts}
        self.streams: list[Stream] = []
        self.plane: planes.Plane | None = None
        self._planes = 0
        self._furnish()

    def _furnish(self) -> None:
        """What is in the store before the history begins: joined agents and applied manifests."""
        planes.plan_with(self.load.planned.__getitem__)
        self.connection.execute("BEGIN")
        for host in self.hosts:
            self.tx.put_agent(workloads.joined(host), self.wall_offset)
        self.tx.put_resources([workloads.manifest(name) for name in self.load.planned])
        self.connection.execute("COMMIT")

    # What happens.

    def event(self, what: str, who: str, *details: Any) -> None:
        """Something happened: count it and remember it for the story."""
        self.trace.append((self.loop.time(), what, who, details))

    def mark(self, name: str) -> None:
        """Something that must happen sometimes has."""
        self.marks.add(name)

    def broken(self, promise: str, subject: str, message: str, cause: BaseException | None = None) -> None:
        """A promise is broken: the history ends here."""
        if self.watch.over and promise not in ("C", "C6"):
            return
        if self.violation is None:
            self.violation = (promise, subject, message)
            self.cause = cause
            self.event("BROKEN", subject, promise, message)
        self.loop.stopped = True

    def committed(self) -> None:
        """The store has committed a batch."""
        self.event("committed", "store")
        self.watch.committed()

    # The control plane's life.

    def start_plane(self) -> None:
        """Start a control plane if none runs."""
        if self.plane is None:
            self._planes += 1
            self.plane = planes.Plane(self, self._planes, self.settings, Random(self.rng.getrandbits(64)))
            self.plane.start()

    def kill_plane(self) -> None:
        """Kill the control plane and everything that is in its memory; streams break."""
        if self.plane is not None:
            self.plane.kill()
            self.plane = None
            self.rollouts.plane_ended()
            for stream in self.open_streams():
                stream.cut(0.5)

    def open_streams(self) -> Iterable[Stream]:
        """Streams that either side still believes in."""
        self.streams = [each for each in self.streams if each.client_open or each.server_open]
        return list(self.streams)

    def world_time(self, plane_instant: float) -> float:
        """The world's instant of one on the control plane's clock."""
        assert self.plane is not None, "only a running control plane has a clock"
        return plane_instant - (self.plane.clock() - self.loop.time())

    def close(self) -> None:
        """The history is over: end every task, so that nothing is left for the collector to trip over."""
        self.loop.stopped = False
        if self.plane is not None:
            self.plane.store.dead = True
            self.plane.alive = False
            self.plane.process.kill()
            self.plane.stopping.kill()
        self.operators.process.kill()
        for host in self.hosts:
            if host.daemon is not None:
                host.daemon.alive = False
                host.daemon.process.kill()
        self.loop.run_until(lambda: True, self.loop.time())
        for host in self.hosts:
            host.disk.give_back()
        self.connection.close()
