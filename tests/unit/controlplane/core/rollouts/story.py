"""A rollout and its hosts, moved on by hand: what the store and the sessions do around the core, in a few lines."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from controlplane.core.hosts import Running
from controlplane.core.rollouts.drafting import draft
from controlplane.core.rollouts.model import (
    MOVING,
    Artefact,
    Host,
    HostState,
    Order,
    Rollout,
    RolloutChanges,
    RolloutHost,
    RolloutPolicy,
    RolloutState,
)
from controlplane.core.rollouts.planning import look, steer

OLD, NEW = "a" * 64, "b" * 64
NOW = 1_000_000.0
PATH = "haulier-agentd-0.2.0-x86_64.tar.zst"
OLD_PATH = "haulier-agentd-0.1.0-x86_64.tar.zst"


def a_host(number: int, **changes: Any) -> Host:
    """A connected host that runs 0.1.0 as a release."""
    host = Host(
        agent_id=f"ag_{number}",
        name=f"host-{number}",
        connected=True,
        architecture="x86_64",
        running=Running("0.1.0", OLD, "", "kept"),
        utc_offset_s=0.0,
        agent_rss_bytes=0,
        incarnation=1,
        groups=("debian/x86_64/sqlite",),
        told=False,
    )
    return host._replace(**changes)


def a_rollout(policy: RolloutPolicy | None = None, **changes: Any) -> Rollout:
    """A running rollout of 0.2.0."""
    rollout = Rollout(
        id="roll_1",
        fleet="production",
        version="0.2.0",
        artefacts=(Artefact("x86_64", NEW, PATH, "0.1.0"),),
        policy=policy or RolloutPolicy(),
        state=RolloutState.RUNNING,
        revision=1,
        wave=0,
        healthy_s=0.0,
        wave_healthy_s=0.0,
        soak_healthy_s=None,
        forgiven=0,
        halt_code="",
        halt_cause="",
        halted_wave=None,
        created_at=NOW,
        ended_at=None,
        created_by="ada",
        reason="",
    )
    return replace(rollout, **changes)


class Story:
    """One rollout over some hosts."""

    def __init__(self, hosts: Iterable[Host], policy: RolloutPolicy | None = None, **changes: Any) -> None:
        self.hosts = {host.agent_id: host for host in hosts}
        self.rollout = a_rollout(policy, **changes)
        self.rows: dict[str, RolloutHost] = {row.agent_id: row for row in draft(self.rollout, [*self.hosts.values()])}
        self.orders: list[Order] = []
        self.events: list[tuple[str, str, str]] = []

    @property
    def state(self) -> str:
        """State of the rollout."""
        return str(self.rollout.state)

    def states(self) -> dict[str, int]:
        """State → hosts."""
        found: dict[str, int] = {}
        for row in self.rows.values():
            found[str(row.state)] = found.get(str(row.state), 0) + 1
        return found

    def in_state(self, state: HostState) -> list[str]:
        """Ids of the hosts in a state, in order of wave."""
        rows = sorted(self.rows.values(), key=lambda row: (row.wave, row.agent_id))
        return [row.agent_id for row in rows if row.state is state]

    def wave(self, number: int) -> list[str]:
        """Ids of the hosts of a wave."""
        return sorted(row.agent_id for row in self.rows.values() if row.wave == number)

    def look(self, healthy_s: float = 0.0) -> list[Order]:
        """Let healthy time pass and look; return what hosts were asked."""
        self.rollout = replace(self.rollout, healthy_s=self.rollout.healthy_s + healthy_s)
        return self._take(look(self.rollout, list(self.rows.values()), self.hosts, NOW + self.rollout.healthy_s))

    def steer(self, event: str, reason: str = "because") -> list[Order]:
        """Decide as a person does."""
        return self._take(steer(self.rollout, list(self.rows.values()), event, NOW + self.rollout.healthy_s, reason))

    def _take(self, changes: RolloutChanges) -> list[Order]:
        for before, row in changes.hosts:
            assert self.rows[row.agent_id].state is before, "the guard of a row is the state that it has"
            self.rows[row.agent_id] = row
        self.rollout = replace(changes.rollout, revision=changes.rollout.revision + 1)
        self.orders += changes.orders
        self.events += changes.events
        assert len({order.agent_id for order in changes.orders}) == len(changes.orders), "one word to each host"
        for order in changes.orders:
            self.hosts[order.agent_id] = self.hosts[order.agent_id]._replace(told=True)
        return changes.orders

    def says(self, agent_id: str, state: str, digest: str = NEW, **changes: Any) -> None:
        """Let a host tell of this rollout."""
        version = {OLD: "0.1.0", NEW: "0.2.0"}[digest]
        running = self.hosts[agent_id].running._replace(
            version=version,
            digest=digest,
            state=state,
            rollout_id=self.rollout.id,
            wanted_digest=NEW,
            cause_code="",
            cause="",
        )
        self.hosts[agent_id] = self.hosts[agent_id]._replace(running=running._replace(**changes))

    def silent(self, agent_id: str) -> None:
        """Let a host be heard no more."""
        self.hosts[agent_id] = self.hosts[agent_id]._replace(connected=False, told=False)

    def obey(self) -> None:
        """Let every host do at once what it was asked."""
        for agent_id, row in self.rows.items():
            if not self.hosts[agent_id].connected:
                continue
            if row.state in MOVING and row.state is not HostState.RETURNING:
                self.says(agent_id, "kept", previous_digest=OLD)
            elif row.state is HostState.RETURNING:
                self.says(agent_id, "kept", OLD, wanted_digest=OLD)

    def go_on(self, looks: int = 200, healthy_s: float = 100.0) -> None:
        """Look and obey until nothing changes any more."""
        for _ in range(looks):
            self.look(healthy_s)
            self.obey()

    def running(self, digest: str) -> int:
        """Number of hosts that run a release."""
        return sum(1 for host in self.hosts.values() if host.running.digest == digest)


SMALL = RolloutPolicy(waves=(0.5, 1.0), soak_s=60.0, in_flight_max=4)


def story(count: int = 10, policy: RolloutPolicy = SMALL, **changes: Any) -> Story:
    """Connected hosts that all run 0.1.0."""
    return Story([a_host(number) for number in range(count)], policy, **changes)


def the_canary(of: Story) -> str:
    """The one canary."""
    (agent_id,) = of.wave(0)
    return agent_id


def with_canary(count: int = 10, policy: RolloutPolicy = SMALL) -> tuple[Story, str]:
    """A story whose canary was asked."""
    told = story(count, policy)
    told.look()
    return told, the_canary(told)
