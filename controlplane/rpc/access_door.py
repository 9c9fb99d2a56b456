"""The door for whoever administers access: identities of agents, operators, approvals, the authority."""

from dataclasses import dataclass
from typing import Any

from haulier.v1 import access_pb2 as pb
from haulier.v1 import access_pb2_grpc

from controlplane.rpc import translate_operator as translate
from controlplane.rpc.callers import caller_name
from controlplane.rpc.requests import required
from controlplane.service.identities import Identities
from controlplane.service.queries import Queries


@dataclass(frozen=True, slots=True)
class AccessServices:
    """What the door opens onto."""

    identities: Identities
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
