"""Looks at the store after every commit: the doctor's checks on each touched migration; on the whole more rarely."""

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from controlplane.core.events import Event
from controlplane.core.health.doctor import Dossier, examine
from controlplane.core.migrations.clean_up import CLEAN_UP
from controlplane.core.model import Attempt
from controlplane.core.states import AGENT_TRANSITIONS, LIVENESS_TRANSITIONS, MIGRATION_MOVING, AgentState, Liveness
from controlplane.service.health.doctor import findings
from tests.sim.heads import ALARMS
from tests.sim.outages import Count, Outages
from tests.sim.turns import Turns

if TYPE_CHECKING:
    from tests.sim.watch import Watch
    from tests.sim.world import World

_ENDS = frozenset({"StepSucceeded", "StepUndone", "AttemptFailed", "AttemptCancelled", "AttemptFenced", "LeaseExpired"})
_MARKS = {
    "LateResult": "a late result was refused",
    "LeaseExpired": "a lease expired",
    "MigrationStuck": "a migration got stuck",
    "MigrationRetried": "a migration was retried",
    "AgentLost": "an agent was believed lost",
    "StepFailed": "a step ran out of tries",
    "MigrationCancelAsked": "a migration was cancelled while it ran",
    "MigrationRefuted": "what a proof refuted was to be put back",
    "MigrationSuperseded": "a migration was superseded by another",
}


@dataclass(slots=True)
class Shape:
    """What never changes of a migration: step id → what it needs, where it writes, what it does."""

    needs: dict[str, list[str]] = field(default_factory=dict)
    target: dict[str, str] = field(default_factory=dict)
    does: dict[str, str] = field(default_factory=dict)
    attempts_max: dict[str, int] = field(default_factory=dict)
    unreachable_for_s: dict[str, float] = field(default_factory=dict)
    datastores: dict[str, tuple[str, ...]] = field(default_factory=dict)


class Audit:
    """Follows the event log; keeps what it has read."""

    def __init__(self, world: "World", watch: "Watch") -> None:
        self._world = world
        self._watch = watch
        self._position = 0
        self._turns = Turns(world)
        self._events: dict[str, list[Event]] = {}
        self._shapes: dict[str, Shape] = {}
        self._writer: dict[str, str] = {}  # target → live attempt
        self._agents: dict[str, tuple[AgentState, Liveness]] = {}
        self.barred_at: dict[str, float] = {}  # agents whose identity was taken away, as far as the log was followed
        self._failures: dict[str, int] = {}
        self.outages = Outages(world)
        self._borne: set[str] = set()  # steps whose last try met an outage that must not count
        self._datastores: dict[str, tuple[str, ...]] = {}  # of each attempt
        self._migration_of_target: dict[str, str] = {}
        self._unconfirmed_end: dict[str, float] = {}  # unfenced target → when an attempt ended that may still live
        self._published: dict[str, list[str]] = {}  # target → migrations whose publish stands there, the newest last
        self.fence_of: dict[str, int] = {}
        self.migration_states: dict[str, str] = {}

    def look(self) -> None:
        """Check what the last commit touched."""
        found = self._world.tx.all("events_after", self._position, 1_000_000)
        if not found:
            return
        self._position = found[-1][0]
        fresh = [Event(*row[1:]) for row in found]
        self._turns.before_look()
        touched: dict[str, None] = {}
        agents: dict[str, None] = {}
        rollouts: set[str] = set()
        for event in fresh:
            if event.type in ALARMS:
                self._broken("C6", event.subject, f"a false alarm: {event.type}: {event.detail}")
            elif event.subject.startswith("roll_"):
                rollouts.add(event.subject)
                self._world.rollouts.follow(event)
            elif event.subject.startswith("ag_"):
                agents[event.subject] = None
                self._fold_agent(event)
            name = _MARKS.get(event.type)
            if name is not None:
                self._world.mark(name)
            if event.type == "StepPlanned":
                # What a clean-up plans comes to the steps of a migration that are known already.
                self._shapes.pop(event.migration_id or "", None)
            if event.migration_id is not None:
                touched[event.migration_id] = None
                self._events.setdefault(event.migration_id, []).append(event)
        for agent_id in agents:
            self._compare_agent(agent_id)
        self._world.rollouts.committed(rollouts)
        attempts: dict[str, Attempt] = {}
        for migration_id in touched:
            attempts |= self._examine(migration_id)
        self._world.tidying.committed(fresh)
        for event in fresh:
            self._turns.follow(event)
            self._follow(event, attempts)
        self._turns.after_look()

    def _fold_agent(self, event: Event) -> None:
        """Agents are what their events fold to, like everything else."""
        state, liveness = self._agents.get(event.subject, (AgentState.SERVING, Liveness.LOST))
        if (state, event.type) in AGENT_TRANSITIONS:
            state = AGENT_TRANSITIONS[state, event.type]
        elif (liveness, event.type) in LIVENESS_TRANSITIONS:
            liveness = LIVENESS_TRANSITIONS[liveness, event.type]
        else:
            self._broken("C3", event.subject, f"{event.type} came to an agent that is {state} and {liveness}")
        self._agents[event.subject] = (state, liveness)

    def _compare_agent(self, agent_id: str) -> None:
        agent = self._world.tx.agent(agent_id)
        assert agent is not None, "its events name it"
        if (agent.state, agent.liveness) != self._agents[agent_id]:
            found, folded = (agent.state, agent.liveness), self._agents[agent_id]
            self._broken("C3", agent_id, f"is {found}, its events fold to {folded}")

    def _examine(self, migration_id: str) -> dict[str, Attempt]:
        tx = self._world.tx
        migration = tx.migration(migration_id)
        assert migration is not None, "its events name it"
        self.migration_states[migration_id] = migration.state
        attempts = tx.attempts_of_migration(migration_id)
        steps = tx.steps_of(migration_id)
        under_way = any(each.id == migration_id for each in tx.under_way())
        needs, events = self.steps_of(migration_id).needs, self._events[migration_id]
        dossier = Dossier(migration, steps, needs, attempts, events, under_way)
        for finding in examine(dossier):
            self._world.broken(finding.promise, finding.subject, finding.message)
        return {attempt.id: attempt for attempt in attempts}

    def _follow(self, event: Event, attempts: dict[str, Attempt]) -> None:
        self._world.trace.append((self._world.loop.time(), "log", event.subject, event))
        if event.type in ("AgentRevoked", "AgentCloned"):
            self.barred_at.setdefault(event.subject, self._world.loop.time())
        elif event.type == "AgentRejoined":
            self.barred_at.pop(event.subject, None)
        if event.type == "MigrationStarted":
            self._started(event)
        elif event.type == "MigrationSuperseded" and event.detail.startswith("superseded by"):
            self._superseded(event)
        if event.type == "StepUndoPlanned" or event.detail == "asked to retry":
            self._failures.pop(event.subject, None)
            self.outages.is_over(event.subject)
        if event.type in ("StepFailed", "StepStuck") and event.subject in self._borne:
            self._broken("S9", event.subject, "it ended at an outage that had not lasted as long as it may")
        self._borne.discard(event.subject)
        if event.attempt_id is None or event.attempt_id not in attempts:
            if event.type == "StepFailed" and "no agent took" in event.detail:
                self._world.mark("a step waited too long for an agent")
            return
        attempt = attempts[event.attempt_id]
        if event.type == "LeaseGranted":
            self._granted(event, attempt)
        elif event.type in _ENDS:
            self._ended(event, attempt)

    def _started(self, event: Event) -> None:
        """Promise S7: no two migrations are under way to one destination."""
        migration = self._world.tx.migration(event.subject)
        assert migration is not None, "its event names it"
        if migration.iteration > 1:
            self._world.mark("a name ran again as its next iteration")
        for other in self._world.tx.migrations_at(migration.place):
            if other.id != migration.id and other.state in MIGRATION_MOVING:
                self._broken("S7", migration.id, f"it was started to where {other.name} ({other.state}) is on its way")

    def _superseded(self, event: Event) -> None:
        """Promise S7: superseded is only over whom another has published.

        By what took effect, not by the destination's records: an outsider may have lost them between the two publishes,
        and the second lies over the first all the same.
        """
        migration = self._world.tx.migration(event.subject)
        assert migration is not None, "its event names it"
        published = self._published.get(migration.place, [])
        if migration.id not in published or published[-1] == migration.id:
            self._broken("S7", migration.id, "superseded, and nobody has published over it")

    def took_effect(self, target_name: str, what: str, migration_id: str) -> None:
        """A publish or withdraw took effect at a target."""
        published = self._published.setdefault(target_name, [])
        if migration_id in published:
            published.remove(migration_id)
        if what == "publish":
            published.append(migration_id)

    def _granted(self, event: Event, attempt: Attempt) -> None:
        now, target = self._world.world_time(event.at), attempt.target
        before = self.fence_of.get(target, 0)
        if attempt.fence <= before:
            self._broken("L1", attempt.id, f"fence {attempt.fence} of {target} follows {before}")
        self.fence_of[target] = max(before, attempt.fence)
        if target in self._writer:
            self._broken("L2", attempt.id, f"{target} has another live writer, {self._writer[target]}")
        self._writer[target] = attempt.id
        self._datastores[attempt.id] = self.steps_of(attempt.migration_id).datastores[attempt.step_id]
        self._check_budgets(attempt)
        self._turns.granted(event, attempt, self._writer)
        earlier = self._migration_of_target.setdefault(target, attempt.migration_id)
        if earlier != attempt.migration_id:
            self._world.mark("two migrations wrote one target")
        free_at = self._unconfirmed_end.get(target, -1e9) + self._world.settings.lock_delay_s
        if now + 0.01 < free_at:
            self._broken(
                "L7", attempt.id, f"{target} can check no fence and was granted {free_at - now:.1f} s too soon"
            )
        if attempt.agent_id in self.barred_at:
            self._broken("A1", attempt.id, f"granted to {attempt.agent_id}, whose identity was taken away")
        self._watch.lease_until[attempt.id] = now + self._world.settings.ttl_s
        self._watch.granted_at[attempt.id] = now

    def _ended(self, event: Event, attempt: Attempt) -> None:
        now = self._world.world_time(event.at)
        if self._writer.get(attempt.target) == attempt.id:
            del self._writer[attempt.target]
        unseen = event.type == "LeaseExpired" or (event.type == "AttemptCancelled" and "operator" in event.detail)
        if unseen and not self._world.destinations.targets[attempt.target].fenced:
            self._unconfirmed_end[attempt.target] = now
        if event.type == "LeaseExpired" and event.detail.startswith("lease_expired"):
            until = self._watch.lease_until.get(attempt.id, 0.0)
            self._watch.lease_expired(attempt.agent_id, attempt.id)
            if now < until - 1.0:
                # A hello gives a whole term to what its agent holds, and to what must be sent to it again.
                holds = attempt.id in self._world.by_agent[attempt.agent_id].disk.intents
                promise = "C1" if holds else "L6"
                self._broken(promise, attempt.id, f"its lease was ended {until - now:.1f} s before its time")
        if event.detail.startswith("kind_refused"):
            # Work is offered by what an agent said it runs, and no host here takes anything back.
            self._broken("L6", attempt.id, "a lease that was sent again was refused for good")
        bearable_s = self.steps_of(attempt.migration_id).unreachable_for_s[attempt.step_id]
        counts = self.outages.counts(event, attempt, bearable_s)
        if counts is Count.BORNE:
            self._borne.add(attempt.step_id)
        elif counts is Count.YES:
            self._count_failure(attempt)
        if event.type in ("StepSucceeded", "StepUndone"):
            if (attempt.id, attempt.fence) not in self._watch.told_success:
                self._broken("L4", attempt.step_id, f"{event.type} although {attempt.id} never reported success")
            self._check_effect(event, attempt)

    def _count_failure(self, attempt: Attempt) -> None:
        """Tries that failed are limited, or a step that cannot succeed would be tried for ever."""
        failures = self._failures[attempt.step_id] = self._failures.get(attempt.step_id, 0) + 1
        limit = self.steps_of(attempt.migration_id).attempts_max[attempt.step_id]
        if failures > limit:
            self._broken("S6", attempt.step_id, f"{failures} tries have failed, {limit} are allowed")

    def _check_budgets(self, attempt: Attempt) -> None:
        """Live leases on a datastore stay within its budget."""
        plane = self._world.plane
        budgets = self._world.limits.steps
        if not budgets or plane is None or plane.sessions.offers.limits != self._world.limits:
            return
        if self._world.loop.time() - self._world.limits_at < 5.0:
            return  # what was granted under the old limits is not stopped
        in_use: dict[str, int] = {}
        for name in self._writer.values():
            for datastore in self._datastores.get(name, ()):
                in_use[datastore] = in_use.get(datastore, 0) + 1
        for datastore in self._datastores[attempt.id]:
            limit = budgets.get(datastore)
            if limit is not None and in_use[datastore] > limit:
                self._broken("budget", attempt.id, f"{in_use[datastore]} leases on {datastore}, allowed are {limit}")

    def _check_effect(self, event: Event, attempt: Attempt) -> None:
        shape = self.steps_of(attempt.migration_id)
        if shape.does[attempt.step_id] in ("check", "clean_up"):
            return
        own = self._world.destinations.targets[attempt.target].publications.get(attempt.migration_id)
        has = own is not None and own.step_id == attempt.step_id
        lost = self._watch.theirs.is_forgotten(attempt.target, attempt.migration_id)
        if event.type == "StepSucceeded" and not (has or lost):
            self._broken("S1", attempt.step_id, "it succeeded without its effect at the destination")
        if event.type == "StepUndone" and has:
            self._broken("S5", attempt.step_id, "it is undone and its effect is still at the destination")

    def steps_of(self, migration_id: str) -> Shape:
        """The unchanging part of a migration."""
        shape = self._shapes.get(migration_id)
        if shape is None:
            tx = self._world.tx
            shape = self._shapes[migration_id] = Shape(tx.needs_of(migration_id))
            classes = tx.classes()
            for step in tx.steps_of(migration_id):
                shape.attempts_max[step.id] = step.attempts_max
                shape.unreachable_for_s[step.id] = step.unreachable_for_s
                shape.datastores[step.id] = classes[step.placement_class].datastores
                body = tx.body(step.id)
                assert body is not None, "every step has a body"
                shape.target[step.id] = step.target
                shape.does[step.id] = json.loads(body.template)["params"].get("does", CLEAN_UP)
        return shape

    def whole(self) -> None:
        """Check everything that is stored."""
        for finding in findings(self._world.tx):
            self._broken(finding.promise, finding.subject, finding.message)

    def state_of(self, attempt_id: str) -> str | None:
        """An attempt's state as stored."""
        row = self._world.connection.execute("SELECT state FROM attempt WHERE id = ?", (attempt_id,)).fetchone()
        return row[0] if row else None

    def was_undone(self, migration_id: str) -> bool:
        """Whether the log knows that somebody asked for the way back, or agreed to lose something on it."""
        asked = ("MigrationCancelAsked", "MigrationRollbackAsked", "DiscardAgreed")
        events = self._world.tx.events_after(0, migration_id, 1_000_000)
        return any(event.type in asked for _, event in events)

    def migrations(self) -> list[tuple[str, str]]:
        """Every migration with its state."""
        return [(row[0], row[1]) for row in self._world.connection.execute("SELECT id, state FROM migration")]

    def _broken(self, promise: str, subject: str, message: str) -> None:
        self._world.broken(promise, subject, message)


def shown(event: Any) -> str:
    """An event of the log as one line."""
    return f"{event.type} {event.detail}".strip()
