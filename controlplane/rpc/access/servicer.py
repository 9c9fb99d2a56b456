"""The servicer for whoever administers access: identities of agents, operators, approvals, the authority."""

from dataclasses import dataclass
from typing import Any

from haulier.v1 import access_pb2 as pb
from haulier.v1 import access_pb2_grpc

from controlplane.identity.operator_tokens import OperatorTokenRecord
from controlplane.identity.roles import Role
from controlplane.rpc.calls.callers import caller_name
from controlplane.rpc.calls.requests import required
from controlplane.rpc.operators import translate
from controlplane.service.access.approvals import Approval, Approvals, items_of, plan_digest_of
from controlplane.service.access.authority_change import AuthorityChange, AuthorityState
from controlplane.service.access.identities import Identities
from controlplane.service.access.operators import Operators
from controlplane.service.migrations.queries import Queries


@dataclass(frozen=True, slots=True)
class AccessServices:
    """What the servicer calls."""

    identities: Identities
    authority: AuthorityChange
    operators: Operators
    approvals: Approvals
    queries: Queries


class AccessServicer(access_pb2_grpc.AccessServiceServicer):
    """See ``haulier.v1.AccessService``."""

    def __init__(self, services: AccessServices) -> None:
        self._s = services
        self.public_address = ""  # where operators find this service; known once the port is bound

    async def RevokeAgent(self, request: pb.RevokeAgentRequest, context: Any) -> pb.RevokeAgentResponse:  # noqa: N802
        """Take an agent's identity away."""
        await required(context, "agent", request.agent)
        await required(context, "reason", request.reason)
        agent = await self._s.identities.revoke(request.agent, request.reason, caller_name())
        return pb.RevokeAgentResponse(agent=translate.agent(agent, "", 0, self._s.queries.now()))

    async def GetAuthority(self, request: pb.GetAuthorityRequest, context: Any) -> pb.GetAuthorityResponse:  # noqa: N802
        """Show the authority."""
        return pb.GetAuthorityResponse(authority=_authority(await self._s.authority.state()))

    async def RotateAuthority(  # noqa: N802
        self, request: pb.RotateAuthorityRequest, context: Any
    ) -> pb.RotateAuthorityResponse:
        """Begin a change of the authority."""
        await required(context, "reason", request.reason)
        state = await self._s.authority.rotate(request.reason, caller_name())
        return pb.RotateAuthorityResponse(authority=_authority(state))

    async def RetireAuthority(  # noqa: N802
        self, request: pb.RetireAuthorityRequest, context: Any
    ) -> pb.RetireAuthorityResponse:
        """End a change of the authority."""
        await required(context, "reason", request.reason)
        state = await self._s.authority.retire(request.reason, caller_name())
        return pb.RetireAuthorityResponse(authority=_authority(state))

    async def CreateOperatorToken(  # noqa: N802
        self, request: pb.CreateOperatorTokenRequest, context: Any
    ) -> pb.CreateOperatorTokenResponse:
        """Make an operator token."""
        await required(context, "name", request.name)
        role = Role(request.role) if request.role in set(Role) else Role.ANONYMOUS
        token, record = await self._s.operators.create(
            request.name, role, request.owners, request.ttl_s, by=caller_name()
        )
        bundle = self._s.identities.authorities.bundle_pem
        return pb.CreateOperatorTokenResponse(
            token=token, kept=self._token(record), public_address=self.public_address, ca_pem=bundle
        )

    async def ListOperatorTokens(  # noqa: N802
        self, request: pb.ListOperatorTokensRequest, context: Any
    ) -> pb.ListOperatorTokensResponse:
        """List operator tokens."""
        return pb.ListOperatorTokensResponse(tokens=map(self._token, await self._s.operators.tokens()))

    async def RevokeOperatorToken(  # noqa: N802
        self, request: pb.RevokeOperatorTokenRequest, context: Any
    ) -> pb.RevokeOperatorTokenResponse:
        """Make an operator token good for nothing."""
        await required(context, "token_id", request.token_id)
        await required(context, "reason", request.reason)
        record = await self._s.operators.revoke(request.token_id, request.reason, by=caller_name())
        return pb.RevokeOperatorTokenResponse(kept=self._token(record))

    async def ListApprovals(  # noqa: N802
        self, request: pb.ListApprovalsRequest, context: Any
    ) -> pb.ListApprovalsResponse:
        """List calls under the rule of two persons."""
        return pb.ListApprovalsResponse(approvals=map(self._approval, await self._s.approvals.all()))

    async def GetApproval(self, request: pb.GetApprovalRequest, context: Any) -> pb.GetApprovalResponse:  # noqa: N802
        """Show one call under the rule of two persons."""
        await required(context, "approval_id", request.approval_id)
        known = await self._s.approvals.one(request.approval_id)
        view = self._approval(known)
        view.items.extend(pb.ApprovalItem(name=item.name, state=item.state) for item in items_of(known))
        return pb.GetApprovalResponse(approval=view)

    async def DecideApproval(  # noqa: N802
        self, request: pb.DecideApprovalRequest, context: Any
    ) -> pb.DecideApprovalResponse:
        """Agree to a call that waits, or deny it."""
        await required(context, "approval_id", request.approval_id)
        if not request.agreed:
            await required(context, "reason", request.reason)
        decided = await self._s.approvals.decide(
            request.approval_id, caller_name(), request.reason, agreed=request.agreed
        )
        return pb.DecideApprovalResponse(approval=self._approval(decided))

    def _token(self, record: OperatorTokenRecord) -> pb.OperatorTokenView:
        now = self._s.queries.now()
        state = "revoked" if record.revoked_at is not None else "expired" if now >= record.expires_at else "good"
        return pb.OperatorTokenView(
            token_id=record.id,
            name=record.name,
            role=record.role,
            owners=record.owners,
            state=state,
            ends_in_s=record.expires_at - now,
            created_ago_s=max(0.0, now - record.created_at),
            created_by=record.created_by,
        )

    def _approval(self, known: Approval) -> pb.ApprovalView:
        now = self._s.queries.now()
        return pb.ApprovalView(
            approval_id=known.id,
            method=known.method,
            summary=known.summary,
            asked_by=known.asked_by,
            state=known.state,
            asked_ago_s=max(0.0, now - known.asked_at),
            expires_in_s=known.expires_at - now,
            decided_by=known.decided_by,
            reason=known.reason,
            plan_hash=plan_digest_of(known),
        )


def _authority(state: AuthorityState) -> pb.AuthorityView:
    return pb.AuthorityView(
        fingerprint=state.fingerprint,
        ends_in_s=state.ends_in_s,
        next_fingerprint=state.next_fingerprint,
        bundle_pem=state.bundle_pem,
        waiting_agents=state.waiting_agents,
    )
