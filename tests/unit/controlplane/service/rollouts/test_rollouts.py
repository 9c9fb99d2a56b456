"""Rollouts over a real store: hosts hear what was decided, a decision is final, and a restart forgets nothing."""

import asyncio
import json
from typing import Any, NamedTuple, cast

import pytest

from controlplane.core.hosts import Facts, Running
from controlplane.core.model import Failure, Outcome, Requirements, Use
from controlplane.core.states import AttemptState
from controlplane.core.steps.leasing import Refused
from controlplane.identity.authorities import Authorities
from controlplane.manifests.diffing import digest
from controlplane.service.access.identities import Identities
from controlplane.service.errors import NotFound, Precondition
from controlplane.service.health.loop_health import LoopHealth
from controlplane.service.rollouts.healthy_clock import HealthyClock
from controlplane.service.rollouts.hosts import Hosts
from controlplane.service.rollouts.rollouts import Rollouts
from controlplane.service.rollouts.views import RolloutViews
from controlplane.store.verbs.inventory import Resource
from tests.kit.builders import a_plan
from tests.kit.running import run
from tests.unit.controlplane.service.room import Host, Room

OLD, NEW = "a" * 64, "b" * 64
DEBIAN = Facts("debian", "12", "x86_64", 4, 8 << 30, "Europe/Berlin")
QUICK = {"soak": "10s", "waves": ["50%", "100%"], "inFlightMax": 3}


class Target(NamedTuple):
    digest: str
    target_path: str
    min_from: str


class Fleetroom(Room):
    """A room with a Fleet "all", releases 0.2.0 and 0.3.0, and hosts that run 0.1.0."""

    def __init__(self, version: str = "0.2.0") -> None:
        super().__init__()
        self.version = version
        self.loops: list[LoopHealth] = []
        self.members: list[Host] = []
        self.generation = 0
        self.restart()

    def restart(self) -> None:
        """Forget everything that only memory knows of rollouts."""
        self.rollouts = Rollouts(
            self.store, self.clock, self.sessions, self.published, self.version, HealthyClock(25.0, lambda: self.loops)
        )
        # No certificate is issued or shown here, so the authorities are never asked.
        nothing = cast(Authorities, None)
        identities = Identities(self.store, self.clock, self.clock, nothing, bytes, self.sessions, 86_400.0)
        self.hosts = Hosts(self.store, self.clock, self.sessions, self.rollouts, identities)
        self.views = RolloutViews(self.store, self.clock, self.rollouts)

    def published(self, version: str, architecture: str) -> Target | None:
        """What the repository holds."""
        digests = {"0.2.0": NEW, "0.3.0": "c" * 64}
        if architecture != "x86_64" or version not in digests:
            return None
        return Target(digests[version], f"haulier-agentd-{version}-x86_64.tar.zst", "0.1.0")

    async def desire(self, **spec: Any) -> None:
        """Apply the Fleet."""
        text = json.dumps(spec)
        self.generation += 1
        row = Resource("Fleet", "all", self.generation, digest("{}", text), "{}", text, self.now)
        await self.store.write(lambda tx: tx.put_resources([row]))

    async def enlist(self, count: int, **hello: Any) -> None:
        """Connect hosts that run 0.1.0 as a release."""
        for _ in range(count):
            said = {"facts": DEBIAN, "running": Running("0.1.0", OLD, "", "kept"), **hello}
            self.members.append(await self.connect(f"host-{len(self.members)}", **said))

    async def pass_(self, seconds: float = 1.0, heard: bool = True) -> None:
        """Let time pass, hosts be heard, and the pilot look."""
        self.now += seconds
        for loop in self.loops:
            loop.last_run_at = self.now
        if heard:
            for session in self.sessions.by_agent.values():
                session.heard_at = self.now
        await self.rollouts.look()

    async def settle(self) -> None:
        """Pass the time after a start in which nothing is judged."""
        for _ in range(8):
            await self.pass_(4.0)

    def obey(self) -> None:
        """Let every host do at once what it was asked last."""
        for host in self.members:
            for said in host.told:
                for rollout_id, order, _ in said.upgrades:
                    if order.digest:
                        version = {OLD: "0.1.0", NEW: "0.2.0"}[order.digest]
                        running = Running(version, order.digest, OLD, "kept", rollout_id, order.digest)
                        self.sessions.hosts.told(host.id, running)
            host.told.clear()

    def asked(self) -> int:
        """How many hosts were asked for something and have not done it yet."""
        return sum(
            1 for host in self.members for said in host.told if any(order.digest for _, order, _ in said.upgrades)
        )

    async def state(self, subject: str = "all") -> str:
        return str((await self.views.summary(subject)).rollout.state)

    async def counts(self, subject: str = "all") -> dict[str, int]:
        found: dict[str, int] = {}
        for states in (await self.views.summary(subject)).waves.values():
            for state, hosts in states.items():
                found[state] = found.get(state, 0) + hosts
        return found

    async def make(self, **options: Any) -> str:
        said: dict[str, Any] = {"start": True, "supersede": False, "reason": "", "by": "ada", **options}
        request_id = said.pop("request_id", f"request-{self.now}")
        return await self.rollouts.create("all", said.pop("version", "0.2.0"), request_id, **said)


def in_fleetroom(body: Any, version: str = "0.2.0") -> None:
    room = Fleetroom(version)

    async def work() -> None:
        await body(room)
        await room.settled()

    run(work())
    room.healthy()


def test_a_rollout_reaches_every_host_and_says_how_far_it_is() -> None:
    async def body(room: Fleetroom) -> None:
        await room.desire(release="0.2.0", rollout=QUICK)
        await room.enlist(10)
        await room.settle()
        rollout_id = await room.make()
        most = 0
        for _ in range(80):
            await room.pass_(2.0)
            most = max(most, room.asked())
            room.obey()
        assert (await room.state(), await room.counts(), most) == ("succeeded", {"kept": 10}, 3)
        assert room.events(rollout_id)[:3] == ["RolloutProposed", "RolloutStarted", "UpgradeAsked"]
        assert room.events(rollout_id).count("UpgradeKept") == 10
        parts = await room.views.hosts("all")
        assert {(part.row.groups, part.row.from_version) for part in parts} == {(("debian/x86_64/none",), "0.1.0")}

    in_fleetroom(body)


def test_after_a_cancel_nobody_is_asked_whatever_was_under_way() -> None:
    async def body(room: Fleetroom) -> None:
        await room.desire(rollout={**QUICK, "soak": "1s"})
        await room.enlist(10)
        await room.settle()
        rollout_id = await room.make()
        for _ in range(2):
            await room.pass_(2.0)
            room.obey()
        await room.pass_(2.0)
        under_way = [host for host in room.members if host.told]
        assert under_way
        # A look that has decided already, but whose write comes after the cancel, changes nothing.
        await asyncio.gather(
            room.rollouts.steer("all", "RolloutCancelled", "enough", "ada"), *(room.pass_(0.0) for _ in range(3))
        )
        taken_back = [host for host in room.members if any(not o.digest for s in host.told for _, o, _ in s.upgrades)]
        assert taken_back == under_way
        for host in room.members:
            host.told.clear()
        for _ in range(50):
            await room.pass_(5.0)
        assert room.asked() == 0
        events = room.events(rollout_id)
        assert "UpgradeAsked" not in events[events.index("RolloutCancelled") :]
        # Asking again changes nothing; and what is over cannot be paused.
        await room.rollouts.steer("all", "RolloutCancelled", "enough", "ada")
        with pytest.raises(Precondition, match="is cancelled: it cannot be paused"):
            await room.rollouts.steer("all", "RolloutPaused", "", "ada")

    in_fleetroom(body)


def test_a_word_that_was_committed_and_never_sent_is_said_after_a_restart() -> None:
    async def body(room: Fleetroom) -> None:
        await room.desire(rollout=QUICK)
        await room.enlist(3)
        await room.settle()
        await room.make()
        await room.pass_(1.0)
        for host in room.members:
            host.told.clear()
        room.restart()
        await room.pass_(1.0)
        assert room.asked() == 1
        await room.pass_(1.0)
        assert room.asked() == 1, "once a minute is often enough"
        (asked,) = [host for host in room.members if host.told]
        await room.hello(asked, incarnation=2, facts=DEBIAN, running=Running("0.1.0", OLD, "", "kept"))
        asked.told.clear()
        await room.pass_(1.0)
        assert room.asked() == 1, "a new stream has heard nothing"

    in_fleetroom(body)


def test_silence_of_a_busy_control_plane_is_held_against_nobody() -> None:
    async def body(room: Fleetroom) -> None:
        room.loops.append(LoopHealth("lease_reaper", last_run_at=room.now))
        await room.desire(rollout={**QUICK, "missingAfter": "30s"})
        await room.enlist(3)
        await room.settle()
        await room.make()
        await room.pass_(1.0)
        room.loops[0].duration_s = 30.0
        for _ in range(100):
            await room.pass_(3.0, heard=False)
        assert await room.state() == "running"
        room.loops[0].duration_s = 0.0
        # Hosts have a while to be heard again.
        for _ in range(6):
            await room.pass_(4.0, heard=False)
        assert await room.state() == "running"
        for _ in range(20):
            await room.pass_(4.0, heard=False)
        summary = await room.views.summary("all")
        assert (summary.rollout.halt_code, summary.rollout.halted_wave) == ("hosts_failed", 0)

    in_fleetroom(body)


def test_a_fleet_that_desires_a_release_gets_a_rollout_once() -> None:
    async def body(room: Fleetroom) -> None:
        await room.desire(release="0.9.0", rollout=QUICK)
        await room.enlist(2)
        await room.rollouts.reconcile()
        assert "more than one minor version" in room.rollouts.waiting["all"]
        (health,) = await room.hosts.health("all")
        assert health.problems == [f"release 0.9.0 is not rolled out: {room.rollouts.waiting['all']}"]
        await room.desire(release="0.2.0", rollout=QUICK)
        room.now += 60.0
        for session in room.sessions.by_agent.values():
            session.heard_at = room.now
        for _ in range(3):
            await room.rollouts.reconcile()
        assert (await room.state(), room.rollouts.waiting) == ("proposed", {})
        first = (await room.views.summary("all")).rollout.id
        room.now += 1.0
        await room.desire(release="0.3.0", rollout={**QUICK, "start": "auto"})
        room.now += 60.0
        for session in room.sessions.by_agent.values():
            session.heard_at = room.now
        await room.rollouts.reconcile()
        newest = (await room.views.summary("all")).rollout
        assert (newest.version, str(newest.state), await room.state(first)) == ("0.3.0", "running", "cancelled")
        assert len(await room.views.summaries("", 10)) == 2
        # A rollout that a person makes against the manifest is left alone until it is applied again.
        by_hand = await room.make(supersede=True)
        for _ in range(3):
            room.now += 60.0
            await room.rollouts.reconcile()
        assert await room.state(by_hand) == "running"

    in_fleetroom(body)


@pytest.mark.parametrize(
    ("options", "spec", "message"),
    [
        ({"version": ""}, {}, "desires no release"),
        ({"version": "0.2"}, {}, "is not a version of a release"),
        ({"version": "0.1.0"}, {}, "release 0.1.0 is not published for any of these hosts"),
        ({}, {"hosts": {"labels": {"tier": "prod"}}}, "no agent carries the labels"),
    ],
)
def test_what_cannot_be_rolled_out_is_refused(options: dict[str, Any], spec: dict[str, Any], message: str) -> None:
    async def body(room: Fleetroom) -> None:
        await room.desire(**spec)
        await room.enlist(2)
        with pytest.raises(Precondition, match=message):
            await room.make(**options)

    in_fleetroom(body)


def test_hosts_that_cannot_take_part_leave_nothing_to_roll_out() -> None:
    async def body(room: Fleetroom) -> None:
        await room.desire()
        await room.enlist(2, running=Running("0.1.0", OLD, "", "kept", pin="0.1.0"))
        await room.enlist(1, running=Running())
        with pytest.raises(Precondition, match=r"no host can be brought to 0.2.0 now: 2 pinned, 1 not a release"):
            await room.make()
        with pytest.raises(NotFound, match="there is no Fleet other"):
            await room.rollouts.create("other", "", "r", start=True, supersede=False, reason="", by="")
        with pytest.raises(NotFound, match="there is no rollout all"):
            await room.rollouts.steer("all", "RolloutPaused", "", "")

    in_fleetroom(body)


def test_one_rollout_of_a_fleet_at_a_time_and_a_repeat_is_the_same() -> None:
    async def body(room: Fleetroom) -> None:
        await room.desire(rollout=QUICK)
        await room.enlist(2)
        first = await room.make(request_id="one")
        assert await room.make(request_id="one") == first
        with pytest.raises(Precondition, match="is running: wait for its end"):
            await room.make(request_id="two")
        second = await room.make(request_id="three", supersede=True)
        assert (await room.state(first), await room.state(second)) == ("cancelled", "running")

    in_fleetroom(body)


def test_going_back_brings_every_host_back() -> None:
    async def body(room: Fleetroom) -> None:
        await room.desire(rollout={**QUICK, "soak": "1s"})
        await room.enlist(6)
        await room.settle()
        await room.make()
        for _ in range(30):
            await room.pass_(2.0)
            room.obey()
        assert await room.state() == "succeeded"
        await room.rollouts.steer("all", "RolloutRollbackAsked", "we do not like it", "ada")
        for _ in range(10):
            await room.pass_(2.0)
            room.obey()
        assert (await room.state(), await room.counts()) == ("rolled_back", {"returned": 6})
        assert {room.sessions.hosts.running[host.id].digest for host in room.members} == {OLD}

    in_fleetroom(body)


def test_steps_that_fail_on_it_halt_it() -> None:
    async def body(room: Fleetroom) -> None:
        await room.desire(rollout={**QUICK, "soak": "100s"})
        await room.enlist(4)
        await room.settle()

        async def steps(host: Host, name: str, count: int, fail: bool) -> None:
            for number in range(count):
                await room.start(a_plan(target=f"{name}-{number}"), name=f"{name}-{number}")
                for lease in host.grants:
                    failure = Failure("type_mismatch", "no", retryable=False) if fail else None
                    state = AttemptState.FAILED if fail else AttemptState.SUCCEEDED
                    said = Outcome(lease.attempt.id, lease.attempt.fence, state, b"{}", failure, Use(wall_s=1.5))
                    assert host.session is not None
                    await room.sessions.offers.results(host.session, [said])
                host.told.clear()

        for other in room.members:
            await room.hosts.cordon(other.id, "only one at a time", "")
        rollout_id = await room.make()
        await room.pass_(1.0)
        (canary,) = [host for host in room.members if any(said.upgrades for said in host.told)]
        room.obey()
        await room.pass_(1.0)
        await room.hosts.cordon(canary.id, "", "")
        await steps(canary, "bad", 6, fail=True)
        await room.sessions.flush()
        await room.pass_(1.0)
        summary = await room.views.summary(rollout_id)
        assert (str(summary.rollout.state), summary.rollout.halt_code) == ("rolling_back", "step_errors")
        (part,) = [part for part in await room.views.hosts(rollout_id) if part.row.agent_id == canary.id]
        assert (part.row.after.ended, part.row.after.failed) == (6, 6)

    in_fleetroom(body)


# ---- Single hosts


def test_labels_of_an_operator_lie_over_the_hosts_own_and_survive_its_hello() -> None:
    async def body(room: Fleetroom) -> None:
        await room.enlist(1, labels={"tier": "test", "zone": "a"})
        (host,) = room.members
        agent = await room.hosts.label(host.id, {"tier": "prod"}, ["zone"], [], "ada")
        by_facts = {"host/os": "debian", "host/os-version": "12", "host/architecture": "x86_64"}
        assert agent.labels == {"tier": "prod", **by_facts}
        await room.hello(host, incarnation=2, labels={"tier": "test", "zone": "a", "rack": "7"})
        assert host.session is not None and host.session.agent.labels == {"tier": "prod", "rack": "7"}
        agent = await room.hosts.label("host-0", {}, [], ["tier", "zone"], "ada")
        assert agent.labels == {"tier": "test", "zone": "a", "rack": "7"}
        with pytest.raises(Precondition, match="label"):
            await room.hosts.label("host-0", {"no such key!": "x"}, [], [], "ada")
        with pytest.raises(Precondition, match="more than 100 labels"):
            await room.hosts.label("host-0", {f"k{number}": "x" for number in range(101)}, [], [], "ada")

    in_fleetroom(body)


def test_labels_decide_at_once_what_a_host_may_run() -> None:
    async def body(room: Fleetroom) -> None:
        await room.enlist(1)
        (host,) = room.members
        needs = Requirements("load", ("warehouse",), (("tier", "prod"),))
        await room.start(a_plan(requirements=needs))
        assert not host.grants
        await room.hosts.label(host.id, {"tier": "prod"}, [], [], "ada")
        await room.settled()
        assert len(host.grants) == 1

    in_fleetroom(body)


def test_a_cordoned_host_gets_nothing_new_and_why_says_so() -> None:
    async def body(room: Fleetroom) -> None:
        await room.enlist(1)
        (host,) = room.members
        await room.hosts.cordon("host-0", "new disks", "ada")
        migration = await room.start(a_plan())
        assert not host.grants and not any(said.drain_reason for said in host.told)
        (holds,) = await room.queries.why(migration)
        assert [(hold.code, hold.lifted_by) for hold in holds.holds] == [
            ("cordoned_agent", "`haulier agent uncordon host-0`")
        ]
        await room.hello(host, incarnation=2)
        assert not host.grants, "a hello lifts no cordon"
        await room.hosts.cordon("host-0", "", "ada")
        await room.settled()
        assert len(host.grants) == 1
        assert room.events(host.id)[-2:] == ["AgentConnected", "AgentUncordoned"]

    in_fleetroom(body)


def test_a_decommissioned_host_is_gone_and_its_name_is_free() -> None:
    async def body(room: Fleetroom) -> None:
        await room.enlist(1)
        (host,) = room.members
        await room.start(a_plan())
        with pytest.raises(Precondition, match="host-0 holds 1 live leases"):
            await room.hosts.decommission("host-0", "sold", "ada", force=False)
        gone = await room.hosts.decommission("host-0", "sold", "ada", force=True)
        assert (str(gone.state), host.id in room.sessions.by_agent) == ("gone", False)
        refused = await room.hello(host, incarnation=2)
        assert isinstance(refused, Refused) and "is gone" in refused.because
        with pytest.raises(NotFound):
            await room.hosts.decommission("host-0", "sold", "ada", force=True)
        assert await room.join("host-0") != host.id
        assert [agent.name for agent, _ in room.store.see(lambda tx: tx.agents())] == ["host-0"]

    in_fleetroom(body)


def test_a_fleet_is_as_healthy_as_its_manifest_asks() -> None:
    async def body(room: Fleetroom) -> None:
        (nobody,) = await room.hosts.health("")
        assert (nobody.agents, nobody.problems) == (0, [])
        await room.enlist(4)
        await room.desire(replicas=5, health={"readyMin": "80%"})
        await room.hosts.cordon("host-0", "new disks", "")
        (health,) = await room.hosts.health("all")
        assert (health.agents, health.ready, health.versions) == (4, 3, {"0.1.0": 4})
        assert health.problems == [
            "3 of 4 agents are ready, fewer than 80%",
            "3 agents are ready, and there are to be 5",
        ]
        with pytest.raises(NotFound, match="there is no Fleet other"):
            await room.hosts.health("other")

    in_fleetroom(body)


def test_work_that_waits_is_counted_by_class() -> None:
    async def body(room: Fleetroom) -> None:
        await room.start(a_plan())
        (backlog,) = await room.hosts.backlog()
        assert (backlog.requirements.kind, backlog.ready, backlog.running) == ("load", 1, 0)
        assert backlog.oldest_ready_at == room.now
        await room.enlist(1)
        await room.settled()
        (backlog,) = await room.hosts.backlog()
        assert (backlog.ready, backlog.running, backlog.oldest_ready_at) == (0, 1, None)

    in_fleetroom(body)


def test_what_hosts_say_in_heartbeats_is_kept_with_the_next_flush() -> None:
    async def body(room: Fleetroom) -> None:
        await room.enlist(1)
        (host,) = room.members
        said = Running("0.1.0", OLD, "", "held", "roll_1", NEW, "disk_full", "no room", (NEW,), "", False, 7)
        assert room.sessions.hosts.told(host.id, said)
        assert not room.sessions.hosts.told(host.id, said)
        await room.sessions.flush()
        record = (await room.hosts.records())[host.id]
        assert (record.running, record.facts) == (said, DEBIAN)

    in_fleetroom(body)
