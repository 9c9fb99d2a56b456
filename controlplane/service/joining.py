"""Join tokens and enrolment: how a host becomes an agent; and who an operator's token belongs to."""

from collections.abc import Callable
from dataclasses import dataclass

from controlplane.core.events import Event, asked_by
from controlplane.core.model import Agent
from controlplane.core.states import AgentState, Liveness
from controlplane.identity import join_tokens, operator_tokens
from controlplane.identity.authority import (
    AGENT_CERTIFICATE_TTL_S,
    CertificateAuthority,
    check_agent_name,
    key_fingerprint,
)
from controlplane.identity.join_tokens import JoinTokenRecord
from controlplane.identity.operator_tokens import OperatorTokenRecord, Recognised, Unrecognised
from controlplane.identity.roles import Role
from controlplane.store.port import JoinToken, OperatorToken, Store, Tx

# Hosts' clocks differ: a certificate dated a little back is valid at once everywhere.
BACKDATE_S = 300.0


class Denied(Exception):
    """The newcomer may not join; the message says why and how to mend it."""


@dataclass(frozen=True, slots=True)
class Joined:
    """The identity an enrolment gave."""

    agent_id: str
    certificate_pem: bytes


class Joining:
    """Makes tokens and trades them for certificates."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        authority: CertificateAuthority,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """``wall_clock`` dates certificates only; no decision of ours reads it back (promise L8)."""
        self._store = store
        self._clock = clock
        self._wall_clock = wall_clock
        self.authority = authority
        self._random_bytes = random_bytes

    async def create_token(self, agent_name: str, ttl_s: float, door_address: str, by: str = "") -> tuple[str, float]:
        """Make a join token, as ``by`` asked; return its text, shown once, and its life in seconds.

        Raises ``IdentityError`` on a bad name or life.
        """
        if agent_name:
            check_agent_name(agent_name)
        secret = self._random_bytes(join_tokens.SECRET_BYTES)
        ttl_s = ttl_s or join_tokens.TTL_S_MAX
        now = self._clock()
        record = join_tokens.record_of(secret, agent_name=agent_name, now=now, ttl_s=ttl_s)

        def keep(tx: Tx) -> None:
            tx.put_join_token(JoinToken(record.secret_hash, agent_name, record.expires_at, "", "", "", None))
            tx.record([Event(now, "JoinTokenCreated", agent_name or "any", detail=asked_by(by, f"for {ttl_s:g} s"))])

        await self._store.write(keep)
        return join_tokens.mint(secret, self.authority.fingerprint, door_address), ttl_s

    async def enroll(self, *, token: str, csr_pem: bytes, agent_name: str, request_id: str) -> Joined:
        """Trade a token for a certificate, once. Raises ``Denied`` or ``IdentityError``."""
        now = self._clock()
        check_agent_name(agent_name)
        fingerprint = key_fingerprint(csr_pem)
        parsed = join_tokens.parse(token)
        token_hash = join_tokens.hashed(parsed.secret)
        serial = int.from_bytes(self._random_bytes(16), "big") >> 1
        wall = self._wall_clock()

        def join(tx: Tx) -> Joined:
            stored = tx.join_token(token_hash)
            record = stored and JoinTokenRecord(*stored[:6])
            decision = join_tokens.may_join(record or None, now, agent_name, request_id, fingerprint)
            if isinstance(decision, join_tokens.Refused):
                raise Denied(decision.because)
            assert stored is not None, "only a known token is granted"
            known = tx.agent_by_name(agent_name)
            if decision.repeated:
                assert known is not None and stored.answer is not None, "the first use kept both"
                return Joined(known.id, stored.answer)
            if known is not None:
                raise Denied(f"an agent named {agent_name} has joined already; choose another with --name")
            agent_id = tx.next_ids("ag_", 1)[0]
            certificate = self.authority.issue_agent(
                csr_pem,
                agent_id=agent_id,
                agent_name=agent_name,
                not_before_at=wall - BACKDATE_S,
                not_after_at=wall + AGENT_CERTIFICATE_TTL_S,
                serial=serial,
            )
            tx.use_join_token(
                stored._replace(
                    used_request_id=request_id,
                    used_key_fingerprint=fingerprint,
                    used_agent_name=agent_name,
                    answer=certificate,
                )
            )
            tx.put_agent(newcomer(agent_id, agent_name, now), now)
            tx.put_certificate(f"{serial:x}", agent_id, wall + AGENT_CERTIFICATE_TTL_S)
            tx.record([Event(now, "AgentJoined", agent_id, agent_id=agent_id, detail=agent_name)])
            return Joined(agent_id, certificate)

        return await self._store.write(join)

    async def create_operator_token(self, name: str, role: Role) -> str:
        """Make an operator token; return its text, shown once. Raises ``IdentityError`` on a bad role."""
        secret = self._random_bytes(operator_tokens.SECRET_BYTES)
        now = self._clock()
        record = operator_tokens.record_of(secret, name=name, role=role, now=now)
        token = OperatorToken(name, role, record.secret_hash, record.expires_at)

        def keep(tx: Tx) -> None:
            tx.put_operator_token(token, now)
            tx.record([Event(now, "OperatorTokenCreated", name, detail=role)])

        await self._store.write(keep)
        return operator_tokens.mint(secret)

    async def recognise(self, authorization: str) -> Recognised | Unrecognised:
        """Tell who calls with an ``authorization`` header."""
        secret = operator_tokens.secret_in(authorization)
        if secret is None:
            return Unrecognised("the call carries no operator token; see `haulier --help` on profiles")
        stored = await self._store.read(lambda tx: tx.operator_token(operator_tokens.hashed(secret)))
        record = None
        if stored is not None:
            record = OperatorTokenRecord(
                name=stored.name, role=Role(stored.role), secret_hash=stored.hash, expires_at=stored.expires_at
            )
        return operator_tokens.verify(secret, record, self._clock())


def newcomer(agent_id: str, name: str, now: float) -> Agent:
    """Return an agent that has an identity and has not connected yet."""
    return Agent(
        id=agent_id,
        name=name,
        state=AgentState.SERVING,
        liveness=Liveness.LOST,
        liveness_cause="it has not connected yet",
        incarnation=0,
        slots=0,
        kinds=frozenset(),
        datastores=frozenset(),
        labels={},
        boot_id="",
        version="",
        drain_reason="",
        heard_at=now,
    )
