"""The three listeners: agents (mutual TLS), public (server TLS), probes (plain, loopback only).

gRPC in Python either demands a client certificate or never asks for one, so one port cannot serve both.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from haulier.v1 import (
    access_pb2,
    access_pb2_grpc,
    agent_pb2,
    agent_pb2_grpc,
    audit_pb2,
    audit_pb2_grpc,
    black_box_pb2,
    black_box_pb2_grpc,
    fleet_pb2,
    fleet_pb2_grpc,
    operator_pb2,
    operator_pb2_grpc,
    repository_pb2,
    repository_pb2_grpc,
)

from controlplane.rpc.access.servicer import AccessServicer
from controlplane.rpc.agents.black_box_servicer import BlackBoxServicer
from controlplane.rpc.agents.servicer import MESSAGE_BYTES_MAX, AgentServicer
from controlplane.rpc.audit.servicer import AuditServicer
from controlplane.rpc.interceptors import Gate
from controlplane.rpc.listening_identity import ListeningIdentity
from controlplane.rpc.operators.servicer import OperatorServicer
from controlplane.rpc.rollouts.repository_servicer import RepositoryServicer
from controlplane.rpc.rollouts.servicer import FleetServicer

SERVICES = tuple(
    service.full_name
    for file in (access_pb2, agent_pb2, audit_pb2, black_box_pb2, fleet_pb2, operator_pb2, repository_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
)
HEALTH_SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

# An agent's message is at most 64 KiB; the slack is for framing. Manifests come in one request (promise C5).
AGENT_RECEIVE_BYTES_MAX = 2 * MESSAGE_BYTES_MAX
PUBLIC_RECEIVE_BYTES_MAX = 32 * 1024 * 1024
KEEPALIVE_MS = 20_000
# An agent has a session, its logs and a few calls of its own; a person's tools may have many watches.
AGENT_STREAMS_MAX = 16
PUBLIC_STREAMS_MAX = 100

_COMMON = (
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)
# gRPC pings after what it receives, to learn how wide the way is. What agents send fits any window, and the pings of
# both sides were two thirds of the messages that a heartbeat makes.
_NO_PROBES = (("grpc.http2.bdp_probe", 0),)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where to listen, host:port each."""

    agents: str
    public: str
    probes: str


@dataclass(frozen=True, slots=True)
class Servicers:
    """What is served."""

    agents: AgentServicer
    operators: OperatorServicer
    access: AccessServicer
    repository: RepositoryServicer
    fleet: FleetServicer
    audit: AuditServicer
    black_boxes: BlackBoxServicer


class Listeners:
    """The running servers."""

    def __init__(
        self, addresses: Addresses, listening: ListeningIdentity, gates: Callable[[bool], Gate], servicers: Servicers
    ) -> None:
        """``gates`` makes the gate of a listener that demands certificates, or of one that does not.

        Raises ``RuntimeError`` naming the address that cannot be had.
        """
        self.health = health.aio.HealthServicer()
        mutual, one_sided = listening.credentials(demands=True), listening.credentials(demands=False)
        agents = _server(gates(True), AGENT_RECEIVE_BYTES_MAX, AGENT_STREAMS_MAX, _NO_PROBES)
        public = _server(gates(False), PUBLIC_RECEIVE_BYTES_MAX, PUBLIC_STREAMS_MAX)
        for server in (agents, public):
            agent_pb2_grpc.add_AgentServiceServicer_to_server(servicers.agents, server)
            repository_pb2_grpc.add_RepositoryServiceServicer_to_server(servicers.repository, server)
            black_box_pb2_grpc.add_BlackBoxServiceServicer_to_server(servicers.black_boxes, server)
        operator_pb2_grpc.add_OperatorServiceServicer_to_server(servicers.operators, public)
        access_pb2_grpc.add_AccessServiceServicer_to_server(servicers.access, public)
        fleet_pb2_grpc.add_FleetServiceServicer_to_server(servicers.fleet, public)
        audit_pb2_grpc.add_AuditServiceServicer_to_server(servicers.audit, public)
        reflection.enable_server_reflection((*SERVICES, reflection.SERVICE_NAME), public)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, public)
        probes = grpc.aio.server(options=(*_COMMON, ("grpc.max_concurrent_streams", PUBLIC_STREAMS_MAX)))
        health_pb2_grpc.add_HealthServicer_to_server(self.health, probes)
        reflection.enable_server_reflection((HEALTH_SERVICE, reflection.SERVICE_NAME), probes)
        self.agents_port = _bind(agents, addresses.agents, mutual)
        self.public_port = _bind(public, addresses.public, one_sided)
        self.probes_port = _bind(probes, addresses.probes, None)
        self._servers = (probes, public, agents)

    async def start(self) -> None:
        """Begin to serve, and say so to the probes."""
        for server in self._servers:
            await server.start()
        for service in ("", *SERVICES):
            await self.health.set(service, health_pb2.HealthCheckResponse.SERVING)

    async def tell_ready(self, *, is_ready: bool) -> None:
        """Say of each service whether its work can be done; of the whole, nothing but that it lives."""
        answer = health_pb2.HealthCheckResponse
        for service in SERVICES:
            await self.health.set(service, answer.SERVING if is_ready else answer.NOT_SERVING)

    async def stop(self, grace_s: float) -> None:
        """Tell the probes, let calls under way end for ``grace_s``, then cut the rest."""
        await self.health.enter_graceful_shutdown()
        await asyncio.gather(*(server.stop(grace_s) for server in self._servers))


def _server(gate: Gate, receive_bytes_max: int, streams_max: int, options: tuple[tuple[str, int], ...] = ()) -> Any:
    """``streams_max`` is of one connection."""
    return grpc.aio.server(
        interceptors=[gate],
        options=(
            *_COMMON,
            *options,
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
