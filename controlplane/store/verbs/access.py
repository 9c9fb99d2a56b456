"""Who may come in: join tokens, certificates, operators' tokens, approvals by a second person."""

from typing import NamedTuple, Protocol


class JoinToken(NamedTuple):
    """A join token as stored: only its hash."""

    hash: str
    agent_name: str
    expires_at: float
    used_request_id: str  # empty before its one use, like the two that follow
    used_key_fingerprint: str
    used_agent_name: str
    answer: bytes | None  # the certificate that the use was given


class Certificate(NamedTuple):
    """A certificate that was issued to an agent."""

    serial: str  # hex
    agent_id: str
    not_after: float
    authority: str  # key id of who signed it, hex
    issued_at: float


class OperatorToken(NamedTuple):
    """An operator's token as stored: of its secret only a hash."""

    id: str
    name: str
    role: str
    owners: tuple[str, ...]  # whose data the role is over; empty means everything
    verifier: str
    expires_at: float
    created_at: float
    created_by: str
    revoked_at: float | None


class Approval(NamedTuple):
    """A call that waits for a second person, or was decided by one."""

    id: str  # "apr_…"
    method: str
    digest: str  # of caller, method and request
    summary: str  # the request for people; never a secret
    asked_by: str
    asked_at: float
    expires_at: float
    state: str  # pending, approved, denied, used, withdrawn
    decided_by: str
    reason: str
    plan: str = ""  # the list that it binds, as JSON; empty where it binds a request as it is


class AccessVerbs(Protocol):
    """Tokens, certificates and approvals."""

    def join_token(self, token_hash: str) -> JoinToken | None:
        """Return a join token by its hash."""
        ...

    def put_join_token(self, token: JoinToken) -> None:
        """Keep a join token whose hash is new."""
        ...

    def use_join_token(self, token: JoinToken) -> None:
        """Burn a token. Raises ``Conflict`` when it was used before, or never existed."""
        ...

    def expire_join_tokens(self, now: float) -> None:
        """End every unused join token by an instant; none lives longer for it."""
        ...

    def put_certificate(self, certificate: Certificate) -> None:
        """Keep an issued certificate, whose serial is new."""
        ...

    def see_certificate(self, certificate: Certificate, now: float) -> None:
        """Remember that a certificate opened a session; also one that a restored backup does not know."""
        ...

    def issued_since(self, agent_id: str, since: float) -> int:
        """Return how many certificates an agent was given since an instant, that included."""
        ...

    def revoke_certificates(self, agent_id: str, now: float) -> None:
        """Revoke every certificate of an agent; one that is revoked keeps its instant."""
        ...

    def revoked_serials(self, now: float) -> list[str]:
        """Return serials of certificates that are revoked and have not ended."""
        ...

    def drop_certificates(self, agent_id: str, ended_before: float) -> None:
        """Forget certificates of an agent that ended before an instant."""
        ...

    def authority_holders(self, authority: str, now: float) -> list[str]:
        """Return names of agents that would be cut off without an authority, in order.

        They hold a good certificate of it, and have not opened a session with one of another.
        """
        ...

    def operator(self, token_id: str) -> OperatorToken | None:
        """Return an operator's token by its id."""
        ...

    def operators(self) -> list[OperatorToken]:
        """Return every operator's token, in order of name, then oldest first."""
        ...

    def put_operator(self, record: OperatorToken) -> None:
        """Keep an operator's token, whose id is new; it is not revoked."""
        ...

    def revoke_operator(self, token_id: str, now: float) -> None:
        """Revoke an operator's token; one that is revoked keeps its instant."""
        ...

    def approval(self, approval_id: str) -> Approval | None:
        """Return one approval."""
        ...

    def approvals(self, limit: int) -> list[Approval]:
        """Return at most ``limit`` approvals, the newest first."""
        ...

    def open_approvals(self, asked_by: str, method: str, now: float) -> list[Approval]:
        """Return what somebody has asked for by a method and may still use, the newest first."""
        ...

    def approval_of(self, digest: str, now: float) -> Approval | None:
        """Return the newest approval of a call that is pending or approved and has not expired."""
        ...

    def pending_approvals(self, asked_by: str, now: float) -> int:
        """Return how many approvals of somebody wait and have not expired."""
        ...

    def put_approval(self, approval: Approval) -> None:
        """Keep an approval, whose id is new."""
        ...

    def move_approval(self, approval: Approval, state: str) -> None:
        """Keep how an approval, which was in ``state``, was decided or used. Raises ``Conflict`` where it is not."""
        ...
