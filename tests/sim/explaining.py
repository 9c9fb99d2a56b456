"""The property of `haulier why`: lifting exactly what it names makes the step run.

In quiet times a waiting step is picked, asked about, and whatever is named is lifted, by the words of the answer alone,
until the step is granted. Where nothing is named, a grant must follow by itself.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from controlplane.core.states import AgentState
from controlplane.core.steps.reasons import Hold
from controlplane.service.agents.liveness import as_heard
from controlplane.service.migrations.queries import why

if TYPE_CHECKING:
    from tests.sim.host import Host
    from tests.sim.world import World

LOOK_EVERY_S = 4.0
LIFT_AGAIN_S = 15.0
# Several periods of the dispatcher, and of whatever has to reconnect.
DUE_WITHIN_S = 30.0
PATIENCE_S = 900.0

_MARKS = {
    "drained_agent": "why: a drained agent was lifted",
    "datastore_budget": "why: a full budget was lifted",
    "no_agent": "why: a missing label was lifted",
    "retry_backoff": "why: a retry backoff ran out",
    "earlier_step": "why: an earlier step was waited for",
    "slots": "why: slots were lifted",
}


class Explaining:
    """Follows one waiting step at a time while ``active``."""

    def __init__(self, world: "World", rng: Random) -> None:
        self._world = world
        self._rng = rng
        self.active = rng.random() < 0.5
        self._step_id = ""
        self._attempts = 0
        self._since = 0.0  # when this step was picked
        self._unheld_since: float | None = None
        self._lifted: dict[str, float] = {}  # what was named and lifted, and when last
        self._codes: set[str] = set()
        self._lifts: dict[str, Callable[[Hold], None]] = {
            "no_agent": self._equip_agent,
            "drained_agent": self._resume_agent,
            "silent_agent": self._wake_agent,
            "slots": self._add_slot,
            "datastore_budget": self._raise_budget,
            "migrations_limit": self._raise_limit,
        }

    def begin(self) -> None:
        """Faults have ended: look round from now on."""
        if not self.active:
            return
        self._world.loop.call_later(1.0, self._look)
        trouble = self._rng.random()
        if trouble < 0.3:
            for host in self._world.hosts:
                self._world.operators.set_state(host.name, AgentState.DRAINING)
        elif trouble < 0.6:
            for host in self._world.hosts:
                host.reload(replace(host.capabilities, labels=(("zone", "north"),), slots=1))

    def _look(self) -> None:
        plane = self._world.plane
        if plane is not None and plane.serving:
            if self._step_id:
                self._follow()
            if not self._step_id:
                self._pick()
        self._world.loop.call_later(LOOK_EVERY_S, self._look)

    def _pick(self) -> None:
        waiting = self._world.connection.execute(
            "SELECT id, attempts FROM step WHERE state IN ('ready', 'blocked') ORDER BY id"
        ).fetchall()
        tried = [row for row in waiting if row[1]]
        if tried and self._rng.random() < 0.7:
            waiting = tried  # it may wait for its next try
        if waiting:
            self._step_id, self._attempts = self._rng.choice(waiting)
            self._since, self._unheld_since = self._world.loop.time(), None
            self._lifted, self._codes = {}, set()

    def _follow(self) -> None:
        step = self._world.tx.steps([self._step_id])[self._step_id]
        if step.attempts > self._attempts:
            for code in self._codes & _MARKS.keys():
                self._world.mark(_MARKS[code])
            self._step_id = ""
            return
        if step.state not in ("ready", "blocked"):
            self._step_id = ""  # it was cancelled or failed meanwhile
            return
        found = self._ask()
        now = self._world.loop.time()
        if found:
            self._unheld_since = None
            for hold in found:
                self._lift(hold)
            if now - self._since > PATIENCE_S and "earlier_step" not in self._codes:
                codes = ", ".join(hold.code for hold in found)
                self._broken(f"still held after everything named was lifted for {PATIENCE_S:g} s: {codes}")
        elif step.state == "ready":
            self._unheld_since = now if self._unheld_since is None else self._unheld_since
            if now - self._unheld_since > DUE_WITHIN_S:
                self._broken("nothing is named that holds it, and it is not granted")

    def _ask(self) -> list[Hold]:
        plane = self._world.plane
        assert plane is not None, "the caller has looked"
        sessions, now = plane.sessions, plane.clock()
        lock_delay_s = sessions.settings.lock_delay_s
        answers = why(
            self._world.tx,
            self._step_id,
            sessions.offers.limits,
            now,
            lock_delay_s,
            lambda agent: as_heard(sessions, agent, now),
        )
        return list(answers[0].holds)

    def _lift(self, hold: Hold) -> None:
        self._world.event(f"why: {hold.code}", self._step_id, hold.message)
        now = self._world.loop.time()
        if now - self._lifted.get(hold.lifted_by, -1e9) < LIFT_AGAIN_S:
            return  # its effect is still on its way
        self._lifted[hold.lifted_by] = now
        self._codes.add(hold.code)
        lift = self._lifts.get(hold.code)
        if lift is not None:
            lift(hold)

    def _broken(self, message: str) -> None:
        self._world.broken("why", self._step_id, message)

    # Lifting, by the words of the answer.

    def _host(self, name: str) -> "Host":
        return next(host for host in self._world.hosts if host.name == name)

    def _named(self, pattern: str, text: str) -> "Host":
        match = re.search(pattern, text)
        assert match is not None, f"the answer names its agent: {text}"
        return self._host(match[1])

    def _equip_agent(self, hold: Hold) -> None:
        host = self._named(r"the nearest, (\S+), lacks", hold.message)
        capabilities = host.capabilities
        for wanted in hold.lifted_by.removeprefix("an agent with ").split(", "):
            what, name = wanted.partition(" (")[0].rsplit(" ", 1)
            if what == "step kind":
                capabilities = replace(capabilities, kinds=(*capabilities.kinds, name))
            elif what == "datastore":
                capabilities = replace(capabilities, datastores=(*capabilities.datastores, name))
            else:
                key, _, value = name.partition("=")
                others = tuple(label for label in capabilities.labels if label[0] != key)
                capabilities = replace(capabilities, labels=(*others, (key, value)))
        host.reload(capabilities)

    def _resume_agent(self, hold: Hold) -> None:
        host = self._named(r"agent resume (\S+?)`", hold.lifted_by)
        self._world.operators.set_state(host.name, AgentState.SERVING)

    def _wake_agent(self, hold: Hold) -> None:
        host = self._named(r"agent (\S+)$", hold.lifted_by)
        if host.paused:
            host.resume()
        host.start_daemon()

    def _add_slot(self, hold: Hold) -> None:
        host = self._named(r"on (\S+), or", hold.lifted_by)
        host.reload(replace(host.capabilities, slots=host.capabilities.slots + 1))

    def _raise_budget(self, hold: Hold) -> None:
        match = re.search(r"concurrencyMax of datastore (\S+)$", hold.lifted_by)
        assert match is not None, f"the answer names its datastore: {hold.lifted_by}"
        limits = self._world.limits
        steps = {**limits.steps, match[1]: limits.steps[match[1]] + 1}
        self._world.operators.set_limits(replace(limits, steps=steps))

    def _raise_limit(self, hold: Hold) -> None:
        limits = self._world.limits
        match = re.search(r"migrationsMax of datastore (\S+)$", hold.lifted_by)
        if match is None:
            assert limits.migrations_in_all is not None, "the answer names a limit that is set"
            self._world.operators.set_limits(replace(limits, migrations_in_all=limits.migrations_in_all + 1))
        else:
            migrations = {**limits.migrations, match[1]: limits.migrations[match[1]] + 1}
            self._world.operators.set_limits(replace(limits, migrations=migrations))
