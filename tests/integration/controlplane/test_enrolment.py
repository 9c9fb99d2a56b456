"""How a host becomes an agent, over the wire: a token works once, for the host that it was made for."""

from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from haulier.v1 import operator_pb2

from controlplane.identity.peers import identity_of
from tests.integration.controlplane.plane import Key, refusal, serving
from tests.kit.running import run

DENIED = grpc.StatusCode.PERMISSION_DENIED
INVALID = grpc.StatusCode.INVALID_ARGUMENT


def test_a_token_is_traded_for_an_identity(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            answer = await running.enroll(agent_name="host-7")
            assert identity_of(answer.certificate_pem).id == answer.agent_id
            assert answer.ca_pem == running.ca
            assert answer.session_address == running.agents_address
            assert 0 < answer.certificate_ttl_s < 400 * 86_400
            (agent,) = (await running.ask("ListAgents", operator_pb2.ListAgentsRequest())).agents
            assert (agent.agent_id, agent.name, agent.slots) == (answer.agent_id, "host-7", 0)
            assert agent.liveness == "lost: it has not connected yet"
            joined = [event for event in await running.events(answer.agent_id) if event.type == "AgentJoined"]
            assert [event.detail for event in joined] == ["host-7"]

    run(body())


def test_a_repeat_after_a_lost_answer_gets_the_same_identity(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            token, request = await running.join_token(), Key().request()
            first = await running.enroll(token=token, csr_pem=request)
            again = await running.enroll(token=token, csr_pem=request)
            assert (again.agent_id, again.certificate_pem) == (first.agent_id, first.certificate_pem)
            assert len((await running.ask("ListAgents", operator_pb2.ListAgentsRequest())).agents) == 1

    run(body())


def test_a_stolen_token_is_refused_and_the_owner_is_told(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            token = await running.join_token()
            await running.enroll(token=token, request_id="owner")
            code, why = await refusal(running.enroll(token=token, request_id="thief", agent_name="host-2"))
            assert (code, "the join token has been used" in why) == (DENIED, True)
            # Also under the id and name of the first use: the key is another.
            code, why = await refusal(running.enroll(token=token, request_id="owner"))
            assert (code, "the join token has been used" in why) == (DENIED, True)

    run(body())


def test_a_token_fits_only_the_name_it_was_made_for(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            token = await running.join_token(agent_name="host-1")
            code, why = await refusal(running.enroll(token=token, agent_name="host-2"))
            assert (code, why) == (DENIED, "the join token was made for an agent of another name")
            assert (await running.enroll(token=token, agent_name="host-1")).agent_id

    run(body())


def test_a_name_that_has_joined_is_taken(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            await running.enroll(agent_name="host-1")
            code, why = await refusal(running.enroll(agent_name="host-1", request_id="r2"))
            assert (code, "an agent named host-1 has joined already" in why) == (DENIED, True)

    run(body())


def test_what_is_no_token_name_or_request_is_refused_in_words(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            token = await running.join_token()
            strange = token.replace(token.split(".")[-2], "A" * 43)
            wrong: list[tuple[dict[str, Any], grpc.StatusCode, str]] = [
                ({"token": ""}, INVALID, "this is not a join token"),
                ({"token": "hello"}, INVALID, "this is not a join token"),
                ({"token": strange}, DENIED, "the join token is not known here"),
                ({"csr_pem": b"no request"}, INVALID, "certificate"),
                ({"agent_name": "no such name!"}, INVALID, "name"),
                ({"agent_name": ""}, INVALID, "name"),
                ({"request_id": ""}, DENIED, "lacks a request id"),
            ]
            for changes, code, words in wrong:
                found, why = await refusal(running.enroll(**{"token": token, **changes}))
                assert (found, words in why) == (code, True), (changes, why)
            # None of it has used the token up.
            assert (await running.enroll(token=token)).agent_id

    run(body())


def test_tokens_say_who_made_them_and_are_kept_as_hashes_only(tmp_path: Path) -> None:
    async def body() -> str:
        async with serving(tmp_path) as running:
            token = await running.join_token(agent_name="host-1", ttl_s=60.0)
            (made,) = await running.events("host-1")
            assert (made.type, made.detail) == ("JoinTokenCreated", "for 60 s (by administrator)")
            return token.split(".")[-2]

    secret = run(body())
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or secret.encode() not in file.read_bytes()


def test_the_life_of_a_token_is_bounded(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            code, why = await refusal(running.join_token(ttl_s=901.0))
            assert (code, "900 seconds" in why) == (INVALID, True)

    run(body())


def test_certificates_are_for_clients_and_name_nobody_else(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            joined = await running.join()
            certificate = x509.load_pem_x509_certificate(joined.certificate_pem)
            usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
            assert list(usage) == [x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]
            constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
            assert not constraints.ca

    run(body())
