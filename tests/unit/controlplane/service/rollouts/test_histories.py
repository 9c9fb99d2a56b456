"""Random histories of rollouts over a real store, judged from outside.

Hosts obey, lie still, fail or go; the control plane is killed between a decision and its words; people change their
minds.
"""

from random import Random

import pytest

from controlplane.core.hosts import Running
from controlplane.service.errors import Precondition
from tests.unit.controlplane.service.rollouts.test_rollouts import DEBIAN, NEW, OLD, Fleetroom, in_fleetroom

IN_FLIGHT_MAX = 3
HISTORIES = 25
FORBIDDING = {"RolloutPaused", "RolloutHalted", "RolloutCancelled", "RolloutRollbackAsked", "RolloutRolledBack"}
ALLOWING = {"RolloutStarted", "RolloutResumed"}


class History:
    """One random history."""

    def __init__(self, room: Fleetroom, seed: int) -> None:
        self.room = room
        self.chance = Random(seed)
        self.rollout_id = ""

    async def live(self) -> None:
        """Begin, and let sixty things happen."""
        room = self.room
        rollout = {"soak": "5s", "waves": ["30%", "100%"], "inFlightMax": IN_FLIGHT_MAX, "missingAfter": "60s"}
        await room.desire(rollout=rollout)
        await room.enlist(12)
        await room.settle()
        self.rollout_id = await room.make()
        for _ in range(60):
            await self.chance.choice(
                [self.look, self.look, self.hosts_move, self.hosts_move, self.decide, self.trouble]
            )()
            self.judge()

    async def look(self) -> None:
        """Time passes, and the pilot looks."""
        await self.room.pass_(self.chance.choice([0.5, 2.0, 4.0]))

    async def hosts_move(self) -> None:
        """Some hosts do the next thing about what they were asked."""
        book = self.room.sessions.hosts
        for host in self.room.members:
            orders = [order for said in host.told for _, order, _ in said.upgrades]
            if not orders or self.chance.random() < 0.3:
                continue
            order, now = orders[-1], book.running[host.id]
            host.told.clear()
            if not order.digest:
                if now.state in ("fetching", "staged", "held"):
                    book.told(host.id, now._replace(state="kept", wanted_digest="", rollout_id=""))
                continue
            fate = self.chance.choice(["kept", "kept", "kept", "fetching", "probation", "held", "rolled_back"])
            digest = order.digest if fate in ("kept", "probation") else now.digest
            version = {OLD: "0.1.0", NEW: "0.2.0"}[digest]
            failed = (NEW,) if fate == "rolled_back" else ()
            previous = now.digest if digest != now.digest else now.previous_digest
            said = Running(version, digest, previous, fate, self.rollout_id, order.digest, "some_code", "", failed)
            book.told(host.id, said)

    async def decide(self) -> None:
        """A person decides something, whether it can be or not."""
        event = self.chance.choice(["Paused", "Resumed", "Resumed", "Resumed", "Cancelled", "RollbackAsked"])
        if event in ("Cancelled", "RollbackAsked") and self.chance.random() < 0.7:
            return
        try:
            await self.room.rollouts.steer(self.rollout_id, f"Rollout{event}", "by chance", "ada")
        except Precondition:
            return

    async def trouble(self) -> None:
        """The control plane is killed after a decision and before its words; or a host's stream breaks."""
        if self.chance.random() < 0.5:
            await self.room.pass_(1.0)
            for host in self.room.members:
                host.told.clear()
            self.room.restart()
            return
        host = self.chance.choice(self.room.members)
        host.told.clear()
        running = self.room.sessions.hosts.running[host.id]
        number = (host.session.agent.incarnation if host.session is not None else 1) + 1
        await self.room.hello(host, incarnation=number, facts=DEBIAN, running=running)

    def judge(self) -> None:
        """Compare what is stored and what was said with what is promised."""
        room, allowed = self.room, False
        asked: set[str] = set()
        facts = room.store.see(lambda tx: tx.events_after(0, self.rollout_id, 10_000))
        for _, fact in facts:
            if fact.type in FORBIDDING:
                allowed = False
            elif fact.type in ALLOWING:
                allowed = True
            elif fact.type == "UpgradeAsked":
                assert allowed or "RolloutSucceeded" in {each.type for _, each in facts}, "asked after it was forbidden"
                asked.add(fact.agent_id or "")
        moving = ("asked", "fetching", "staged", "probation", "returning")
        counts = room.store.see(lambda tx: tx.rollout_counts(self.rollout_id))
        assert sum(hosts for _, state, hosts, _ in counts if state in moving) <= IN_FLIGHT_MAX
        for host in room.members:
            for said in host.told:
                assert all(host.id in asked for _, order, _ in said.upgrades), (
                    "a word that nothing durable stands behind"
                )


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_whatever_happens_limits_hold_and_nothing_carries_on(seed: int) -> None:
    async def body(room: Fleetroom) -> None:
        await History(room, seed).live()

    in_fleetroom(body)
