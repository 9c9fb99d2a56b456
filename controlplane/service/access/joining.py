"""Join tokens and enrolment: how a host becomes an agent, and how one comes back."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from controlplane.core.events import Event, asked_by
from controlplane.core.model import Agent
from controlplane.core.states import AGENT_BARRED, AgentState, Liveness, agent_after
from controlplane.identity import join_tokens
from controlplane.identity.authority import check_agent_name, key_fingerprint
from controlplane.identity.join_tokens import JoinTokenRecord
from controlplane.service.access.identities import Identities, TooMany
from controlplane.service.access.rate_limits import RateLimiter
from controlplane.service.steps.settling import Settlement
from controlplane.store.port import Store, Tx
from controlplane.store.verbs.access import JoinToken

UNKNOWN = "the join token is not known here; ask for a new one"


class Denied(Exception):
    """The newcomer may not join; the message says why and how to mend it."""


@dataclass(frozen=True, slots=True)
class Joined:
    """The identity an enrolment gave."""

    agent_id: str
    certificate_pem: bytes
    ended: Settlement | None = None  # leases that ended because the agent began anew


class Joining:
    """Makes tokens and trades them for certificates."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        identities: Identities,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._store = store
        self._clock = clock
        self.identities = identities
        self._pace = RateLimiter()
        self._random_bytes = random_bytes

    async def create_token(self, agent_name: str, ttl_s: float, public_address: str, by: str = "") -> tuple[str, float]:
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
        return join_tokens.mint(secret, self.identities.authorities.present.fingerprint, public_address), ttl_s

    async def enroll(
        self, *, token: str, csr_pem: bytes, agent_name: str, request_id: str, address: str = ""
    ) -> Joined:
        """Trade a token for a certificate, once. Raises ``Denied``, ``IdentityError`` or ``TooMany``."""
        now = self._clock()
        wait_s = self._pace.wait_s(address, now)
        if wait_s:
            raise TooMany(f"too many hosts want to join from this address; ask again in {wait_s:.2f} s")
        check_agent_name(agent_name)
        parsed = join_tokens.parse(token)
        token_hash = join_tokens.hashed(parsed.secret)
        if await self._store.read(lambda tx: tx.join_token(token_hash)) is None:
            # Before anything that costs more than a look: a request's key and signature do.
            raise Denied(UNKNOWN)
        fingerprint = key_fingerprint(csr_pem)
        issue = self.identities.issuer(csr_pem, agent_name)

        def join(tx: Tx) -> Joined:
            stored = tx.join_token(token_hash)
            record = stored and JoinTokenRecord(*stored[:6])
            decision = join_tokens.may_join(record or None, now, agent_name, request_id, fingerprint)
            if isinstance(decision, join_tokens.TokenRefused):
                raise Denied(decision.because)
            assert stored is not None, "only a known token is granted"
            known = tx.agent_by_name(agent_name)
            if decision.repeated:
                assert known is not None and stored.answer is not None, "the first use kept both"
                return Joined(known.id, stored.answer)
            ended: Settlement | None = None
            if known is None:
                agent_id = tx.next_ids("ag_", 1)[0]
                tx.put_agent(newcomer(agent_id, agent_name, now), now)
                tx.record([Event(now, "AgentJoined", agent_id, agent_id=agent_id, detail=agent_name)])
            else:
                agent_id = known.id
                ended = self._readmit(tx, known, stored, now)
            certificate = issue(tx, agent_id)
            used = stored._replace(
                used_request_id=request_id,
                used_key_fingerprint=fingerprint,
                used_agent_name=agent_name,
                answer=certificate,
            )
            tx.use_join_token(used)
            return Joined(agent_id, certificate, ended)

        joined = await self._store.write(join)
        if joined.ended is not None:
            await self.identities.readmitted(joined.agent_id, joined.ended)
        return joined

    def _readmit(self, tx: Tx, known: Agent, token: JoinToken, now: float) -> Settlement:
        """Let an agent begin anew under its name. Only a token for that name may, and never while the agent lives."""
        if token.agent_name != known.name:
            raise Denied(
                f"an agent named {known.name} has joined already; choose another name with --name, or, to bring that "
                f"host back, ask for a token made for it: `haulier token create --agent {known.name}`"
            )
        if known.state not in AGENT_BARRED and self.identities.is_alive(known, now):
            raise Denied(
                f"agent {known.name} is alive; stop its daemon first, or take its identity away with "
                f"`haulier agent revoke {known.name} --reason …`"
            )
        ended = self.identities.strip(tx, known, f"agent {known.name} joined again", now)
        state = agent_after(known.state, "AgentRejoined", known.id)
        # Its journal may be gone with its disk, so that incarnations begin again at 1.
        tx.put_agent(replace(known, state=state, drain_reason="", boot_id="", incarnation=0), now)
        tx.forget_boots(known.id)
        tx.record([Event(now, "AgentRejoined", known.id, agent_id=known.id, detail=f"was {known.state}")])
        return ended


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
