"""Open sessions of agents: who is connected, what it holds, what it says of itself and of its host.

Durable facts go through the store; what is only here (sessions, renewals, samples) may be lost with the process: a
restart gives every live lease a grace period and every agent says hello again.
"""

from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from typing import Any

from controlplane.core.events import Event, asked_by
from controlplane.core.hosts import Running
from controlplane.core.model import Agent, Held, Introduction
from controlplane.core.states import AGENT_BARRED, AgentState, agent_after
from controlplane.core.steps.admission import Limits
from controlplane.core.steps.leasing import LiveLease, Refused, Renewed
from controlplane.identity.peers import Identity
from controlplane.service.agents.background import Background
from controlplane.service.agents.clones import Clones, Life, other_life
from controlplane.service.agents.hello import introduce, superseded
from controlplane.service.agents.host_reports import HostReports
from controlplane.service.agents.messages import SessionSettings, ToAgent
from controlplane.service.agents.offers import Offers
from controlplane.service.agents.session import Session
from controlplane.service.errors import Precondition
from controlplane.service.signals import Signal
from controlplane.service.steps.live_leases import LiveLeases
from controlplane.service.steps.settling import GrantedLease
from controlplane.store.port import Store, Tx
from controlplane.store.verbs.attempts import Heard


class Sessions:
    """The open sessions of one control plane."""

    def __init__(self, store: Store, clock: Callable[[], float], settings: SessionSettings, changed: Signal) -> None:
        self._store = store
        self._clock = clock
        self.settings = settings
        self.changed = changed
        self.book = LiveLeases()
        self.by_agent: dict[str, Session] = {}
        self._samples: dict[str, str] = {}
        self.hosts = HostReports()
        self._hellos: dict[str, int] = {}  # how many each agent has said since the start
        self._clones = Clones()
        self.on_clone: Callable[[str, str], Coroutine[Any, Any, None]] | None = None  # agent id, why
        self._flushed_at = 0.0
        self.began_at = clock()
        self.background = Background()
        self.offers = Offers(store, clock, settings, self.book, self.hosts, self.background, changed)

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

        rows, classes = await self._store.write(load)
        self.book.load(rows, grace_until=grace_until, now=now)
        self.offers.start(classes, limits)

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
        old = self.by_agent.get(agent_id)
        if old is not None:
            other = await other_life(self._store, old.agent, old.life, hello)
            if other is not None:
                return other
            old = self.by_agent.get(agent_id)
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
        self.offers.offer(lost.readied)
        again = self._prolong(agent, kept, again)
        session = Session(agent, send, end, now)
        session.authority = shown.authority if shown is not None else ""
        session.life = life
        if self._hellos[agent_id] != number:
            # Two hellos of one agent waited for the store together. What the later one said is what is stored now, even
            # if its stream has gone meanwhile: should this be the living stream, its agent says hello again.
            end()
            return session
        self.by_agent[agent_id] = session
        self.hosts.introduced(agent_id, hello.facts, hello.running)
        self.offers.join(session)
        self.changed.ring()
        drain = agent.drain_reason if agent.state is AgentState.DRAINING else None
        # It was told to drain and the word to resume never reached it.
        resume = hello.draining and drain is None
        if again or cancels or resume or drain is not None:
            send(ToAgent(grants=again, cancels=cancels, drain_reason=drain, resume=resume))
        self.offers.offer_session(session)
        return session

    def _prolong(self, agent: Agent, kept: Iterable[Held], again: Iterable[GrantedLease]) -> list[GrantedLease]:
        """Give what an agent holds a whole term from now; return what it is to be sent again, which has one as well.

        A hello is a proof of life. What ended while the store was slow to take it in stays ended: the reaper may be
        writing so by now.
        """
        now = self._clock()
        until = now + self.settings.ttl_s
        for held in kept:
            self.book.adopt(held.attempt_id, agent.incarnation, until=until, now=now)
        return [lease for lease in again if self.book.adopt(lease.attempt.id, agent.incarnation, until=until, now=now)]

    def close(self, session: Session) -> None:
        """End a session; the agent watcher judges what the silence means."""
        if self.by_agent.get(session.agent.id) is session:
            self._forget(session)
            self.changed.ring()

    def heartbeat(self, session: Session, held: Iterable[Held], sequence: int, sample: str) -> None:
        """Renew what the agent holds; what it may not hold any more it is told to stop."""
        now = self._clock()
        session.heard_at = now
        silence_s = self.settings.heartbeat_s + self.settings.heartbeat_grace_s
        two = self._clones.proven(session.agent.id, session.life, now, silence_s)
        if two and self.on_clone is not None:
            self.background.spawn(self.on_clone(session.agent.id, two))
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
        session = self.by_agent.get(agent_id)
        if session is not None and life.is_other(session.life):
            self._clones.met(agent_id, life, session.life, self._clock())

    def report(self, session: Session, held: Held, *, total: int, done_bytes: int, stage: str, started: bool) -> None:
        """Note the progress of an attempt; one that is not this agent's is ignored."""
        self.book.report(
            held,
            agent_id=session.agent.id,
            total=total,
            done_bytes=done_bytes,
            stage=stage,
            started=started,
            now=self._clock(),
        )

    def host_reported(self, session: Session, running: Running | None, rss_bytes: int) -> None:
        """Take in what a heartbeat says of its host: its release, and the agent's memory (0: not sampled)."""
        if running is not None and self.hosts.told(session.agent.id, running):
            self.changed.ring()
        if rss_bytes:
            self.hosts.rss_bytes[session.agent.id] = rss_bytes

    def heard(self, session: Session) -> None:
        """Take note that a message came: a proof of life."""
        session.heard_at = self._clock()

    def due(self, now: float) -> list[LiveLease]:
        """Return the leases that have expired or overrun one of their limits."""
        return self.book.due(now)

    def held_by(self, agent_id: str) -> int:
        """Count the leases of one agent, as memory has them."""
        return self.book.held_by(agent_id)

    def heard_lately(self, now: float) -> set[str]:
        """Return the connected agents that were heard so lately that there is nothing to judge."""
        return {
            agent_id for agent_id, session in self.by_agent.items() if now - session.heard_at < self.settings.late_s
        }

    def certified_by(self, authority: str) -> list[str]:
        """Return the connected agents whose certificate an authority signed, by its key id."""
        return [agent_id for agent_id, session in self.by_agent.items() if session.authority == authority]

    def blame(self, agent_id: str) -> None:
        """Count an attempt against its host: its agent let the lease expire."""
        self.hosts.lost(agent_id)

    def running(self, agent_id: str) -> Running | None:
        """Return what a host that was heard since the start says of its release."""
        return self.hosts.running.get(agent_id)

    def ask_to_renew(self, agent_id: str, reason: str) -> None:
        """Ask a connected agent to renew its identity now."""
        session = self.by_agent.get(agent_id)
        if session is not None:
            session.send(ToAgent(renew_identity=reason))

    def expel(self, agent_id: str, ended: Iterable[str], readied: Mapping[str, int]) -> None:
        """Forget an agent that lost its identity, and its leases, which have ended durably; its work goes to others."""
        self.book.remove(ended)
        session = self.by_agent.get(agent_id)
        if session is not None:
            self._forget(session)
        self._clones.forget(agent_id)
        self.offers.offer(readied)
        self.changed.ring()

    def cancel(self, ended: Iterable[tuple[str, str, int, str]]) -> None:
        """Forget leases by (agent, attempt, fence, reason) and tell their agents to stop."""
        told: dict[str, ToAgent] = {}
        for agent_id, attempt_id, fence, reason in ended:
            self.book.remove([attempt_id])
            told.setdefault(agent_id, ToAgent()).cancels.append((attempt_id, fence, reason))
        for agent_id, message in told.items():
            session = self.by_agent.get(agent_id)
            if session is not None:
                session.send(message)

    async def set_state(self, name_or_id: str, state: AgentState, reason: str, by: str = "") -> Agent | None:
        """Drain an agent or let it take work again, as ``by`` asked; None when there is no such agent.

        Safe to repeat.
        """
        return await self.background.unbroken(self._set_state(name_or_id, state, reason, by))

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
        session = self.by_agent.get(agent.id) if agent else None
        if agent and session:
            session.agent = replace(session.agent, state=agent.state, drain_reason=agent.drain_reason)
            if state is AgentState.DRAINING:
                session.send(ToAgent(drain_reason=reason))
            else:
                session.send(ToAgent(resume=True))
                self.offers.offer_session(session)
        self.changed.ring()
        return agent

    def place_again(self, agent: Agent) -> None:
        """Take in what an operator changed of an agent: its labels, its cordon; and look what it may run now."""
        session = self.by_agent.get(agent.id)
        if session is not None:
            self.offers.leave(session)
            session.agent = replace(session.agent, labels=agent.labels, cordon_reason=agent.cordon_reason)
            self.offers.join(session)
            self.offers.offer_session(session)
        self.changed.ring()

    async def flush(self) -> None:
        """Make durable what heartbeats moved since the last flush, in one transaction."""
        rows = self.book.take_flush()
        running, counts = self.hosts.take_flush()
        since, self._flushed_at = self._flushed_at, self._clock()
        heard = {
            agent_id: Heard(session.heard_at, self._samples.pop(agent_id, ""))
            for agent_id, session in self.by_agent.items()
            if session.heard_at >= since
        }
        if not (rows or heard or running or counts):
            return

        def keep(tx: Tx) -> None:
            tx.flush(rows, heard)
            tx.flush_hosts(running, counts, self._flushed_at)

        await self._store.write(keep)

    def _overtake(self, session: Session) -> None:
        """Another stream of the agent takes over; this one must end, because it may be the living one.

        The hello of a stream that its agent gave up can arrive last, and nothing in it tells: the agent then dials
        again, and whichever stream it believes in is the newest.
        """
        self._forget(session)
        session.end()

    def _forget(self, session: Session) -> None:
        self.by_agent.pop(session.agent.id, None)
        self.offers.leave(session)
