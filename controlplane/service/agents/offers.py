"""Work offered to connected agents: which placement classes there are, who may run them, and the grants themselves.

Granting is one transaction, and so are results with the grants that follow them; what memory learns of it comes after.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from controlplane.core.model import Outcome, Requirements
from controlplane.core.states import AgentState
from controlplane.core.steps.admission import Limits
from controlplane.core.steps.placement import matching
from controlplane.service.agents.background import Background
from controlplane.service.agents.host_reports import HostReports
from controlplane.service.agents.messages import SessionSettings, ToAgent
from controlplane.service.agents.session import Session
from controlplane.service.signals import Signal
from controlplane.service.steps.live_leases import LiveLeases
from controlplane.service.steps.settling import GrantedLease, GrantTerms, Settlement, grant, settle
from controlplane.store.port import Brief, Conflict, Store, StoreFailed, Tx

# The code under which an agent that is being stopped refuses a grant that was on its way.
STOPPING = "agent_stopping"
# Settling and granting so many steps holds up the event loop for a few milliseconds; more goes to a thread.
BRIEF_STEPS_MAX = 64


@dataclass(slots=True)
class NewWork:
    """What starting migrations brought: their ids, their placement classes, and how many steps may start per class."""

    migration_ids: list[str] = field(default_factory=list)
    classes: dict[str, Requirements] = field(default_factory=dict)
    readied: Counter[str] = field(default_factory=Counter)


class Offers:
    """Who may have work, whose turn it is, and what is granted."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        settings: SessionSettings,
        leases: LiveLeases,
        hosts: HostReports,
        background: Background,
        changed: Signal,
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._leases = leases
        self._hosts = hosts
        self._background = background
        self._changed = changed
        self._members: dict[str, Session] = {}
        self._classes: dict[str, Requirements] = {}
        self._by_class: dict[str, dict[str, Session]] = {}  # the order is whose turn it is
        self._limits = Limits()

    def start(self, classes: Mapping[str, Requirements], limits: Limits) -> None:
        """Take over what the store holds."""
        self._classes, self._limits = dict(classes), limits

    def join(self, session: Session) -> None:
        """Let an agent have its turns from now on."""
        self._members[session.agent.id] = session
        session.classes = matching(session.agent, self._classes)
        for name in session.classes:
            self._by_class.setdefault(name, {})[session.agent.id] = session

    def leave(self, session: Session) -> None:
        """Offer an agent nothing more on this stream."""
        if self._members.get(session.agent.id) is session:
            del self._members[session.agent.id]
        for name in session.classes:
            self._by_class.get(name, {}).pop(session.agent.id, None)

    @property
    def limits(self) -> Limits:
        """How many steps and migrations may be under way at once."""
        return self._limits

    def set_limits(self, limits: Limits) -> None:
        """Take new limits; what runs already is not stopped."""
        self._limits = limits
        self.offer_all()

    def add_classes(self, classes: Mapping[str, Requirements]) -> None:
        """Take in placement classes that a new migration brought."""
        new = {name: value for name, value in classes.items() if name not in self._classes}
        if not new:
            return
        self._classes |= new
        for session in self._members.values():
            for name in matching(session.agent, new):
                session.classes.append(name)
                self._by_class.setdefault(name, {})[session.agent.id] = session

    def take_work(self, work: NewWork) -> None:
        """Take in migrations that were just started durably."""
        self.add_classes(work.classes)
        self.offer(work.readied)
        self._changed.ring()

    async def results(self, session: Session, outcomes: Sequence[Outcome]) -> None:
        """Make results durable and acknowledge them, handing out new work in the same transaction.

        Raises ``StoreFailed``: the agent keeps what is not acknowledged and says it again.
        """
        await asyncio.shield(self.begin_results(session, outcomes))

    def begin_results(self, session: Session, outcomes: Sequence[Outcome]) -> asyncio.Task[None]:
        """Begin what ``results`` does; it goes on to its end, whoever waits for it."""
        return self._background.begin(self._results(session, outcomes))

    async def _results(self, session: Session, outcomes: Sequence[Outcome]) -> None:
        now = self._clock()
        agent, terms = session.agent, self._terms(session)
        if any(outcome.failure is not None and outcome.failure.code == STOPPING for outcome in outcomes):
            session.stopping = True

        moved = self._leases.moved(outcome.attempt_id for outcome in outcomes)

        def settle_and_grant(tx: Tx) -> tuple[Settlement, list[GrantedLease]]:
            settled = settle(tx, agent.id, outcomes, now, moved)
            return settled, self._grant_in(tx, session, terms, now)

        call = Brief(settle_and_grant) if len(outcomes) + agent.slots <= BRIEF_STEPS_MAX else settle_and_grant
        settled, granted = await self._store.write(call)
        self._leases.remove(settled.ended)
        self._hosts.ended(agent.id, outcomes, settled.ended)
        self._take(granted)
        session.send(ToAgent(acknowledged=settled.acknowledged, grants=granted))
        for lease in granted:
            settled.readied[lease.step.placement_class] -= 1
        self.offer(settled.readied)
        self._changed.ring()

    def offer(self, readied: Mapping[str, int]) -> None:
        """Offer newly ready steps to agents that match and seem to have room, in turn."""
        now = self._clock()
        for name, count in readied.items():
            wanted = count
            for session in list(self._by_class.get(name, {}).values()):
                if wanted <= 0:
                    break
                free = self._room(session, now)
                if free > 0:
                    wanted -= free
                    # To the back of the queue, so that one agent does not get every step.
                    turn = self._by_class[name]
                    turn[session.agent.id] = turn.pop(session.agent.id)
                    self.offer_session(session)

    def offer_all(self) -> None:
        """Look for work for every agent with room: after a backoff ended, a budget grew, an agent resumed."""
        now = self._clock()
        for session in self._members.values():
            if self._room(session, now) > 0:
                self.offer_session(session)

    def wanted_classes(self) -> list[str]:
        """Return the placement classes that some connected agent with room can run."""
        now = self._clock()
        return [
            name
            for name, sessions in self._by_class.items()
            if any(self._room(session, now) > 0 for session in sessions.values())
        ]

    def offer_session(self, session: Session) -> None:
        """Grant this agent what it may run; a second call while the first runs asks again afterwards."""
        if session.granting:
            session.grant_again = True
            return
        session.granting = True
        self._background.spawn(self._grant(session))

    def _terms(self, session: Session) -> GrantTerms:
        settings = self._settings
        return GrantTerms(session.classes, self._classes, self._limits, settings.ttl_s, settings.lock_delay_s)

    def _grant_in(self, tx: Tx, session: Session, terms: GrantTerms, now: float) -> list[GrantedLease]:
        if not self._takes_work(session, now):
            return []
        if self._members.get(session.agent.id) is not session:
            return []  # the stream has gone; the next hello gets the work
        if not tx.serves(session.agent.id, session.agent.incarnation):
            return []  # drained, or without its identity: durably so, and memory does not know it yet
        return grant(tx, session.agent, terms, now)

    def _takes_work(self, session: Session, now: float) -> bool:
        if session.stopping or session.agent.state is not AgentState.SERVING or session.agent.cordon_reason:
            return False
        # Open but silent: work would only wait there. The dispatcher looks again once it is heard.
        return now - session.heard_at < self._settings.late_s

    def _room(self, session: Session, now: float) -> int:
        """Estimate how many more steps an agent may take now."""
        return session.agent.slots - self._leases.held_by(session.agent.id) if self._takes_work(session, now) else 0

    def _granting(self, session: Session, terms: GrantTerms, now: float) -> Callable[[Tx], list[GrantedLease]]:
        def call(tx: Tx) -> list[GrantedLease]:
            return self._grant_in(tx, session, terms, now)

        return Brief(call) if session.agent.slots <= BRIEF_STEPS_MAX else call

    async def _grant(self, session: Session) -> None:
        try:
            while True:
                session.grant_again = False
                now, terms = self._clock(), self._terms(session)
                if self._members.get(session.agent.id) is not session:
                    return
                granted = await self._store.write(self._granting(session, terms, now))
                if granted:
                    self._take(granted)
                    session.send(ToAgent(grants=granted))
                    self._changed.ring()
                if not session.grant_again:
                    return
        except (Conflict, StoreFailed):
            # Nothing was granted; the dispatcher looks again on its next pass.
            return
        finally:
            session.granting = False

    def _take(self, granted: Sequence[GrantedLease]) -> None:
        for lease in granted:
            self._leases.add(lease.attempt, lease.step)
