"""The part of a transaction that keeps identities: certificates, boots of hosts, operators and their approvals."""

import json
from collections.abc import Sequence
from typing import Any

from controlplane.store.port import Approval, Certificate, Conflict, OperatorToken
from controlplane.store.sqlite.tx_records import RecordsTx

# Boots that are remembered of one agent; a machine that was copied meets its copy within its next few boots.
_BOOTS_MAX = 16


class AccessTx(RecordsTx):
    """Verbs for identities."""

    def put_certificate(self, certificate: Certificate) -> None:
        """Keep an issued certificate."""
        self.run("put_certificate", *certificate)

    def see_certificate(self, certificate: Certificate, now: float) -> None:
        """Remember that a certificate opened a session; also one that a restored backup does not know."""
        self.run("see_certificate", *certificate, now)

    def issued_since(self, agent_id: str, since: float) -> int:
        """Return how many certificates an agent was given since an instant."""
        return int(self.one("issued_since", agent_id, since)[0])

    def revoke_certificates(self, agent_id: str, now: float) -> None:
        """Revoke every certificate of an agent."""
        self.run("revoke_certificates", now, agent_id)

    def revoked_serials(self, now: float) -> list[str]:
        """Return serials of certificates that are revoked and have not ended."""
        return [row[0] for row in self.all("revoked_serials", now)]

    def drop_certificates(self, agent_id: str, ended_before: float) -> None:
        """Forget certificates of an agent that ended before an instant."""
        self.run("drop_certificates", agent_id, ended_before)

    def authority_holders(self, authority: str, now: float) -> list[str]:
        """Return names of agents with a good certificate of an authority that have not shown one of another."""
        return [row[0] for row in self.all("authority_holders", now, authority, authority)]

    def serves(self, agent_id: str, incarnation: int) -> bool:
        """Tell whether an agent may be given work, and this is still its life."""
        return self.maybe("serves", agent_id, incarnation) is not None

    def former_boots(self, agent_id: str) -> list[str]:
        """Return boots of an agent's host that were followed by another."""
        return [row[0] for row in self.all("former_boots", agent_id)]

    def leave_boot(self, agent_id: str, boot_id: str, now: float) -> None:
        """Remember that a boot of an agent's host was followed by another."""
        self.run("leave_boot", agent_id, boot_id, now)
        self.run("trim_boots", agent_id, agent_id, _BOOTS_MAX)

    def forget_boots(self, agent_id: str) -> None:
        """Forget every boot of an agent: its identity begins anew."""
        self.run("forget_boots", agent_id)

    def operator(self, token_id: str) -> OperatorToken | None:
        """Return an operator's token by its id."""
        row = self.maybe("operator", token_id)
        return _operator_of(row) if row else None

    def operators(self) -> list[OperatorToken]:
        """Return every operator's token, in order of name."""
        return [_operator_of(row) for row in self.all("operators")]

    def put_operator(self, record: OperatorToken) -> None:
        """Keep a new operator's token."""
        self.run(
            "put_operator",
            record.id,
            record.name,
            record.role,
            json.dumps(record.owners),
            record.verifier,
            record.expires_at,
            record.created_at,
            record.created_by,
        )

    def revoke_operator(self, token_id: str, now: float) -> None:
        """Revoke an operator's token."""
        self.run("revoke_operator", now, token_id)

    def approval(self, approval_id: str) -> Approval | None:
        """Return one approval."""
        row = self.maybe("approval", approval_id)
        return Approval(*row) if row else None

    def approvals(self, limit: int) -> list[Approval]:
        """Return approvals, the newest first."""
        return [Approval(*row) for row in self.all("approvals", limit)]

    def open_approvals(self, asked_by: str, method: str, now: float) -> list[Approval]:
        """Return what somebody has asked for by a method and may still use, the newest first."""
        return [Approval(*row) for row in self.all("open_approvals", asked_by, method, now)]

    def approval_of(self, digest: str, now: float) -> Approval | None:
        """Return the approval of a call that is pending or approved and has not expired."""
        row = self.maybe("approval_of", digest, now)
        return Approval(*row) if row else None

    def pending_approvals(self, asked_by: str, now: float) -> int:
        """Return how many approvals of somebody wait."""
        return int(self.one("pending_approvals", asked_by, now)[0])

    def put_approval(self, approval: Approval) -> None:
        """Keep a new approval."""
        self.run("put_approval", *approval)

    def move_approval(self, approval: Approval, state: str) -> None:
        """Keep how an approval, which was in ``state``, was decided or used. Raises ``Conflict``."""
        changed = self.run("move_approval", approval.state, approval.decided_by, approval.reason, approval.id, state)
        if changed != 1:
            raise Conflict(f"approval {approval.id} is no longer {state}")


def _operator_of(row: Sequence[Any]) -> OperatorToken:
    token_id, name, role, owners, verifier, expires_at, created_at, created_by, revoked_at = row
    return OperatorToken(
        token_id, name, role, tuple(json.loads(owners)), verifier, expires_at, created_at, created_by, revoked_at
    )
