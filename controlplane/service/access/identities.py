"""Identities of agents: issued, renewed, taken away; and whose are good right now.

What servicers ask at every call is in memory, because it must be answered at once; the store has it all.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from controlplane.core.events import Event, asked_by
from controlplane.core.model import Agent, Failure
from controlplane.core.states import AGENT_BARRED, AgentState, Liveness, agent_after
from controlplane.identity.authorities import Authorities
from controlplane.identity.peers import Identity
from controlplane.service.access.watchers import Watchers
from controlplane.service.agents.liveness import as_heard
from controlplane.service.agents.sessions import Sessions
from controlplane.service.errors import NotFound
from controlplane.service.not_found import no_agent
from controlplane.service.steps.settling import Settlement, expire
from controlplane.store.port import Store, Tx
from controlplane.store.verbs.access import Certificate

# Hosts' clocks differ: a certificate dated a little back is valid at once everywhere.
BACKDATE_S = 300.0
# An agent needs two a day, and a few more while something goes wrong.
RENEWALS_AN_HOUR_MAX = 60
_HOUR_S = 3600.0
_DAY_S = 86_400.0


class TooMany(Exception):
    """Somebody asks more often than anybody needs; says when to ask again."""


class Certified(NamedTuple):
    """A certificate, whom to believe, and how long it is good."""

    certificate_pem: bytes
    bundle_pem: bytes
    ttl_s: float


class Identities:
    """``start`` it before the first call; what is taken away opens nothing from that moment on."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        authorities: Authorities,
        random_bytes: Callable[[int], bytes],
        sessions: Sessions,
        ttl_s: float,
    ) -> None:
        """``wall_clock`` dates certificates, and tells when one that this host has dated ends."""
        self._store = store
        self._clock = clock
        self.wall_clock = wall_clock
        self.authorities = authorities
        self._random_bytes = random_bytes
        self._sessions = sessions
        self.ttl_s = ttl_s
        self._revoked: dict[str, str] = {}  # serial → why
        self._barred: dict[str, str] = {}  # agent id → why
        self.streams = Watchers()
        sessions.on_clone = self.found_clone

    async def start(self) -> None:
        """Learn from the store whose identity is good no more."""

        def load(tx: Tx) -> tuple[list[str], list[Agent]]:
            return tx.revoked_serials(self.wall_clock()), [agent for agent, _ in tx.agents()]

        serials, agents = await self._store.read(load)
        self._revoked = dict.fromkeys(serials, "this certificate was revoked")
        self._barred = {agent.id: barred_because(agent) for agent in agents if agent.state in AGENT_BARRED}

    def why_refused(self, identity: Identity) -> str:
        """Tell why a certificate that TLS believes opens nothing here; empty when it does."""
        why = self._barred.get(identity.id) or self._revoked.get(identity.serial, "")
        if not why and identity.not_after_at <= self.wall_clock():
            # The connection was opened before the end: TLS looks at a certificate only then.
            why = "the agent's certificate has ended"
        return f"{why}: join again with a token made for this agent's name" if why else ""

    def is_alive(self, agent: Agent, now: float) -> bool:
        """Whether an agent is believed to be alive at this moment."""
        return as_heard(self._sessions, agent, now).liveness is Liveness.ALIVE

    def renew_in_s(self, identity: Identity) -> float:
        """Return in how many seconds an agent should renew: when a third of a certificate's life is left."""
        return max(1.0, identity.not_after_at - self.wall_clock() - self.ttl_s / 3.0)

    def issuer(self, csr_pem: bytes, agent_name: str) -> Callable[[Tx, str], bytes]:
        """Prepare a certificate; the function returned issues it within a transaction, to an agent id.

        Raises ``IdentityError`` for a bad request, before any transaction.
        """
        wall_now, now = self.wall_clock(), self._clock()
        serial = int.from_bytes(self._random_bytes(16), "big") >> 1
        authority = self.authorities.signing

        def issue(tx: Tx, agent_id: str) -> bytes:
            not_after = min(wall_now + self.ttl_s, authority.not_after_at)
            certificate = authority.issue_agent(
                csr_pem,
                agent_id=agent_id,
                agent_name=agent_name,
                not_before_at=wall_now - BACKDATE_S,
                not_after_at=not_after,
                serial=serial,
            )
            tx.drop_certificates(agent_id, wall_now - _DAY_S)
            tx.put_certificate(Certificate(f"{serial:x}", agent_id, not_after, authority.key_id, now))
            return certificate

        return issue

    async def renew(self, agent_id: str, csr_pem: bytes) -> Certified:
        """Give an agent a new certificate beside its old one. Raises ``IdentityError``, ``TooMany``, ``NotFound``."""
        now = self._clock()
        agent = await self._store.read(lambda tx: tx.agent(agent_id))
        if agent is None:
            raise NotFound(f"agent {agent_id} is not enrolled here")
        issue = self.issuer(csr_pem, agent.name)

        def give(tx: Tx) -> bytes:
            if tx.issued_since(agent_id, now - _HOUR_S) >= RENEWALS_AN_HOUR_MAX:
                raise TooMany(f"{RENEWALS_AN_HOUR_MAX} certificates were issued to this agent within an hour")
            certificate = issue(tx, agent_id)
            tx.record([Event(now, "CertificateRenewed", agent_id, agent_id=agent_id)])
            return certificate

        certificate_pem = await self._store.write(give)
        return Certified(certificate_pem, self.authorities.bundle_pem, self.ttl_s)

    async def revoke(self, name_or_id: str, reason: str, by: str) -> Agent:
        """Take an agent's identity away: its sessions end, its leases end as if it were lost, its calls are refused.

        Safe to repeat. Raises ``NotFound``.
        """
        return await self._sessions.background.unbroken(self._bar(name_or_id, "AgentRevoked", asked_by(by, reason)))

    async def found_clone(self, agent_id: str, why: str) -> None:
        """Two machines, or two daemons on one host, show one identity: neither keeps it."""
        await self._sessions.background.unbroken(self._bar(agent_id, "AgentCloned", why))

    async def _bar(self, name_or_id: str, event: str, why: str) -> Agent:
        now = self._clock()

        def bar(tx: Tx) -> tuple[Agent, Settlement]:
            agent = tx.agent(name_or_id) or tx.agent_by_name(name_or_id)
            if agent is None:
                raise no_agent(tx, name_or_id)
            if agent.state in (AgentState.REVOKED, AgentState.GONE) or (
                agent.state in AGENT_BARRED and event == "AgentCloned"
            ):
                return agent, Settlement()
            agent = replace(agent, state=agent_after(agent.state, event, agent.id), drain_reason=why)
            tx.put_agent(agent, now)
            ended = self.strip(tx, agent, barred_because(agent), now)
            tx.record([Event(now, event, agent.id, agent_id=agent.id, detail=why)])
            return agent, ended

        agent, ended = await self._store.write(bar)
        self._barred[agent.id] = barred_because(agent)
        self._turn_out(agent.id, ended, self._barred[agent.id])
        return agent

    def strip(self, tx: Tx, agent: Agent, why: str, now: float) -> Settlement:
        """Revoke all certificates of an agent and end its leases: fences keep whatever still runs out."""
        tx.revoke_certificates(agent.id, now)
        failure = Failure("agent_expelled", why)
        held = [(attempt.id, attempt.fence, failure) for attempt in tx.live_of_agent(agent.id)]
        return expire(tx, held, now, lock_delay_s=self._sessions.settings.lock_delay_s)

    async def readmitted(self, agent_id: str, ended: Settlement) -> None:
        """Take note that an agent has begun anew: what it had before is good no more, what it was given now is."""
        serials = await self._store.read(lambda tx: tx.revoked_serials(self.wall_clock()))
        self._revoked = dict.fromkeys(serials, "this certificate was revoked")
        self._barred.pop(agent_id, None)
        self._turn_out(agent_id, ended, "the agent joined again")

    def _turn_out(self, agent_id: str, ended: Settlement, why: str) -> None:
        self.streams.end(agent_id, why)
        self._sessions.expel(agent_id, ended.ended, ended.readied)


def barred_because(agent: Agent) -> str:
    """Say why an agent's identity opens nothing."""
    return f"agent {agent.name} is {agent.state}: {agent.drain_reason}"
