"""Rollouts in a history: releases that are wanted, decisions that change, and what must hold at every moment."""

import json
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from haulier.v1 import release_pb2

from controlplane.core.events import Event
from controlplane.core.rollouts.model import MOVING, OPEN, PATIENT, ROLLOUT_TRANSITIONS, HostState, RolloutState
from controlplane.manifests.diffing import digest
from controlplane.store.port import Tx
from controlplane.store.verbs.inventory import Resource
from tests.sim.updater import BAD, RELEASES, Updater

if TYPE_CHECKING:
    from tests.sim.plane import Plane
    from tests.sim.world import World

FLEET = "all"
R, H = RolloutState, HostState
# What a rollout stores of its healthy clock may be so old.
_SAVED_S = 6.0
_FORWARD = frozenset({R.RUNNING, R.SUCCEEDED})
_BACK = frozenset({R.ROLLING_BACK, R.ROLLED_BACK})
UNFINISHED = frozenset({R.RUNNING, R.ROLLING_BACK})
_MARKS = {
    "RolloutSucceeded": "a rollout succeeded",
    "RolloutHalted": "a rollout halted by itself",
    "RolloutPaused": "a rollout was paused",
    "RolloutCancelled": "a rollout was cancelled",
    "RolloutRolledBack": "a rollout went back",
    "UpgradeCancelled": "a host was asked in vain",
}


class Target(NamedTuple):
    """A published release, as the repository shows it."""

    digest: str
    target_path: str
    min_from: str


def published(version: str, architecture: str) -> Target | None:
    """Return a release for an architecture."""
    found = RELEASES.get(version)
    return None if found is None else Target(found.digest, f"haulier-agentd-{version}-{architecture}.tar.zst", "")


class Rollouts:
    """What people want of releases in one history, and what is looked at. Nothing happens unless ``wanted``."""

    def __init__(self, world: "World", rng: Random) -> None:
        self._world = world
        self._rng = rng
        self.wanted = rng.random() < 0.15
        self._every_s = rng.choice((30.0, 120.0))
        ttl_s = world.settings.ttl_s
        self._missing_after_s = ttl_s * rng.choice((1, 3))
        self._in_flight_max = rng.choice((1, 1, 2))
        self._generation = 0
        self._states: dict[str, RolloutState | None] = {}
        self._healthy = _Served(world)

    # What people do.

    def begin(self) -> None:
        """Let the first release be wanted."""
        if self.wanted:
            self._world.loop.call_later(self._rng.uniform(1.0, 30.0), self._desire)
            self._next()

    def _next(self) -> None:
        self._world.loop.call_later(self._rng.expovariate(1 / self._every_s), self._act)

    def _act(self) -> None:
        if self._world.operators.active:
            self._decide()
            self._next()

    def slow_read(self) -> None:
        """Somebody waits for what was read: a decision that comes just now meets one that is made on the old rows."""
        if self._world.operators.active and self._rng.random() < 0.15:
            self._decide()

    def _decide(self) -> None:
        whim = self._rng.choice(("desire", "Paused", "Resumed", "Resumed", "Resumed", "Cancelled", "RollbackAsked"))
        if whim == "desire":
            self._desire()
        elif self._generation:
            event = f"Rollout{whim}"
            self._world.operators.ask(event, lambda plane: plane.rollouts.steer(FLEET, event, "by chance", "ada"))

    def _desire(self) -> None:
        """Apply the Fleet with another release."""
        version = self._rng.choice(("0.2.0", "0.2.0", "0.5.0", *BAD))
        self._generation += 1
        generation, ttl_s = self._generation, self._world.settings.ttl_s
        rollout = {
            "start": "auto",
            "waves": ["50%", "100%"],
            "inFlightMax": self._in_flight_max,
            "soak": "10s",
            "probation": f"{6 * ttl_s:g}s",
            "missingAfter": f"{self._missing_after_s:g}s",
            "heldMax": f"{20 * ttl_s:g}s",
            "upgradeMax": f"{20 * ttl_s:g}s",
            "failuresMax": 2,
            "failedMax": "60%",
        }
        text = json.dumps({"release": version, "rollout": rollout})

        async def apply(plane: "Plane") -> None:
            row = Resource("Fleet", FLEET, generation, digest("{}", text), "{}", text, plane.clock())

            def put(tx: Tx) -> None:
                known = tx.resource("Fleet", FLEET)
                if known is None or known.generation < generation:  # a repeat, whose first answer was lost
                    tx.put_resources([row])

            await plane.store.write(put)

        self._world.operators.ask(f"desire {version}", apply)

    # What is looked at.

    def follow(self, event: Event) -> None:
        """Compare one event of a rollout with what may follow what, and with what its host really did."""
        rollout_id, before = event.subject, self._states.get(event.subject)
        if (before, event.type) in ROLLOUT_TRANSITIONS:
            self._states[rollout_id] = ROLLOUT_TRANSITIONS[before, event.type]
        elif event.type.startswith("Rollout"):
            self._broken("C3", rollout_id, f"{event.type} came to a rollout that is {before}")
        if event.type in _MARKS:
            self._world.mark(_MARKS[event.type])
        if event.type == "UpgradeAsked" and before not in _FORWARD:
            self._broken("U6", rollout_id, f"{event.agent_id} was asked although the rollout is {before}")
        if event.type == "ReturnAsked" and before not in _BACK:
            self._broken("U6", rollout_id, f"{event.agent_id} was asked to go back although the rollout is {before}")
        if event.agent_id is not None and event.agent_id in self._world.by_agent:
            self._follow_host(event, event.agent_id)

    def _follow_host(self, event: Event, agent_id: str) -> None:
        updater = self._world.by_agent[agent_id].updater
        assert updater is not None, "only hosts with an updater are asked"
        rollout = self._world.tx.rollout(event.subject)
        assert rollout is not None, "its events name it"
        wanted = RELEASES[rollout.version].digest
        if event.type == "UpgradeKept" and wanted not in updater.kept:
            self._broken("U8", event.subject, f"{agent_id} counts as kept and never kept {rollout.version}")
        if event.type == "UpgradeFailed" and event.detail.startswith("overdue"):
            self._must_not_have_kept(updater, agent_id, event.subject, wanted)
        if event.type == "UpgradeFailed" and event.detail.startswith(("missing", "return_missing")):
            healthy_s = self._healthy.since_heard_s(agent_id)
            if healthy_s < self._missing_after_s - 1.0:
                self._broken(
                    "U7", event.subject, f"{agent_id} failed after {healthy_s:.1f} s in which it could be heard"
                )
            self._world.mark("a host was missing for too long")

    def _must_not_have_kept(self, updater: Updater, agent_id: str, rollout_id: str, digest: str) -> None:
        """A host that has said for a while that it keeps a release does not fail because nobody listened."""
        daemon, kept_at = self._world.by_agent[agent_id].daemon, updater.kept.get(digest)
        now, told_within_s = self._world.loop.time(), 2 * self._world.settings.heartbeat_s + self._world.settings.late_s
        if daemon is None or kept_at is None or self._healthy.since_heard_s(agent_id) > self._world.settings.late_s:
            return
        if updater.status.digest == digest and now - kept_at > told_within_s and daemon.agent.connected:
            self._broken(
                "U8", rollout_id, f"{agent_id} failed as overdue {now - kept_at:.1f} s after it kept the release"
            )

    def committed(self, touched: set[str]) -> None:
        """Compare what is stored of rollouts that the last commit touched with their limits."""
        for rollout_id in sorted(touched):
            rollout = self._world.tx.rollout(rollout_id)
            assert rollout is not None, "its events name it"
            rows = self._world.tx.rollout_hosts(rollout_id)
            # Who is held for very long, for something that is not the release's fault, is set aside.
            aside_s = rollout.healthy_s - rollout.policy.held_max_s + _SAVED_S
            moving = sum(
                row.state in MOVING and not (row.state in PATIENT and row.since_healthy_s < aside_s) for row in rows
            )
            if moving > self._in_flight_max:
                self._broken("U6", rollout_id, f"{moving} hosts are on their way, allowed are {self._in_flight_max}")
            early = [row.agent_id for row in rows if row.asked_at is not None and row.wave > rollout.wave]
            if early:
                self._broken("U6", rollout_id, f"{early[0]} was asked before its wave")
        if touched:
            open_ = [each.id for each in self._world.tx.rollouts(FLEET, 100) if each.state in OPEN]
            if len(open_) > 1:
                self._broken("U6", open_[0], f"{len(open_)} rollouts of one fleet are under way at once")

    def leaves_plane(self, agent_id: str, asked: release_pb2.Upgrade) -> None:
        """A host is asked for a release: a durable decision stands behind it, and none against it."""
        rows = {row.agent_id: row for row in self._world.tx.rollout_hosts(asked.rollout_id)}
        row = rows.get(agent_id)
        if row is None or row.asked_at is None:
            self._broken("U6", asked.rollout_id, f"{agent_id} hears of {asked.version}, and was never durably asked")
        elif row.state is H.CANCELLED:
            self._broken("U6", asked.rollout_id, f"{agent_id} hears of {asked.version} after it was taken back")

    def heard(self, agent_id: str) -> None:
        """A word of an agent has arrived at the control plane."""
        self._healthy.heard(agent_id)

    def plane_serves(self) -> None:
        """A control plane begins to serve."""
        self._healthy.begin()

    def plane_ended(self) -> None:
        """The control plane has ended."""
        self._healthy.end()

    def unfinished(self) -> list[str]:
        """Rollouts that go on by themselves."""
        return [f"{rollout_id} is {state}" for rollout_id, state in self._states.items() if state in UNFINISHED]

    def at_rest(self) -> None:
        """When all is over no host keeps a release that is bad."""
        for host in self._world.hosts:
            kept = host.updater.kept if host.updater is not None else ()
            for version, manner in BAD.items():
                if RELEASES[version].digest in kept:
                    self._broken("U3", host.agent_id, f"it kept {version}, which {manner}")

    def _broken(self, promise: str, subject: str, message: str) -> None:
        self._world.broken(promise, subject, message)


class _Served:
    """How long each agent could have been heard since it last was: what a healthy clock can have counted at most."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._before_s = 0.0
        self._from_at: float | None = None  # when silence begins to say something, in this life of the control plane
        self._heard_s: dict[str, float] = {}

    def begin(self) -> None:
        """After a start agents need some time to be heard again."""
        self._from_at = self._world.loop.time() + self._world.settings.late_s

    def end(self) -> None:
        """What comes now counts for nothing."""
        self._before_s, self._from_at = self._now_s(), None

    def heard(self, agent_id: str) -> None:
        """An agent was heard."""
        self._heard_s[agent_id] = self._now_s()

    def since_heard_s(self, agent_id: str) -> float:
        """Return the seconds of healthy since an agent was heard."""
        return self._now_s() - self._heard_s.get(agent_id, 0.0)

    def _now_s(self) -> float:
        began = self._from_at
        return self._before_s + (0.0 if began is None else max(0.0, self._world.loop.time() - began))
