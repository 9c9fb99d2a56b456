"""Agents and their open sessions: who is connected, what it holds, what it is offered.

Durable facts go through the store; what is only here (sessions, renewals, samples) may be lost with the process: a
restart gives every live lease a grace period and every agent says hello again.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from controlplane.core.events import Event, asked_by
from controlplane.core.model import Agent, Held, Introduction, Outcome, Requirements
from controlplane.core.states import AGENT_BARRED, AgentState, agent_after
from controlplane.core.steps.admission import Limits
from controlplane.core.steps.leasing import Refused, Renewed
from controlplane.core.steps.placement import matching
from controlplane.identity.peers import Identity
from controlplane.service.agents.clones import Life, Rivals, other_life
from controlplane.service.agents.hello import introduce, superseded
from controlplane.service.agents.host_reports import HostBook
from controlplane.service.agents.messages import FleetSettings as FleetSettings
from controlplane.service.agents.messages import ToAgent as ToAgent
from controlplane.service.agents.messages import UpgradeTerms as UpgradeTerms
from controlplane.service.errors import Precondition
from controlplane.service.signals import Signal
from controlplane.service.steps.live_leases import LeaseBook
from controlplane.service.steps.settling import GrantedLease, GrantTerms, Settlement, grant, settle
from controlplane.store.port import Brief, Conflict, Store, StoreFailed, Tx
from controlplane.store.verbs.attempts import Heard

T = TypeVar("T")

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


class Session:
    """One open stream of one agent."""

    def __init__(
        self, agent: Agent, classes: list[str], send: Callable[[ToAgent], None], end: Callable[[], None], now: float
    ) -> None:
        self.agent = agent
        self.classes = classes
        self.send = send
        self.end = end  # ends the stream, so that a living agent dials again
        self.heard_at = now
        self.stopping = False  # its daemon is on its way out and refuses whatever it is granted
        self.granting = False
        self.grant_again = False
        self.authority = ""  # key id of who signed its certificate
        self.life = Life(agent.boot_id)


class Fleet:
    """The agents of one control plane."""

    def __init__(self, store: Store, clock: Callable[[], float], settings: FleetSettings, changed: Signal) -> None:
        self._store = store
        self._clock = clock
        self.settings = settings
        self.changed = changed
        self.book = LeaseBook()
        self.sessions: dict[str, Session] = {}
        self._classes: dict[str, Requirements] = {}
        self._limits = Limits()
        self._by_class: dict[str, dict[str, Session]] = {}
        self._samples: dict[str, str] = {}
        self.hosts = HostBook()
        self._hellos: dict[str, int] = {}  # how many each agent has said since the start
        self._rivals = Rivals()
        self.on_clone: Callable[[str, str], Coroutine[Any, Any, None]] | None = None  # agent id, why
        self._flushed_at = 0.0
        self.began_at = clock()
        self._tasks: set[asyncio.Task[Any]] = set()

    def now(self) -> float:
        """Return the instant by the control plane's clock."""
        return self._clock()

    async def start(self, limits: Limits) -> None:
        """Take over what the store holds; no live lease ends before a full TTL from now (grace)."""
        now = self.began_at = self._clock()
        grace_until = now + self.settings.ttl_s

        def load(tx: Tx) -> Any:
            tx.extend_all(grace_until)
            return tx.live_rows(), tx.classes()

        rows, self._classes = await self._store.write(load)
        self.book.load(rows, grace_until=grace_until, now=now)
        self._limits = limits

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
        for session in self.sessions.values():
            for name in matching(session.agent, new):
                session.classes.append(name)
                self._by_class.setdefault(name, {})[session.agent.id] = session

    def take_work(self, work: NewWork) -> None:
        """Take in migrations that were just started durably."""
        self.add_classes(work.classes)
        self.offer(work.readied)
        self.changed.ring()

    async def open(
        self,
        agent_id: str,
        hello: Introduction,
        send: Callable[[ToAgent], None],
        end: Callable[[], None],
        shown: Identity | None = None,
    ) -> Session | Refused:
        """Begin a session; the caller sends Welcome before it lets ``send``'s messages out.

        ``end`` is called when another stream of the same agent takes over. ``shown`` is what its certificate says.
        """
        now, life = self._clock(), Life(hello.boot_id, hello.state_place)
        old = self.sessions.get(agent_id)
        if old is not None:
            other = await other_life(self._store, old.agent, old.life, hello)
            if other is not None:
                return other
            old = self.sessions.get(agent_id)
        if old is not None:
            if hello.incarnation < old.agent.incarnation:
                # The living daemon keeps its stream: a stale twin must not be able to cut it off.
                return superseded(old.agent, hello)
            # Before the transaction: a grant for the old stream that runs after it would be sent to nobody.
            self._overtake(old)

        number = self._hellos[agent_id] = self._hellos.get(agent_id, 0) + 1
        answer = await self._store.write(
            lambda tx: introduce(tx, agent_id, hello, now, lock_delay_s=self.settings.lock_delay_s, shown=shown)
        )
        if isinstance(answer, Refused):
            return answer
        agent, again, kept, cancels, lost = answer
        self.book.remove(lost.ended)
        self.offer(lost.readied)
        # A hello is a proof of life: what the agent holds, and what it is sent again, has a whole term before it.
        until = self._clock() + self.settings.ttl_s
        for held in kept:
            self.book.adopt(held.attempt_id, agent.incarnation, until=until, now=now)
        again = [lease for lease in again if self.book.adopt(lease.attempt.id, agent.incarnation, until=until, now=now)]
        session = Session(agent, matching(agent, self._classes), send, end, now)
        session.authority = shown.authority if shown is not None else ""
        session.life = life
        if self._hellos[agent_id] != number:
            # Two hellos of one agent waited for the store together. What the later one said is what is stored now, even
            # if its stream has gone meanwhile: should this be the living stream, its agent says hello again.
            end()
            return session
        self.sessions[agent_id] = session
        self.hosts.introduced(agent_id, hello.facts, hello.running)
        for name in session.classes:
            self._by_class.setdefault(name, {})[agent_id] = session
        self.changed.ring()
        drain = agent.drain_reason if agent.state is AgentState.DRAINING else None
        # It was told to drain and the word to resume never reached it.
        resume = hello.draining and drain is None
        if again or cancels or resume or drain is not None:
            send(ToAgent(grants=again, cancels=cancels, drain_reason=drain, resume=resume))
        self.offer_session(session)
        return session

    def close(self, session: Session) -> None:
        """End a session; the agent watcher judges what the silence means."""
        if self.sessions.get(session.agent.id) is session:
            self._forget(session)
            self.changed.ring()

    def heartbeat(self, session: Session, held: Iterable[Held], sequence: int, sample: str) -> None:
        """Renew what the agent holds; what it may not hold any more it is told to stop."""
        now = self._clock()
        session.heard_at = now
        silence_s = self.settings.heartbeat_s + self.settings.heartbeat_grace_s
        two = self._rivals.proven(session.agent.id, session.life, now, silence_s)
        if two and self.on_clone is not None:
            self.spawn(self.on_clone(session.agent.id, two))
        if sample:
            self._samples[session.agent.id] = sample
        answer = ToAgent()
        for item in held:
            renewed = self.book.renew(
                item,
                agent_id=session.agent.id,
                incarnation=session.agent.incarnation,
                now=now,
                ttl_s=self.settings.ttl_s,
            )
            if isinstance(renewed, Renewed):
                answer.renewals.append((item.attempt_id, item.fence, self.settings.ttl_s, sequence))
            else:
                answer.cancels.append((item.attempt_id, item.fence, renewed.because))
        if answer.renewals or answer.cancels:
            session.send(answer)

    def met(self, agent_id: str, life: Life) -> None:
        """Take note that another life of a connected agent goes on: it answered a welcome."""
        session = self.sessions.get(agent_id)
        if session is not None and life.is_other(session.life):
            self._rivals.met(agent_id, life, session.life, self._clock())

    def ask_to_renew(self, agent_id: str, reason: str) -> None:
        """Ask a connected agent to renew its identity now."""
        session = self.sessions.get(agent_id)
        if session is not None:
            session.send(ToAgent(renew_identity=reason))

    def expel(self, agent_id: str, ended: Iterable[str], readied: Mapping[str, int]) -> None:
        """Forget an agent that lost its identity, and its leases, which have ended durably; its work goes to others."""
        self.book.remove(ended)
        session = self.sessions.get(agent_id)
        if session is not None:
            self._forget(session)
        self._rivals.forget(agent_id)
        self.offer(readied)
        self.changed.ring()

    async def results(self, session: Session, outcomes: Sequence[Outcome]) -> None:
        """Make results durable and acknowledge them, handing out new work in the same transaction.

        Raises ``StoreFailed``: the agent keeps what is not acknowledged and says it again.
        """
        await asyncio.shield(self.begin_results(session, outcomes))

    def begin_results(self, session: Session, outcomes: Sequence[Outcome]) -> asyncio.Task[None]:
        """Begin what ``results`` does; it goes on to its end, whoever waits for it."""
        return self._begin(self._results(session, outcomes))

    async def _results(self, session: Session, outcomes: Sequence[Outcome]) -> None:
        now = self._clock()
        agent, terms = session.agent, self._terms(session)
        if any(outcome.failure is not None and outcome.failure.code == STOPPING for outcome in outcomes):
            session.stopping = True

        moved = self.book.moved(outcome.attempt_id for outcome in outcomes)

        def settle_and_grant(tx: Tx) -> tuple[Settlement, list[GrantedLease]]:
            settled = settle(tx, agent.id, outcomes, now, moved)
            return settled, self._grant_in(tx, session, terms, now)

        call = Brief(settle_and_grant) if len(outcomes) + agent.slots <= BRIEF_STEPS_MAX else settle_and_grant
        settled, granted = await self._store.write(call)
        self.book.remove(settled.ended)
        self.hosts.ended(agent.id, outcomes, settled.ended)
        self._take(granted)
        session.send(ToAgent(acknowledged=settled.acknowledged, grants=granted))
        for lease in granted:
            settled.readied[lease.step.placement_class] -= 1
        self.offer(settled.readied)
        self.changed.ring()

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
        for session in self.sessions.values():
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
        self.spawn(self._grant(session))

    def cancel(self, ended: Iterable[tuple[str, str, int, str]]) -> None:
        """Forget leases by (agent, attempt, fence, reason) and tell their agents to stop."""
        told: dict[str, ToAgent] = {}
        for agent_id, attempt_id, fence, reason in ended:
            self.book.remove([attempt_id])
            told.setdefault(agent_id, ToAgent()).cancels.append((attempt_id, fence, reason))
        for agent_id, message in told.items():
            session = self.sessions.get(agent_id)
            if session is not None:
                session.send(message)

    async def set_state(self, name_or_id: str, state: AgentState, reason: str, by: str = "") -> Agent | None:
        """Drain an agent or let it take work again, as ``by`` asked; None when there is no such agent.

        Safe to repeat.
        """
        return await self.unbroken(self._set_state(name_or_id, state, reason, by))

    async def _set_state(self, name_or_id: str, state: AgentState, reason: str, by: str) -> Agent | None:
        now = self._clock()

        def change(tx: Tx) -> Agent | None:
            agent = tx.agent(name_or_id) or tx.agent_by_name(name_or_id)
            if agent is None or agent.state is state:
                return agent
            if agent.state in AGENT_BARRED:
                raise Precondition(
                    f"agent {agent.name} is {agent.state}: {agent.drain_reason}; let it join again first"
                )
            event = "AgentDrained" if state is AgentState.DRAINING else "AgentResumed"
            agent = replace(agent, state=agent_after(agent.state, event, agent.id), drain_reason=reason)
            tx.put_agent(agent, now)
            tx.record([Event(now, event, agent.id, agent_id=agent.id, detail=asked_by(by, reason))])
            return agent

        agent = await self._store.write(change)
        session = self.sessions.get(agent.id) if agent else None
        if agent and session:
            session.agent = replace(session.agent, state=agent.state, drain_reason=agent.drain_reason)
            if state is AgentState.DRAINING:
                session.send(ToAgent(drain_reason=reason))
            else:
                session.send(ToAgent(resume=True))
                self.offer_session(session)
        self.changed.ring()
        return agent

    def place_again(self, agent: Agent) -> None:
        """Take in what an operator changed of an agent: its labels, its cordon; and look what it may run now."""
        session = self.sessions.get(agent.id)
        if session is not None:
            for name in session.classes:
                self._by_class.get(name, {}).pop(agent.id, None)
            session.agent = replace(session.agent, labels=agent.labels, cordon_reason=agent.cordon_reason)
            session.classes = matching(session.agent, self._classes)
            for name in session.classes:
                self._by_class.setdefault(name, {})[agent.id] = session
            self.offer_session(session)
        self.changed.ring()

    async def flush(self) -> None:
        """Make durable what heartbeats moved since the last flush, in one transaction."""
        rows = self.book.take_flush()
        running, tallies = self.hosts.take_flush()
        since, self._flushed_at = self._flushed_at, self._clock()
        heard = {
            agent_id: Heard(session.heard_at, self._samples.pop(agent_id, ""))
            for agent_id, session in self.sessions.items()
            if session.heard_at >= since
        }
        if not (rows or heard or running or tallies):
            return

        def keep(tx: Tx) -> None:
            tx.flush(rows, heard)
            tx.flush_hosts(running, tallies, self._flushed_at)

        await self._store.write(keep)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something in the background of this room; its reference is kept until it ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def unbroken(self, work: Coroutine[Any, Any, T]) -> T:
        """Do ``work`` to its end, also when whoever asked for it has gone meanwhile.

        For a write and what memory learns from it: a call that is cancelled in between, because its stream broke while
        the disk was slow, would leave a lease in the store that nobody here knows, and so nobody ever ends.
        """
        return await asyncio.shield(self._begin(work))

    def _begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Whoever still waits is told; a failure that nobody waits for any more changed nothing.
            task.exception()

    def _terms(self, session: Session) -> GrantTerms:
        settings = self.settings
        return GrantTerms(session.classes, self._classes, self._limits, settings.ttl_s, settings.lock_delay_s)

    def _grant_in(self, tx: Tx, session: Session, terms: GrantTerms, now: float) -> list[GrantedLease]:
        if not self._takes_work(session, now):
            return []
        if self.sessions.get(session.agent.id) is not session:
            return []  # the stream has gone; the next hello gets the work
        if not tx.serves(session.agent.id, session.agent.incarnation):
            return []  # drained, or without its identity: durably so, and memory does not know it yet
        return grant(tx, session.agent, terms, now)

    def _takes_work(self, session: Session, now: float) -> bool:
        if session.stopping or session.agent.state is not AgentState.SERVING or session.agent.cordon_reason:
            return False
        # Open but silent: work would only wait there. The dispatcher looks again once it is heard.
        return now - session.heard_at < self.settings.late_s

    def _room(self, session: Session, now: float) -> int:
        """Estimate how many more steps an agent may take now."""
        return session.agent.slots - self.book.held_by(session.agent.id) if self._takes_work(session, now) else 0

    def _granting(self, session: Session, terms: GrantTerms, now: float) -> Callable[[Tx], list[GrantedLease]]:
        def call(tx: Tx) -> list[GrantedLease]:
            return self._grant_in(tx, session, terms, now)

        return Brief(call) if session.agent.slots <= BRIEF_STEPS_MAX else call

    async def _grant(self, session: Session) -> None:
        try:
            while True:
                session.grant_again = False
                now, terms = self._clock(), self._terms(session)
                if self.sessions.get(session.agent.id) is not session:
                    return
                granted = await self._store.write(self._granting(session, terms, now))
                if granted:
                    self._take(granted)
                    session.send(ToAgent(grants=granted))
                    self.changed.ring()
                if not session.grant_again:
                    return
        except (Conflict, StoreFailed):
            # Nothing was granted; the dispatcher looks again on its next pass.
            return
        finally:
            session.granting = False

    def _take(self, granted: Sequence[GrantedLease]) -> None:
        for lease in granted:
            self.book.add(lease.attempt, lease.step)

    def _overtake(self, session: Session) -> None:
        """Another stream of the agent takes over; this one must end, because it may be the living one.

        The hello of a stream that its agent gave up can arrive last, and nothing in it tells: the agent then dials
        again, and whichever stream it believes in is the newest.
        """
        self._forget(session)
        session.end()

    def _forget(self, session: Session) -> None:
        self.sessions.pop(session.agent.id, None)
        for name in session.classes:
            self._by_class.get(name, {}).pop(session.agent.id, None)
