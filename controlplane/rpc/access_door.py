"""The door for whoever administers access: identities of agents, operators, approvals, the authority."""

from dataclasses import dataclass
from typing import Any

from haulier.v1 import access_pb2 as pb
from haulier.v1 import access_pb2_grpc

from controlplane.rpc import translate_operator as translate
from controlplane.rpc.callers import caller_name
from controlplane.rpc.requests import required
from controlplane.service.authority_change import AuthorityChange, AuthorityState
from controlplane.service.identities import Identities
from controlplane.service.queries import Queries


@dataclass(frozen=True, slots=True)
class AccessServices:
    """What the door opens onto."""

    identities: Identities
    authority: AuthorityChange
    queries: Queries


class AccessDoor(access_pb2_grpc.AccessServiceServicer):
    """See ``haulier.v1.AccessService``."""

    def __init__(self, services: AccessServices) -> None:
        self._s = services

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


def _authority(state: AuthorityState) -> pb.AuthorityView:
    return pb.AuthorityView(
        fingerprint=state.fingerprint,
        ends_in_s=state.ends_in_s,
        next_fingerprint=state.next_fingerprint,
        bundle_pem=state.bundle_pem,
        waiting_agents=state.waiting_agents,
    )
