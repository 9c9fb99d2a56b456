"""The standard gRPC health service for probes: plain, on loopback only.

Service "" answers for the daemon's loop; "haulier.v1.AgentService" also needs an open session.
"""

from collections.abc import Callable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

READINESS = "haulier.v1.AgentService"


class ProbeUnavailable(Exception):
    """The probe address cannot be listened on."""


class Probe(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """Answers health checks; `is_ready` tells whether there is a session."""

    def __init__(self, is_ready: Callable[[], bool]) -> None:
        self._is_ready = is_ready
        self._server: Any = None

    async def open(self, address: str) -> None:
        """Listen on `address` (host:port); raises ProbeUnavailable."""
        self._server = grpc.aio.server()
        health_pb2_grpc.add_HealthServicer_to_server(self, self._server)
        try:
            self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise ProbeUnavailable(f"probe.address {address} cannot be listened on: is it taken?") from error
        await self._server.start()

    async def close(self) -> None:
        """Stop listening."""
        await self._server.stop(0)

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802 - named by the protocol
        """Answer one health check."""
        if request.service not in ("", READINESS):
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no such service; known is {READINESS}")
        serving = request.service == "" or self._is_ready()
        status = health_pb2.HealthCheckResponse
        return status(status=status.SERVING if serving else status.NOT_SERVING)
