"""Tokens, certificates and approvals on SQLite."""

import json
from collections.abc import Sequence
from typing import Any

from controlplane.store.port import Conflict
from controlplane.store.sqlite.statements import Statements
from controlplane.store.verbs.access import Approval, Certificate, JoinToken, OperatorToken


class SqliteAccessVerbs(Statements):
    """See ``store.verbs.access``."""

    def join_token(self, token_hash: str) -> JoinToken | None:
        row = self.maybe("join_token", token_hash)
        return JoinToken._make(row) if row else None

    def put_join_token(self, token: JoinToken) -> None:
        self.run("put_join_token", *token)

    def use_join_token(self, token: JoinToken) -> None:
        changed = self.run(
            "use_join_token",
            token.used_request_id,
            token.used_key_fingerprint,
            token.used_agent_name,
            token.answer,
            token.hash,
        )
        if changed != 1:
            raise Conflict("the join token was used before")

    def expire_join_tokens(self, now: float) -> None:
        self.run("expire_join_tokens", now)

    def put_certificate(self, certificate: Certificate) -> None:
        self.run("put_certificate", *certificate)

    def see_certificate(self, certificate: Certificate, now: float) -> None:
        self.run("see_certificate", *certificate, now)

    def issued_since(self, agent_id: str, since: float) -> int:
        return int(self.value("issued_since", agent_id, since))

    def revoke_certificates(self, agent_id: str, now: float) -> None:
        self.run("revoke_certificates", now, agent_id)

    def revoked_serials(self, now: float) -> list[str]:
        return self.column("revoked_serials", now)

    def drop_certificates(self, agent_id: str, ended_before: float) -> None:
        self.run("drop_certificates", agent_id, ended_before)

    def authority_holders(self, authority: str, now: float) -> list[str]:
        return self.column("authority_holders", now, authority, authority)

    def operator(self, token_id: str) -> OperatorToken | None:
        row = self.maybe("operator", token_id)
        return _operator_of(row) if row else None

    def operators(self) -> list[OperatorToken]:
        return [_operator_of(row) for row in self.all("operators")]

    def put_operator(self, record: OperatorToken) -> None:
        columns = {**record._asdict(), "owners": json.dumps(record.owners), "revoked_at": None}
        self.run("put_operator", *columns.values())

    def revoke_operator(self, token_id: str, now: float) -> None:
        self.run("revoke_operator", now, token_id)

    def approval(self, approval_id: str) -> Approval | None:
        row = self.maybe("approval", approval_id)
        return Approval._make(row) if row else None

    def approvals(self, limit: int) -> list[Approval]:
        return [Approval._make(row) for row in self.all("approvals", limit)]

    def open_approvals(self, asked_by: str, method: str, now: float) -> list[Approval]:
        return [Approval._make(row) for row in self.all("open_approvals", asked_by, method, now)]

    def approval_of(self, digest: str, now: float) -> Approval | None:
        row = self.maybe("approval_of", digest, now)
        return Approval._make(row) if row else None

    def pending_approvals(self, asked_by: str, now: float) -> int:
        return int(self.value("pending_approvals", asked_by, now))

    def put_approval(self, approval: Approval) -> None:
        self.run("put_approval", *approval)

    def move_approval(self, approval: Approval, state: str) -> None:
        changed = self.run("move_approval", approval.state, approval.decided_by, approval.reason, approval.id, state)
        if changed != 1:
            raise Conflict(f"approval {approval.id} is no longer {state}")


def _operator_of(row: Sequence[Any]) -> OperatorToken:
    columns = dict(zip(OperatorToken._fields, row, strict=True))
    return OperatorToken(**{**columns, "owners": tuple(json.loads(columns["owners"]))})
