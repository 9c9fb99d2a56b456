"""One process of the control plane: the product's services, loops and listener, over whatever store survived."""

import contextlib
import json
import random
from collections.abc import Callable, Iterator
from random import Random
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import patch

from controlplane.core.migrations.clean_up import LEFT_BY
from controlplane.identity.audit_key import head_is_signed
from controlplane.loops.agent_watcher import AgentWatcher
from controlplane.loops.audit_checker import AuditChecker
from controlplane.loops.audit_sealer import AuditSealer
from controlplane.loops.clean_up_planner import CleanUpPlanner
from controlplane.loops.dispatcher import Dispatcher
from controlplane.loops.driver import Driver, Loop
from controlplane.loops.lease_reaper import LeaseReaper
from controlplane.loops.rollout_pilot import RolloutPilot
from controlplane.loops.workflow_advancer import WorkflowAdvancer
from controlplane.rpc.agents import servicer as agent_servicer
from controlplane.rpc.agents.servicer import AgentServicer
from controlplane.service.access.identities import Identities
from controlplane.service.access.joining import Joining
from controlplane.service.agents.messages import SessionSettings
from controlplane.service.agents.sessions import Sessions
from controlplane.service.audit.checking import LogCheck
from controlplane.service.audit.log import AuditLog
from controlplane.service.audit.witnessing import Witnesses
from controlplane.service.errors import StoreFailed
from controlplane.service.health.loop_health import LoopHealth
from controlplane.service.inventory.inventory import Inventory
from controlplane.service.migrations import clean_up as clean_up_service
from controlplane.service.migrations import migrations as migrations_service
from controlplane.service.migrations import retrying as retrying_service
from controlplane.service.migrations import way_back as way_back_service
from controlplane.service.migrations.clean_up import CleanUps
from controlplane.service.migrations.migrations import Migrations
from controlplane.service.migrations.planning import Replanned
from controlplane.service.migrations.queries import Queries
from controlplane.service.rollouts.healthy_clock import HealthyClock
from controlplane.service.rollouts.rollouts import Rollouts
from controlplane.service.signals import Signal
from tests.sim import tidying
from tests.sim.rollouts import published
from tests.sim.stored import SimStore
from tests.sim.virtual_time import Process

if TYPE_CHECKING:
    from tests.sim.world import World


# Loops that run so often show, by being late, that heartbeats wait too.
BRISK_S = 2.0


@contextlib.contextmanager
def seams(seed: int) -> Iterator[None]:
    """Put the simulator's seams in place for a while: TLS names the caller, and manifests are planned by the workload.

    The product draws a few numbers itself (jitter); they follow from the seed too.
    """
    before = random.getstate()
    random.seed(seed)
    with (
        patch.object(agent_servicer, "agent_of", lambda context: context.identity),
        patch.object(migrations_service, "plan_migration", lambda tx, resource: _planner[0](resource.name)),
        patch.object(retrying_service, "replan_migration", lambda tx, migration: Replanned(None, ())),
        patch.dict(LEFT_BY, tidying.LEFT_BY),
        patch.object(clean_up_service, "clean_up_params", tidying.clean_up_params),
        patch.object(way_back_service, "decode_result", lambda kind, result: json.loads(result)),
    ):
        try:
            yield
        finally:
            random.setstate(before)


_planner: list[Callable[[str], Any]] = []


def plan_with(planner: Callable[[str], Any]) -> None:
    """Say how a Migration manifest is planned in this history."""
    _planner[:] = [planner]


class Plane:
    """From start to kill. ``clock`` starts at ``not_before_at`` or later, as ``serve.steady_clock`` does."""

    def __init__(self, world: "World", number: int, settings: SessionSettings, rng: Random) -> None:
        self.world = world
        self.process = Process(f"plane {number}")
        self.stopping = Process("stop")
        self.alive = True
        self.serving = False
        self.store = SimStore(world, world.connection, rng)
        self._offset = max(world.wall_offset, self.store.newest_at() - world.loop.time())
        self.changed = Signal()
        self.sessions = Sessions(self.store, self.clock, settings, self.changed)
        self.migrations = Migrations(self.store, self.clock, self.sessions)
        self.inventory = Inventory(self.store, self.clock, self.sessions)
        self.queries = Queries(self.store, self.clock, self.sessions)
        self.clean_ups = CleanUps(self.store, self.clock, self.sessions, *world.tidying.terms)
        nothing = cast(Any, None)  # joining, outputs and authorities are never asked in a session
        self.identities = Identities(
            self.store, self.clock, self.clock, nothing, rng.randbytes, self.sessions, 86_400.0
        )
        vars(self.identities)["found_clone"] = self.sessions.on_clone = self._no_clone
        self.joining = Joining(self.store, self.clock, self.identities, rng.randbytes)
        self.audit = AuditLog(self.store, self.clock, world.audit_key, head_is_signed, self.changed)
        self.log_check = LogCheck(self.store, self.audit, self.clock)
        witnesses = Witnesses(self.audit)
        self.listener = AgentServicer(self.sessions, nothing, self.identities, nothing, "", "sim", witnesses)
        healthy = HealthyClock(settings.late_s, self._brisk)
        self.rollouts = Rollouts(self.store, self.clock, self.sessions, published, "sim", healthy)
        self._driver = Driver(self._loops(rng), self.clock)

    async def _no_clone(self, agent_id: str, why: str) -> None:
        """No machine is copied here, however often it boots and however late its words arrive."""
        self.world.broken("A1", agent_id, f"taken for two machines: {why}")

    def clock(self) -> float:
        """The control plane's own clock."""
        return self.world.loop.time() + self._offset

    def _brisk(self) -> list[LoopHealth]:
        brisk = [loop.health for loop in self._driver.loops if loop.period_s <= BRISK_S]
        return [health for health in brisk if health.name != "rollout_pilot"]

    def _loops(self, rng: Random) -> list[Loop]:
        store, clock, sessions = self.store, self.clock, self.sessions
        pilot = [Loop("rollout_pilot", RolloutPilot(self.rollouts).run, 4.0)] if self.world.rollouts.wanted else []
        cleaner = Loop("clean_up_planner", CleanUpPlanner(self.clean_ups).run, 10.0)
        return [
            *pilot,
            *([cleaner] if self.world.tidying.wanted else []),
            Loop("lease_reaper", LeaseReaper(store, clock, sessions).run, rng.uniform(4.0, 10.0)),
            Loop("agent_watcher", AgentWatcher(store, clock, sessions).run, rng.uniform(5.0, 10.0)),
            Loop("dispatcher", Dispatcher(store, clock, sessions).run, rng.uniform(4.0, 9.0)),
            Loop("workflow_advancer", WorkflowAdvancer(store, clock, sessions).run, rng.uniform(20.0, 60.0)),
            # Once a second in the product; here also more rarely, so that more happens between two heads.
            Loop("audit_sealer", AuditSealer(self.audit).run, rng.choice((2.0, 15.0, 20.0))),
            Loop("audit_checker", AuditChecker(self.log_check).run, rng.uniform(20.0, 60.0)),
        ]

    def start(self) -> None:
        """Take over the store, then serve."""
        self.world.loop.spawn(self.process, self._start(), "start")

    async def _start(self) -> None:
        try:
            await self.sessions.start(self.world.limits)
            await self.identities.start()
        except StoreFailed:
            # The process ends with a message, and its supervisor starts it again.
            self.world.loop.call_soon(self.world.kill_plane)
            self.world.loop.call_later(1.0, self.world.start_plane)
            return
        self.world.watch.plane_started(self)
        self.world.rollouts.plane_serves()
        self._driver.start()
        self.serving = True
        self.world.event("plane serves", self.process.name)

    def kill(self) -> None:
        """kill -9: what was not committed is gone, and nobody here says another word."""
        self.world.event("plane killed", self.process.name)
        self.alive = self.serving = False
        self.store.die()
        self.process.kill()
        # Whatever it still waited for while it stopped will never come.
        self.stopping.kill()
        self._look_at_loops()

    async def stop(self) -> None:
        """Stop as asked: streams end after what they are saying, passes are cut, renewals are made durable."""
        self.world.event("plane stops", self.process.name)
        self.serving = False
        self.listener.end_sessions()
        await self._driver.stop()
        with contextlib.suppress(StoreFailed):
            await self.sessions.flush()
        if self.world.plane is self:
            self.world.mark("a plane was stopped as it should be")
            self.world.kill_plane()
            self.world.loop.call_later(5.0, self.world.start_plane)

    def _look_at_loops(self) -> None:
        for loop in self._driver.loops:
            error = loop.health.last_error
            if error and not error.startswith("StoreFailed"):
                self.world.broken("C", loop.health.name, f"a pass failed: {error}")

    def settle(self) -> None:
        """At the end of a history: see that no loop has failed."""
        self._look_at_loops()
