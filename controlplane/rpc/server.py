"""The three listeners: agents (mutual TLS), door (server TLS), probes (plain, loopback only).

gRPC in Python either demands a client certificate or never asks for one, so one port cannot serve both.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from haulier.v1 import (
    agent_pb2,
    agent_pb2_grpc,
    operator_pb2,
    operator_pb2_grpc,
    repository_pb2,
    repository_pb2_grpc,
)

from controlplane.identity.authority import ServerCredentials
from controlplane.rpc.agent_door import MESSAGE_BYTES_MAX, AgentDoor
from controlplane.rpc.interceptors import Gate
from controlplane.rpc.operator_door import OperatorDoor
from controlplane.rpc.repository_door import RepositoryDoor
from controlplane.service.joining import Joining

AGENT_SERVICE = agent_pb2.DESCRIPTOR.services_by_name["AgentService"].full_name
OPERATOR_SERVICE = operator_pb2.DESCRIPTOR.services_by_name["OperatorService"].full_name
REPOSITORY_SERVICE = repository_pb2.DESCRIPTOR.services_by_name["RepositoryService"].full_name
HEALTH_SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

# An agent's message is at most 64 KiB; the slack is for framing. Manifests come in one request (promise C5).
AGENT_RECEIVE_BYTES_MAX = 2 * MESSAGE_BYTES_MAX
DOOR_RECEIVE_BYTES_MAX = 32 * 1024 * 1024
KEEPALIVE_MS = 20_000
# An agent has a session, its logs and a few calls of its own; a person's tools may have many watches.
AGENT_STREAMS_MAX = 16
DOOR_STREAMS_MAX = 100

_COMMON = (
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where to listen, host:port each."""

    agents: str
    door: str
    probes: str


class Listeners:
    """The running servers."""

    def __init__(
        self,
        addresses: Addresses,
        credentials: ServerCredentials,
        joining: Joining,
        agent_door: AgentDoor,
        operator_door: OperatorDoor,
        repository_door: RepositoryDoor,
    ) -> None:
        """Bind all three listeners. Raises ``RuntimeError`` naming the address that cannot be had."""
        self.health = health.aio.HealthServicer()
        pair = [(credentials.key_pem, credentials.chain_pem)]
        mutual = grpc.ssl_server_credentials(pair, joining.authority.certificate_pem, require_client_auth=True)
        agents = _server(Gate(joining, by_certificate=True), AGENT_RECEIVE_BYTES_MAX, AGENT_STREAMS_MAX)
        agent_pb2_grpc.add_AgentServiceServicer_to_server(agent_door, agents)
        repository_pb2_grpc.add_RepositoryServiceServicer_to_server(repository_door, agents)
        door = _server(Gate(joining, by_certificate=False), DOOR_RECEIVE_BYTES_MAX, DOOR_STREAMS_MAX)
        agent_pb2_grpc.add_AgentServiceServicer_to_server(agent_door, door)
        operator_pb2_grpc.add_OperatorServiceServicer_to_server(operator_door, door)
        repository_pb2_grpc.add_RepositoryServiceServicer_to_server(repository_door, door)
        reflection.enable_server_reflection(
            (OPERATOR_SERVICE, REPOSITORY_SERVICE, AGENT_SERVICE, reflection.SERVICE_NAME), door
        )
        health_pb2_grpc.add_HealthServicer_to_server(self.health, door)
        probes = grpc.aio.server(options=(*_COMMON, ("grpc.max_concurrent_streams", DOOR_STREAMS_MAX)))
        health_pb2_grpc.add_HealthServicer_to_server(self.health, probes)
        reflection.enable_server_reflection((HEALTH_SERVICE, reflection.SERVICE_NAME), probes)
        self.agents_port = _bind(agents, addresses.agents, mutual)
        self.door_port = _bind(door, addresses.door, grpc.ssl_server_credentials(pair))
        self.probes_port = _bind(probes, addresses.probes, None)
        self._servers = (probes, door, agents)

    async def start(self) -> None:
        """Begin to serve, and say so to the probes."""
        for server in self._servers:
            await server.start()
        for service in ("", AGENT_SERVICE, OPERATOR_SERVICE, REPOSITORY_SERVICE):
            await self.health.set(service, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self, grace_s: float) -> None:
        """Tell the probes, let calls under way end for ``grace_s``, then cut the rest."""
        await self.health.enter_graceful_shutdown()
        await asyncio.gather(*(server.stop(grace_s) for server in self._servers))


def _server(gate: Gate, receive_bytes_max: int, streams_max: int) -> Any:
    """``streams_max`` is of one connection."""
    return grpc.aio.server(
        interceptors=[gate],
        options=(
            *_COMMON,
            ("grpc.max_receive_message_length", receive_bytes_max),
            ("grpc.max_concurrent_streams", streams_max),
        ),
    )


def _bind(server: Any, address: str, credentials: Any) -> int:
    try:
        port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    except RuntimeError:
        port = 0
    if not port:
        raise RuntimeError(f"cannot listen on {address}: is it taken, or not an address of this host?")
    return int(port)
