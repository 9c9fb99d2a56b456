"""People: they start, cancel, roll back, retry, drain and resume, and ask again when no answer came."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from controlplane.core.migrations import deciding
from controlplane.core.states import AGENT_BARRED, AgentState
from controlplane.core.steps.admission import Limits
from controlplane.service.errors import NotFound, Precondition, StoreFailed
from controlplane.service.steps.settling import Settlement
from controlplane.store.port import Tx
from controlplane.store.verbs.access import JoinToken
from tests.sim.virtual_time import Process
from tests.sim.workload import manifest

if TYPE_CHECKING:
    from tests.sim.plane import Plane
    from tests.sim.world import World

ASK_AGAIN_S = 15.0
REASON = "operator changed their mind"

Ask = Callable[["Plane"], Awaitable[object]]


class Operators:
    """Acts at random instants while ``active``."""

    def __init__(self, world: "World", rng: Random) -> None:
        self._world = world
        self._rng = rng
        self.active = True
        self._every_s = rng.choice((1e9, 60.0, 20.0))
        self.process = Process("operators")
        self._requests = 0
        self.open_asks = 0

    def begin(self) -> None:
        """Start all migrations, at once or one after the other, and let whims come."""
        names = list(self._world.load.planned)
        if self._rng.random() < 0.5:
            self.start([])
        else:
            for name in names:
                self._world.loop.call_later(self._rng.uniform(0.0, 60.0), self.start, [name])
        self._next()

    def start(self, names: list[str]) -> None:
        """Ask to start migrations, under a request id that is the same for every repeat."""
        self._requests += 1
        request_id = f"request-{self._requests}"

        async def ask(plane: "Plane") -> object:
            started = await plane.migrations.start(names, request_id)
            self._world.watch.start_answered(request_id, started.migration_ids)
            return started

        self.ask(f"start {names or 'all'}", ask)

    def ask(self, what: str, ask: Ask) -> None:
        """Ask until an answer comes."""
        self.open_asks += 1
        self._world.loop.spawn(self.process, self._asked(what, ask), "operator")

    async def _asked(self, what: str, ask: Ask) -> None:
        loop = self._world.loop
        for _ in range(1000):
            plane = self._world.plane
            if plane is not None and plane.serving:
                self._world.event(f"operator: {what}", "operator")
                answer = loop.create_future()
                serving = loop.spawn(plane.process, self._served(plane, ask, answer), "request")
                hasty = self._world.faults.active and self._rng.random() < 0.1
                patience_s = self._rng.uniform(0.0, 0.01) if hasty else ASK_AGAIN_S
                # A caller that has gone is a call that is cancelled, wherever it stands.
                patience = loop.call_later(patience_s, _give_up, answer, serving)
                outcome = await answer
                patience.cancel()
                if outcome != "no answer":
                    self._world.event(f"operator was answered: {outcome}", "operator")
                    break
                self._world.mark("a lost reply was asked for again")
            else:
                pause = loop.create_future()
                loop.call_later(2.0, pause.set_result, None)
                await pause
        self.open_asks -= 1

    async def _served(self, plane: "Plane", ask: Ask, answer: "asyncio.Future[str]") -> None:
        """One request at the listener. Its answer may be lost on the way back."""
        outcome = "done"
        try:
            await ask(plane)
        except (Precondition, NotFound) as refusal:
            outcome = f"refused: {refusal}"
            if "pivot" in outcome:
                self._world.mark("a pivot refused to be undone")
            elif "was removed by its clean-up" in outcome:
                self._world.mark("a rollback was refused, because what it would put back was cleaned up")
        except StoreFailed:
            outcome = "no answer"
        lost = self._world.faults.active and self._rng.random() < 0.1
        if plane.alive and not lost and not answer.done():
            answer.set_result(outcome)

    # Whims.

    def _next(self) -> None:
        if self.active and self._every_s < 1e9:
            self._world.loop.call_later(self._rng.expovariate(1 / self._every_s), self._act)

    def _act(self) -> None:
        if not self.active:
            return
        name = self._rng.choice(list(self._world.load.planned))
        host = self._rng.choice(self._world.hosts)
        whims = ["cancel", "rollback", "retry", "retry", "start", "start", "accept", "abandon", "delete", "apply"]
        whims += ["drain", "resume", "resume", "budgets", "revoke"]
        whim = self._rng.choice(whims)
        if whim in ("cancel", "rollback"):
            asked = "MigrationCancelAsked" if whim == "cancel" else "MigrationRollbackAsked"
            self.ask(f"{whim} {name}", lambda plane: self._undo(plane, name, asked))
        elif whim == "retry":
            self.ask(f"retry {name}", lambda plane: self._retry(plane, name))
        elif whim == "start":
            self.start([name])
        elif whim in ("accept", "abandon"):
            event = deciding.ACCEPT if whim == "accept" else deciding.ABANDON
            self.ask(f"{whim} {name}", lambda plane: self._decide(plane, name, event))
        elif whim == "delete":
            self.ask(f"delete {name}", lambda plane: self._delete(plane, name))
        elif whim == "apply":
            self.ask(f"apply {name}", lambda plane: plane.store.write(lambda tx: _apply(tx, name)))
        elif whim == "revoke":
            self.ask(f"revoke {host.name}", lambda plane: self._revoke(plane, host.name))
            # Whoever took it away lets the host join again, sooner or later.
            rejoin = f"rejoin {host.name}"
            later_s = self._rng.uniform(1.0, 60.0)
            self._world.loop.call_later(later_s, self.ask, rejoin, lambda plane: self._rejoin(plane, host.name))
        elif whim == "budgets":
            limits = self._world.limits
            steps = {name: self._rng.randint(1, 3) for name in limits.steps}
            self.set_limits(replace(limits, steps=steps))
        else:
            self.set_state(host.name, AgentState.DRAINING if whim == "drain" else AgentState.SERVING)
        self._next()

    async def _retry(self, plane: "Plane", name: str) -> None:
        retried = await plane.migrations.retry(name)
        if retried.again:
            self._world.mark("a retry began again at its first step")

    async def _decide(self, plane: "Plane", name: str, event: str) -> None:
        migration_id = await plane.migrations.decide(name, event, REASON)
        self._world.watch.decision_answered(migration_id)

    async def _delete(self, plane: "Plane", name: str) -> None:
        await plane.inventory.delete("Migration", name)
        self._world.watch.deletion_answered(name)

    async def _undo(self, plane: "Plane", name: str, asked: str) -> None:
        migration_id = await plane.migrations.undo(name, asked, REASON)
        self._world.watch.undo_answered(migration_id)

    async def _revoke(self, plane: "Plane", name: str) -> None:
        agent = await plane.identities.revoke(name, "operator", "")
        self._world.watch.revoke_answered(agent.id)

    async def _rejoin(self, plane: "Plane", name: str) -> None:
        """A token made for the name, used on its host; certificates are not modelled."""

        def begin_anew(tx: Tx) -> tuple[str, Settlement] | None:
            known = tx.agent_by_name(name)
            assert known is not None, "every host has joined"
            if known.state not in AGENT_BARRED:
                return None  # it has joined again already: a repeat, whose first answer was lost
            token = JoinToken("", name, 0.0, "", "", "", None)
            return known.id, plane.joining._readmit(tx, known, token, plane.clock())

        joined = await plane.store.write(begin_anew)
        if joined is not None:
            await plane.identities.readmitted(*joined)
            self._world.mark("an agent joined again after its identity was taken away")

    async def _set_state(self, plane: "Plane", name: str, state: AgentState) -> None:
        agent = await plane.sessions.set_state(name, state, "operator")
        assert agent is not None, "every host has joined"
        self._world.watch.drain_answered(agent.id)

    def set_state(self, name: str, state: AgentState) -> None:
        """Drain an agent, or let it take work again."""
        what = "drain" if state is AgentState.DRAINING else "resume"
        self.ask(f"{what} {name}", lambda plane: self._set_state(plane, name, state))

    def set_limits(self, limits: Limits) -> None:
        """Apply other limits."""
        lower = any(limit < self._world.limits.steps[name] for name, limit in limits.steps.items())
        self._world.limits_at = self._world.loop.time() + (600.0 if lower else 0.0)
        self._world.limits = limits
        plane = self._world.plane
        if plane is not None and plane.serving:
            plane.sessions.offers.set_limits(limits)


def _apply(tx: Tx, name: str) -> None:
    """Apply a deleted manifest again."""
    if tx.resource("Migration", name) is None:
        generation = tx.deleted_generations()["Migration", name]
        tx.put_resources([manifest(name)._replace(generation=generation + 1)])


def _give_up(answer: "asyncio.Future[str]", serving: "asyncio.Task[None]") -> None:
    if not answer.done():
        answer.set_result("no answer")
        serving.cancel()
