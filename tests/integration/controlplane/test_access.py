"""What every call must carry, over the wire, and what callers without it are told; the matrix is a test of its own."""

from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from haulier.v1 import operator_pb2

from controlplane.identity.roles import Role
from tests.integration.controlplane.plane import CALL_S, bearer, refusal, serving
from tests.kit.running import run


@pytest.mark.parametrize(
    ("metadata", "because"),
    [
        ((), "needs the role viewer or operator or approver or admin; this caller is anonymous"),
        ((("authorization", "Basic YWRhOmFkYQ=="),), "the call carries no operator token"),
        (bearer("haulier-operator." + "A" * 43), "the operator token is not known here"),
        (bearer("hello"), "the call carries no operator token"),
    ],
)
def test_a_caller_without_a_good_token_is_told_why(tmp_path: Path, metadata: Any, because: str) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            call = running.operators().GetStatus(operator_pb2.GetStatusRequest(), timeout=CALL_S, metadata=metadata)
            code, why = await refusal(call)
            assert code is grpc.StatusCode.UNAUTHENTICATED
            assert because in why

    run(body())


def test_a_token_shown_to_the_agents_listener_opens_nothing(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            stub = running.operators(running.agents())
            call = stub.GetStatus(operator_pb2.GetStatusRequest(), timeout=CALL_S, metadata=running.administrator)
            assert (await refusal(call))[0] is grpc.StatusCode.UNAVAILABLE

    run(body())


def test_a_call_without_a_deadline_is_refused(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            call = running.operators().GetStatus(operator_pb2.GetStatusRequest(), metadata=running.administrator)
            code, why = await refusal(call)
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            assert why == "the call needs a deadline; set a timeout"

    run(body())


def test_a_request_of_64_mib_is_refused_in_words(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            large = operator_pb2.ManifestFile(path="a.yaml", content=bytes(64 * 1024 * 1024))
            request = operator_pb2.ApplyManifestsRequest(files=[large], request_id="r1")
            code, why = await refusal(running.ask("ApplyManifests", request))
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "larger than max" in why and str(32 * 1024 * 1024) in why
            # The listener still serves.
            assert (await running.ask("GetStatus", operator_pb2.GetStatusRequest())).store_generation > 0

    run(body())


def test_plain_text_is_not_spoken_where_secrets_travel(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            for address in (running.public_address, running.agents_address):
                stub = running.operators(running.channel(address))
                call = stub.GetStatus(operator_pb2.GetStatusRequest(), timeout=CALL_S)
                assert (await refusal(call))[0] is grpc.StatusCode.UNAVAILABLE

    run(body())


def test_probes_see_health_without_an_identity_and_its_end_at_the_stop(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            address = f"127.0.0.1:{running.plane.listeners.probes_port}"
            for channel in (running.channel(address), running.listener()):
                stub = health_pb2_grpc.HealthStub(channel)
                for service in ("", "haulier.v1.AgentService", "haulier.v1.OperatorService"):
                    answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=CALL_S)
                    assert answer.status == health_pb2.HealthCheckResponse.SERVING
                unknown = stub.Check(health_pb2.HealthCheckRequest(service="nobody"), timeout=CALL_S)
                assert (await refusal(unknown))[0] is grpc.StatusCode.NOT_FOUND
            watch = health_pb2_grpc.HealthStub(running.channel(address)).Watch(health_pb2.HealthCheckRequest())
            assert (await anext(aiter(watch))).status == health_pb2.HealthCheckResponse.SERVING
            await running.plane.listeners.health.enter_graceful_shutdown()
            assert (await anext(aiter(watch))).status == health_pb2.HealthCheckResponse.NOT_SERVING

    run(body())


def test_reflection_names_the_services(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:

            async def services(channel: Any, metadata: Any = ()) -> set[str]:
                asked = [reflection_pb2.ServerReflectionRequest(list_services="")]
                call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
                    iter(asked), metadata=metadata, timeout=CALL_S
                )
                answer = await anext(aiter(call))
                return {service.name for service in answer.list_services_response.service}

            viewer = await running.token(Role.VIEWER)
            named = await services(running.listener(), viewer)
            assert {"haulier.v1.AgentService", "haulier.v1.OperatorService"} <= named
            assert (await refusal(services(running.listener())))[0] is grpc.StatusCode.UNAUTHENTICATED
            probes = running.channel(f"127.0.0.1:{running.plane.listeners.probes_port}")
            assert "haulier.v1.OperatorService" not in await services(probes)

    run(body())
