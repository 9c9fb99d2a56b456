"""What goes wrong, each kind on its own, all from the seed; and the moment when everything is mended."""

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

import grpc
from haulier.v1 import agent_pb2 as pb

from agentd.core import events
from tests.sim.network import Stream

if TYPE_CHECKING:
    from tests.sim.host import Host
    from tests.sim.world import World


class Faults:
    """Strikes at random instants while ``active``."""

    def __init__(self, world: "World", rng: Random) -> None:
        self._world = world
        self._rng = rng
        self.active = True
        self.last_at = 0.0
        self._stop_point = ""
        self._shared_stop_p = rng.choice((0.0, 0.0, 0.2))
        self.every_s = rng.choice((1e9, 60.0, 25.0, 12.0))
        rough = self.every_s < 1e9
        self._store_p = rng.choice((0.0, 0.0, 0.01)) if rough else 0.0
        self._journal_p = rng.choice((0.0, 0.0, 0.01)) if rough else 0.0
        self.start_fails = rng.choice((0.0, 0.02)) if rough else 0.0
        self._shared_stop_p *= rough
        self._kinds: list[Callable[[], None]] = [
            self._kill_daemon,
            self._kill_child,
            self._reboot,
            self._pause_host,
            self._pause_host,
            self._pause_child,
            self._kill_plane,
            self._stop_plane,
            self._cut,
            self._block,
            self._slow,
            self._stop_daemon,
            self._stale_hello,
            self._arm_stop,
            self._arm_stop,
            self._arm_stop,
            self._outage,
        ]
        # A history with two kinds of fault goes deeper than one with all of them.
        if rng.random() < 0.5:
            self._kinds = rng.sample(self._kinds, 3)

    def begin(self) -> None:
        """Let the first fault come."""
        self._next()

    def _next(self) -> None:
        if self.active and self.every_s < 1e9:
            self._world.loop.call_later(self._rng.expovariate(1 / self.every_s), self._strike)

    def _strike(self) -> None:
        if self.active:
            self.last_at = self._world.loop.time()
            self._rng.choice(self._kinds)()
            self._next()

    def end(self) -> None:
        """Faults stop: ways are free, disks work, and whoever was killed comes back. Stopped children stay stopped."""
        self.active = False
        world = self._world
        self.last_at = world.loop.time()
        world.event("faults end", "world")
        self.start_fails = 0.0
        world.destinations.away.clear()
        for host in world.hosts:
            host.wire.up_blocked = host.wire.down_blocked = False
            host.wire.slow_s = 0.0
            if not host.paused:
                host.start_daemon()
        world.start_plane()

    def store_fails(self) -> bool:
        """Whether this commit meets a full disk."""
        return self.active and self._store_p > 0 and self._rng.random() < self._store_p

    def journal_fails(self) -> bool:
        """Whether this write of an agent's journal fails."""
        return self.active and self._journal_p > 0 and self._rng.random() < self._journal_p

    # Kinds.

    def _host(self) -> "Host":
        return self._rng.choice(self._world.hosts)

    def _note(self, what: str, who: str) -> None:
        self._world.event(f"fault: {what}", who)

    def _kill_daemon(self) -> None:
        host = self._host()
        self._note("daemon killed", host.name)
        host.kill_daemon()
        self._world.loop.call_later(self._rng.choice((0.1, 3.0, 90.0)), host.start_daemon)

    def _kill_child(self) -> None:
        living = [child for host in self._world.hosts for child in host.living()]
        if living:
            child = self._rng.choice(living)
            self._note("child killed", child.grant.attempt_id)
            child.kill()

    def _reboot(self) -> None:
        host = self._host()
        self._note("host rebooted", host.name)
        host.paused = False
        host.reboot()
        self._world.loop.call_later(self._rng.uniform(1.0, 60.0), host.start_daemon)

    def _pause_host(self) -> None:
        host = self._host()
        if host.paused:
            return
        self._note("host stopped (SIGSTOP)", host.name)
        host.pause(with_children=self._rng.random() < 0.8)
        if self._rng.random() < 0.7:
            self._world.loop.call_later(self._rng.choice((2.0, 30.0, 100.0, 250.0)), host.resume)

    def _pause_child(self) -> None:
        living = [child for host in self._world.hosts for child in host.living() if not child.stopped]
        if living:
            child = self._rng.choice(living)
            self._note("child stopped (SIGSTOP)", child.grant.attempt_id)
            child.stop()
            if self._rng.random() < 0.7:
                self._world.loop.call_later(self._rng.choice((5.0, 40.0, 150.0)), child.carry_on)

    def _arm_stop(self) -> None:
        """The next child that comes to this point is stopped there."""
        self._stop_point = self._rng.choice(("before publish", "publish open", "publish open", "after publish"))

    def stops_here(self, point: str, target: str) -> bool:
        """Whether a child that has come to ``point`` is stopped; most of all where others wait for its target."""
        shared = point == "publish open" and target.endswith("/shared") and self._rng.random() < self._shared_stop_p
        if not self.active or (point != self._stop_point and not shared):
            return False
        self._stop_point = ""
        self.last_at = self._world.loop.time()
        if self._rng.random() < 0.4:
            self._world.loop.call_later(self._rng.choice((60.0, 150.0)), self._continue_all)
        return True

    def _continue_all(self) -> None:
        for host in self._world.hosts:
            if not host.paused:
                for child in host.living():
                    child.carry_on()

    def _kill_plane(self) -> None:
        if self._world.plane is not None:
            if self._rng.random() < 0.2:
                self._world.wall_offset -= self._rng.choice((5.0, 50.0))
                self._world.mark("the clock of a restarted plane was set back")
            self._world.kill_plane()
            self._world.loop.call_later(self._rng.choice((0.2, 5.0, 60.0)), self._world.start_plane)

    def _stop_plane(self) -> None:
        plane = self._world.plane
        if plane is not None and plane.serving:
            self._world.loop.spawn(plane.stopping, plane.stop(), "stop")

    def _cut(self) -> None:
        streams = list(self._world.open_streams())
        if streams:
            stream = self._rng.choice(streams)
            self._note("stream reset", stream.agent_id)
            stream.cut(self._rng.choice((0.0, 0.5, 1.0)))

    def _block(self) -> None:
        wire = self._host().wire
        way = self._rng.choice(("up", "down", "both"))
        self._note(f"way blocked: {way}", "network")
        wire.up_blocked = wire.up_blocked or way in ("up", "both")
        wire.down_blocked = wire.down_blocked or way in ("down", "both")
        self._world.loop.call_later(self._rng.choice((3.0, 30.0, 120.0)), _free, wire)

    def _slow(self) -> None:
        wire = self._host().wire
        wire.slow_s = self._rng.choice((0.0, 1.0, 8.0))

    def _outage(self) -> None:
        """What steps write to is away, for seconds or for minutes."""
        destinations = self._world.destinations
        name = self._rng.choice(sorted({each.partition("/")[0] for each in destinations.targets}))
        self._note("a destination cannot be reached", name)
        destinations.away.add(name)
        self._world.loop.call_later(self._rng.choice((5.0, 40.0, 200.0)), destinations.away.discard, name)

    def _stop_daemon(self) -> None:
        host = self._host()
        if host.daemon is not None:
            self._note("daemon asked to stop", host.name)
            host.daemon.post(events.StopAsked(self._rng.choice((0.0, 5.0, 30.0))))

    def _stale_hello(self) -> None:
        """A copy of a host, restored from an old image, calls under the same identity."""
        host, plane = self._host(), self._world.plane
        if plane is None or not plane.serving:
            return
        known = self._world.tx.agent(host.agent_id)
        if known is None or known.incarnation < 2:
            return
        self._note("an old copy of the daemon calls", host.name)

        def welcomed(_: Any) -> None:
            if not ended:
                ended.append(True)
                self._world.broken("L2", host.agent_id, "an older incarnation was welcomed after a newer one")

        def refused(code: grpc.StatusCode | None, _: str) -> None:
            ended.append(True)
            if code is grpc.StatusCode.FAILED_PRECONDITION:
                self._world.mark("a hello was refused")

        ended: list[bool] = []
        stream = Stream(self._world, host.wire, plane, host.agent_id, welcomed, refused)
        self._world.streams.append(stream)
        capabilities = host.capabilities
        hello = pb.Hello(
            incarnation=known.incarnation - 1, agent_version="old", kinds=capabilities.kinds, slots=capabilities.slots
        )
        stream.send_up(pb.SessionRequest(sequence=1, hello=hello))
        stream.start()


def _free(wire: Any) -> None:
    wire.up_blocked = wire.down_blocked = False
