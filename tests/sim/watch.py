"""The checks after every event: what each side says, what reaches a destination, what the store commits.

Each check names the promise (design, table of promises) that it found broken. What is known here was learned from the
outside: from messages, effects and committed rows, never from the product's memory.
"""

from typing import TYPE_CHECKING, Any

from haulier.v1 import agent_pb2 as pb

from agentd.core import effects
from agentd.core.grants import Grant, OutcomeKind
from controlplane.core.migrations.restoring import is_refuted, leaves_something
from controlplane.core.states import MIGRATION_ENDED, MigrationState, StepState
from tests.sim.audit import Audit
from tests.sim.destinations import Target, Writer
from tests.sim.heads import Heads
from tests.sim.stored import FSYNC_S_MAX
from tests.sim.theirs import Theirs

if TYPE_CHECKING:
    from tests.sim.host import Daemon, Host
    from tests.sim.plane import Plane
    from tests.sim.world import World

# Nothing of what these do is looked for at a destination.
NO_EFFECT = ("check", "clean_up")
# Clocks are floats; nothing here is decided by less than this.
ROUNDING_S = 0.01


class Watch:
    """One history's observer."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.audit = Audit(world, self)
        self.theirs = Theirs(world)
        self.heads = Heads(world)
        self.over = False  # the store is not the history's any more: only the log itself is looked at
        self.lease_until: dict[str, float] = {}  # attempt → world's instant until which its lease was promised
        self.granted_at: dict[str, float] = {}
        self.acknowledged: dict[str, str] = {}  # attempt → state in the store when its acknowledgement left
        self.acknowledged_to_agent: set[str] = set()
        self.told_success: set[tuple[str, int]] = set()  # attempt and fence of every success an agent reported
        self.delivered: set[str] = set()  # attempts whose grant has reached their agent
        self._welcomed: dict[str, tuple[float, Daemon | None]] = {}  # agent → when its newest welcome came to whom
        self._told_once: set[str] = set()
        self._granted_once: set[str] = set()
        self._accepted: dict[str, int] = {}  # target → highest fence that had an effect there
        self._started: dict[str, list[str]] = {}
        self._undos: set[str] = set()
        self._drains: set[str] = set()
        self._decided: set[str] = set()

    # What the control plane says.

    def leaves_plane(self, agent_id: str, message: pb.SessionResponse, opened_at: float) -> None:
        """Whatever leaves, on a stream that was opened then, must be durable already."""
        connection = self._world.connection
        if message.HasField("welcome"):
            self._welcome_leaves(agent_id, opened_at)
        for attempt_id in message.acknowledged_attempt_ids:
            row = connection.execute("SELECT state FROM attempt WHERE id = ?", (attempt_id,)).fetchone()
            if row is not None:
                if row[0] == "running":
                    self._broken("C1", attempt_id, "its result was acknowledged before it was durable")
                self.acknowledged[attempt_id] = row[0]
        for grant in message.grants:
            self._grant_leaves(agent_id, grant)
        if message.HasField("shown_head"):
            self.heads.shown(agent_id, message.shown_head)
        for directive in message.directives:
            if directive.HasField("upgrade"):
                self._world.rollouts.leaves_plane(agent_id, directive.upgrade)
        now = self._world.loop.time()
        for renewal in message.renewals:
            until = self.lease_until.get(renewal.attempt_id)
            if until is None or now > until + ROUNDING_S:
                self._broken("L2", renewal.attempt_id, f"a lease that had ended at {until} was renewed")
            self.lease_until[renewal.attempt_id] = max(until or 0.0, now + self._world.settings.ttl_s)

    def _welcome_leaves(self, agent_id: str, opened_at: float) -> None:
        """A hello is a proof of life: what its agent holds has a whole term from here, unless it was over already."""
        now = self._world.loop.time()
        if self.audit.barred_at.get(agent_id, opened_at) < opened_at:
            self._broken("A1", agent_id, "it was welcomed although its identity had been taken away before it called")
        live = "SELECT id FROM attempt WHERE agent_id = ? AND state = 'running'"
        for (attempt_id,) in self._world.connection.execute(live, (agent_id,)).fetchall():
            if now <= self.lease_until.get(attempt_id, 0.0):
                self.lease_until[attempt_id] = now + self._world.settings.ttl_s

    def _grant_leaves(self, agent_id: str, grant: pb.LeaseGrant) -> None:
        execute = self._world.connection.execute
        row = execute("SELECT fence, agent_id FROM attempt WHERE id = ?", (grant.attempt_id,)).fetchone()
        if row is None or row[0] != grant.fence:
            self._broken("L1", grant.attempt_id, "its grant left before it was durable")
        elif row[1] != agent_id:
            self._broken("L2", grant.attempt_id, f"granted to {row[1]}, sent to {agent_id}")
        else:
            fence = execute("SELECT fence FROM target WHERE name = ?", (grant.target,)).fetchone()
            if fence is None or fence[0] < grant.fence:
                self._broken("L1", grant.attempt_id, f"its target remembers fence {fence}")
        if grant.attempt_id in self._granted_once:
            self._world.mark("a lease was sent again after hello")
        self._granted_once.add(grant.attempt_id)

    def _is_barred(self, agent_id: str) -> bool:
        row = self._world.connection.execute("SELECT state FROM agent WHERE id = ?", (agent_id,)).fetchone()
        return row is not None and row[0] in ("revoked", "cloned")

    def revoke_answered(self, agent_id: str) -> None:
        """An identity was taken away: nothing may be left of what it opened."""
        live = "SELECT id FROM attempt WHERE agent_id = ? AND state = 'running'"
        left = self._world.connection.execute(live, (agent_id,)).fetchall()
        if left and self._is_barred(agent_id):
            self._broken("A1", agent_id, f"revoked, and {left[0][0]} lives on under it")
        self._world.mark("an agent's identity was taken away")

    def lease_expired(self, agent_id: str, attempt_id: str) -> None:
        """A lease ran out: it must not have been for want of sending it again to an agent that said hello since.

        Only a welcome that came to a daemon that still runs shows that somebody was there: a hello may be on its way
        for longer than its daemon lives, and what answers it then comes to nobody.
        """
        world, host = self._world, self._world.by_agent[agent_id]
        welcomed_at, daemon = self._welcomed.get(agent_id, (0.0, None))
        granted_at = self.granted_at.get(attempt_id, 0.0)
        settled = max(world.faults.last_at, granted_at) < welcomed_at < world.loop.time() - 0.8 * world.settings.ttl_s
        there = daemon is not None and daemon is host.daemon and not host.paused
        if settled and there and attempt_id not in self.delivered:
            self._broken("L6", attempt_id, f"its grant was lost, and not sent again when {agent_id} said hello")

    # What agents do.

    def told(self, host: "Host", report: effects.SendReport) -> None:
        """A report is handed to the link: outcomes must be on disk by then."""
        for outcome in report.results:
            held = host.daemon.agent.held.get(outcome.attempt_id) if host.daemon else None
            if held is not None and outcome.attempt_id not in host.disk.outcomes:
                self._broken("S2", outcome.attempt_id, "its outcome was told before it was on disk")
            if outcome.kind is OutcomeKind.SUCCEEDED:
                self.told_success.add((outcome.attempt_id, outcome.fence))
            if outcome.attempt_id in self._told_once:
                self._world.mark("a result was reported again")
            self._told_once.add(outcome.attempt_id)

    def arrives_at_agent(self, host: "Host", message: pb.SessionResponse, plane: "Plane") -> None:
        """The agent may forget what is acknowledged."""
        self.acknowledged_to_agent.update(message.acknowledged_attempt_ids)
        self.delivered.update(grant.attempt_id for grant in message.grants)
        if message.HasField("welcome") and plane is self._world.plane:
            self._welcomed[host.agent_id] = self._world.loop.time(), host.daemon

    def forgotten(self, host: "Host", attempt_id: str) -> None:
        """An agent drops an attempt: only what the control plane holds may go."""
        if attempt_id not in self.acknowledged_to_agent:
            self._broken("C1", attempt_id, "its agent forgot it without an acknowledgement")

    def child_starts(self, host: "Host", grant: Grant) -> None:
        """A process is about to be started for an attempt."""
        if grant.attempt_id not in host.disk.intents:
            self._broken("S2", grant.attempt_id, "its process was started before its intent was on disk")
        if grant.attempt_id in host.started_ever:
            self._broken("L2", grant.attempt_id, "a second process was started for one attempt")
        host.started_ever.add(grant.attempt_id)

    def child_begins(self, host: "Host", grant: Grant) -> None:
        """A process of an attempt exists from now on."""
        if grant.attempt_id in host.began_ever:
            self._broken("L2", grant.attempt_id, "it was begun twice on one host")
        host.began_ever.add(grant.attempt_id)

    def writer_blocked(self, grant: Grant, holder: str) -> None:
        """A writer found another's transaction open: a predecessor that may be stopped must be named for eviction."""
        state = self.audit.state_of(holder)
        if state in ("lost", "cancelled") and holder not in grant.evict_attempt_ids:
            self._broken("S6", grant.attempt_id, f"it is held up by {holder}, which it was not told to evict")

    def deadline_written(self, host: "Host", attempt_id: str, deadline_at: float) -> None:
        """What a child is told must end before the lease does."""
        until = self.lease_until.get(attempt_id, 0.0)
        if host.world_time(deadline_at) > until + ROUNDING_S:
            late_s = host.world_time(deadline_at) - until
            self._broken("L5", attempt_id, f"its local deadline is {late_s:.3f} s after the end of its lease")

    # What reaches a destination.

    def effect(self, target: Target, what: str, writer: Writer) -> None:
        """Called right after a claim, publish or withdraw took effect."""
        self._world.event(f"destination: {what}", writer.attempt_id, target.name)
        now = self._world.loop.time()
        accepted = self._accepted.get(target.name, 0)
        if writer.fence < accepted:
            promise = "L3" if target.fenced else "L7"
            self._broken(promise, writer.attempt_id, f"{what} with fence {writer.fence} after {accepted}")
        newest = self.audit.fence_of.get(target.name, 0)
        if not target.fenced and writer.fence < newest:
            self._broken("L7", writer.attempt_id, f"unfenced {what} although {target.name} was granted to a successor")
        if not target.fenced and now > self.lease_until.get(writer.attempt_id, 0.0) + ROUNDING_S:
            self._broken("L5", writer.attempt_id, f"unfenced {what} after the end of its lease")
        elif what == "publish" and now > self.lease_until.get(writer.attempt_id, 0.0):
            self._world.mark("fenced work outlived its lease and published all the same")
        self._accepted[target.name] = max(accepted, writer.fence)
        if what.startswith("remove") or what == "withdraw in vain":
            self._world.tidying.effect(target, what, writer)
        elif what != "claim":
            self.audit.took_effect(target.name, what, writer.migration_id)
            self.theirs.effect(target, what, writer)
            self._check_order(what, writer)

    def _check_order(self, what: str, writer: Writer) -> None:
        """Effects come in the order of needs, and go in reverse."""
        steps = self.audit.steps_of(writer.migration_id)
        if what == "withdraw":
            for other_id, needed in steps.needs.items():
                if writer.step_id in needed and self._has_effect(writer.migration_id, other_id):
                    self._broken("S5", writer.step_id, f"undone before {other_id}, which needs it")
            return
        for needed_id in steps.needs.get(writer.step_id, ()):
            lost = self.theirs.is_forgotten(steps.target[needed_id], writer.migration_id)
            if steps.does.get(needed_id) not in NO_EFFECT and not (
                lost or self._has_effect(writer.migration_id, needed_id)
            ):
                self._broken("S1", writer.step_id, f"took effect although {needed_id}, which it needs, has none")

    def _has_effect(self, migration_id: str, step_id: str) -> bool:
        """Whether a step's effect is at its destination, as far as records tell that nobody lost."""
        target = self._world.destinations.targets[self.audit.steps_of(migration_id).target[step_id]]
        own = target.publications.get(migration_id)
        return own is not None and own.step_id == step_id

    # What was promised to people.

    def start_answered(self, request_id: str, migration_ids: list[str]) -> None:
        """A start was answered; a repeat of the request must be answered alike."""
        before = self._started.setdefault(request_id, migration_ids)
        if before != migration_ids:
            self._broken("L6", request_id, f"the repeat was answered {migration_ids}, the first time {before}")

    def decision_answered(self, migration_id: str) -> None:
        """A migration was accepted or abandoned."""
        self._decided.add(migration_id)
        self._world.mark("a person ended a migration as it was")

    def deletion_answered(self, name: str) -> None:
        """A manifest was deleted: nothing open may have needed it."""
        self._world.mark("a manifest was deleted")
        newest = self._world.tx.migration_by_name(name)
        if newest is not None and newest.state not in MIGRATION_ENDED:
            self._broken("S7", name, f"its manifest was deleted, and iteration {newest.iteration} is {newest.state}")

    def undo_answered(self, migration_id: str) -> None:
        """A cancel or rollback was answered."""
        self._undos.add(migration_id)

    def drain_answered(self, agent_id: str) -> None:
        """A drain or resume was answered."""
        self._drains.add(agent_id)

    # Time and restarts.

    def committed(self) -> None:
        """The store has committed."""
        if not self.over:
            self.audit.look()
        self.heads.committed()

    def plane_started(self, plane: "Plane") -> None:
        """A control plane has taken over the store: nothing acknowledged is gone, no live lease is cut short."""
        if self.over:
            return
        self.audit.whole()
        for attempt_id, state in self.acknowledged.items():
            found = self.audit.state_of(attempt_id)
            if found != state:
                self._broken("C1", attempt_id, f"acknowledged as {state}, after the restart it is {found}")
        for migration_ids in self._started.values():
            for migration_id in migration_ids:
                if self._world.tx.migration(migration_id) is None:
                    self._broken("C1", migration_id, "its start was answered, after the restart it is gone")
        for migration_id in self._undos:
            if not self.audit.was_undone(migration_id):
                self._broken("C1", migration_id, "its undo was answered, after the restart nobody knows of it")
        for migration_id in self._decided:
            state = self._world.tx.migration(migration_id).state  # type: ignore[union-attr]
            if state not in (MigrationState.ACCEPTED, MigrationState.ABANDONED):
                self._broken("C1", migration_id, f"its end was answered, after the restart it is {state}")
        self._welcomed.clear()
        # The commit of the grace may have taken so long to be told.
        grace_until = self._world.loop.time() + plane.sessions.settings.ttl_s - FSYNC_S_MAX
        for attempt_id, lease in plane.sessions.book.leases.items():
            until = self._world.loop.time() + (lease.expires_at - plane.clock())
            self.lease_until[attempt_id] = max(self.lease_until.get(attempt_id, 0.0), until, grace_until)

    def _broken(self, promise: str, subject: str, message: str) -> None:
        self._world.broken(promise, subject, message)

    # The end.

    def at_rest(self) -> None:
        """Everything has ended and every late process has had its say: look at the destinations."""
        self.audit.whole()
        plane = self._world.plane
        assert plane is not None, "faults have ended"
        row = self._world.connection.execute(
            "SELECT max((SELECT max(expires_at) FROM attempt), (SELECT max(heard_at) FROM agent))"
        ).fetchone()
        if row[0] is not None and row[0] > plane.clock() + 100 * plane.sessions.settings.ttl_s:
            self._broken("L8", "store", f"an instant of another clock was stored: {row[0]}")
        for target in self._world.destinations.targets.values():
            if target.name not in self.theirs.touched:
                self._check_target(target)
        for agent_id, message in self.sessions_differ():
            self._broken("L6", agent_id, message)
        self._world.rollouts.at_rest()
        for agent_id, message in self.heads.differ():
            self._broken("C6", agent_id, message)
        for migration in self.audit.migrations():
            self._check_migration(*migration)

    def sessions_differ(self) -> list[tuple[str, str]]:
        """Agents whose picture of their session is not the control plane's, each with how."""
        plane = self._world.plane
        differ = []
        for agent_id, host in self._world.by_agent.items():
            session = plane.sessions.by_agent.get(agent_id) if plane is not None else None
            if host.daemon is None or not host.daemon.agent.connected:
                continue
            if session is None:
                differ.append((agent_id, "it believes in its session, and the control plane knows of none"))
            elif host.daemon.agent.draining != (session.agent.state.value == "draining"):
                differ.append((agent_id, f"it drains: {host.daemon.agent.draining}, as asked: {session.agent.state}"))
        return differ

    def _check_target(self, target: Target) -> None:
        chain = sorted(target.publications.values(), key=lambda each: each.place)
        expected = target.initial
        for each in chain:
            if target.fenced and each.kept != expected:
                self._broken("S1", target.name, f"{each.migration_id} keeps {each.kept!r} for undo, not {expected!r}")
            expected = f"rows of {each.step_id}"
        if target.content != expected:
            self._broken("S1", target.name, f"holds {target.content!r}, should hold {expected!r}")

    def _check_migration(self, migration_id: str, state: str) -> None:
        steps = self.audit.steps_of(migration_id)
        for step_id, target_name in steps.target.items():
            own = self._world.destinations.targets[target_name].publications.get(migration_id)
            has = own is not None and own.step_id == step_id
            lost = self.theirs.is_forgotten(target_name, migration_id)
            if state == "succeeded" and steps.does[step_id] not in NO_EFFECT and not (has or lost):
                self._broken("S1", step_id, "its migration has succeeded, its effect is not there")
            if state in ("cancelled", "rolled_back") and has:
                self._broken("S5", step_id, f"its migration is {state}, its effect is still there")
            if has and state == "failed" and self._was_refuted(migration_id):
                self._broken("D9", step_id, "its migration's proof failed, its effect is still there")

    def _was_refuted(self, migration_id: str) -> bool:
        """Whether a failed migration's proof says that what was moved is wrong, and there was a way back."""
        steps = self._world.tx.steps_of(migration_id)
        passed = any(step.pivot and step.state is StepState.SUCCEEDED for step in steps)
        return not passed and any(map(is_refuted, steps)) and any(map(leaves_something, steps))


def rows(found: Any) -> list[Any]:
    """All rows of a cursor."""
    return list(found.fetchall())
