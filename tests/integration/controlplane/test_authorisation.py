"""The authorisation matrix: every method of the contract with every kind of caller, over real TLS, both listeners.

Methods come from the contract, so that one which somebody adds tomorrow is in it; without a rule it fails here. The
report is ``build/reports/authz.json``.
"""

import asyncio
import contextlib
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from grpc._cython import cygrpc
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from haulier.v1 import access_pb2, agent_pb2_grpc, operator_pb2
from haulier.v1 import agent_pb2 as pb

from controlplane.identity.authority import CertificateAuthority
from controlplane.identity.peers import identity_of
from controlplane.identity.roles import OPERATOR_ROLES, RULES, Role, may_call
from controlplane.rpc import interceptors
from tests.integration.controlplane.plane import CALL_S, Joined, Key, Running, bearer, refusal, serving
from tests.kit import reports
from tests.kit.builders import a_plan
from tests.kit.running import run

ROOT = Path(__file__).parents[3]
READING = ("Validate", "List", "Get", "Why", "Watch", "Tail", "Stream", "Check", "ServerReflection")
C = grpc.StatusCode
# Refused for who calls, or because nothing of that name is served there, or no connection was had at all.
REFUSED = (C.UNAUTHENTICATED, C.PERMISSION_DENIED, C.UNIMPLEMENTED, C.UNAVAILABLE)
EXTRACT = a_plan(name="extract", kind="extract", target="staging/flights")


def methods() -> list[MethodDescriptor]:
    """Every method that is served, from the contract itself."""
    names = sorted(path.stem for path in (ROOT / "proto/haulier/v1").glob("*_pb2.py"))
    files = [importlib.import_module(f"haulier.v1.{name}").DESCRIPTOR for name in names]
    files += [health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR]
    return [method for file in files for service in file.services_by_name.values() for method in service.methods]


def path_of(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


@dataclass(frozen=True)
class Caller:
    """One kind of caller at one listener. ``role`` is what the rules should take it for; None is nobody at all."""

    name: str
    listener: str
    role: Role | None
    channel: Any
    metadata: Any = ()
    owners: bool = False


async def status_of(caller: Caller, method: MethodDescriptor) -> grpc.StatusCode:
    """How a call ends, or OK with the first word of an answer."""
    kind = ("stream" if method.client_streaming else "unary") + "_" + ("stream" if method.server_streaming else "unary")
    make = getattr(caller.channel, kind)
    call = make(path_of(method), request_serializer=bytes, response_deserializer=bytes)
    try:
        if kind == "unary_unary":
            await call(b"", metadata=caller.metadata, timeout=CALL_S)
            return C.OK
        if method.client_streaming:
            stream = call(metadata=caller.metadata, timeout=CALL_S)
            # The call may be refused before we have said that we say nothing.
            with contextlib.suppress(asyncio.InvalidStateError, cygrpc.ExecuteBatchError):
                await stream.done_writing()
        else:
            stream = call(b"", metadata=caller.metadata, timeout=CALL_S)
        if await stream.read() is not grpc.aio.EOF:
            stream.cancel()
            return C.OK
        ended: grpc.StatusCode = await stream.code()
        return ended
    except grpc.aio.AioRpcError as error:
        code: grpc.StatusCode = error.code()
        return code


async def callers_of(running: Running, own: Joined, other: Joined, revoked: Joined) -> list[Caller]:
    """Every kind of caller."""
    stolen = running.plane.identities.authorities.present.issue_controlplane(
        [], not_before_at=0.0, not_after_at=4e9, serial=99
    )
    misused = Joined("", Key(), stolen.chain_pem)
    misused.key.pem = stolen.key_pem
    expired = running.certify(own.id, ends_in_s=-30.0)
    foreign_key = Key()
    foreign = CertificateAuthority.create(now=0.0, serial=1).issue_agent(
        foreign_key.request(), agent_id=own.id, agent_name="host-1", not_before_at=0.0, not_after_at=4e9, serial=2
    )
    tokens = {role: await running.token(role, f"{role}-1") for role in sorted(OPERATOR_ROLES)}
    listener, agents = running.listener(), running.agents(own)
    ended = (await running.plane.operators.create("late", Role.ADMIN, ttl_s=0.001))[0]
    gone, record = await running.plane.operators.create("gone", Role.ADMIN)
    await running.plane.operators.revoke(record.id, "a test", "")
    nobody = Role.ANONYMOUS
    scoped = await running.token(Role.OPERATOR, "scoped", owners=("ours",))
    unsure = bearer("haulier-operator.0011223344556677." + "A" * 43)
    return [
        Caller("no certificate", "public", nobody, listener),
        Caller("no certificate", "agents", None, running.agents()),
        Caller("join token", "public", nobody, listener, bearer(await running.join_token())),
        Caller("join token", "agents", None, running.agents(), bearer(await running.join_token())),
        Caller("own agent", "agents", Role.AGENT, agents),
        Caller("own agent", "public", nobody, running.channel(running.public_address, credentials_of(running, own))),
        Caller("other agent", "agents", Role.AGENT, running.agents(other)),
        Caller("expired", "agents", None, running.agents(expired)),
        Caller("expired operator token", "public", nobody, listener, bearer(ended)),
        Caller("revoked", "agents", nobody, running.agents(revoked)),
        Caller("revoked operator token", "public", nobody, listener, bearer(gone)),
        Caller("unknown operator token", "public", nobody, listener, unsure),
        Caller("server certificate misused", "agents", None, running.agents(misused)),
        Caller("another authority's agent", "agents", None, running.agents(Joined(own.id, foreign_key, foreign))),
        *(Caller(str(role), "public", role, listener, token) for role, token in tokens.items()),
        *(Caller(str(role), "agents", None, running.agents(), token) for role, token in tokens.items()),
        # A token shown beside an agent's certificate adds nothing to it.
        Caller("agent with admin's token", "agents", Role.AGENT, agents, tokens[Role.ADMIN]),
        Caller("operator over owners", "public", Role.OPERATOR, listener, scoped, owners=True),
    ]


def credentials_of(running: Running, joined: Joined) -> Any:
    return grpc.ssl_channel_credentials(running.ca, joined.key.pem, joined.certificate_pem)


def is_for_agents(service: ServiceDescriptor) -> bool:
    """Whether agents have something to do with a service, so that it is served where they call."""
    ours = service.full_name.startswith("haulier.")
    return ours and any(Role.AGENT in RULES.get(path_of(method), ()) for method in service.methods)


# In the contract of a library that we serve, and not in the library.
UNSERVED = ("/grpc.health.v1.Health/List",)


# What an empty request of a role over owners' data may have: lists are filtered, and no manifest is nobody's.
EMPTY_FOR_OWNERS = ("ValidateManifests", "ApplyManifests", "ListManifests", "ListMigrations", "WatchEvents")


def may(caller: Caller, method: MethodDescriptor) -> bool:
    """What the rules say of a caller at a listener, for an empty request."""
    if path_of(method) in UNSERVED or caller.role is None:
        return False
    if caller.listener == "agents" and not is_for_agents(method.containing_service):
        return False
    return may_call(caller.role, path_of(method)) and not (caller.owners and method.name not in EMPTY_FOR_OWNERS)


def untrustworthy(method: MethodDescriptor) -> list[str]:
    """What is wrong with a rule by the method's own name: a second opinion that no table can talk round."""
    roles = RULES.get(path_of(method))
    if roles is None:
        return ["has no rule, so nobody may call it"]
    found = []
    is_reading = method.name.startswith(READING)
    if Role.ANONYMOUS in roles and method.name != "Enroll" and "health" not in path_of(method):
        found.append("is open to anybody")
    if roles & OPERATOR_ROLES and Role.AGENT in roles and "health" not in path_of(method):
        found.append("is for people and for agents")
    if Role.VIEWER in roles and not is_reading:
        found.append("changes something, and viewers may call it")
    if Role.APPROVER in roles and not is_reading and method.name != "DecideApproval":
        found.append("changes something, and approvers may call it")
    if Role.VIEWER in roles and not roles >= OPERATOR_ROLES and "health" not in path_of(method):
        found.append("is open to viewers and not to others who see everything")
    return found


async def cells_of(callers: list[Caller]) -> tuple[list[dict[str, str]], list[str]]:
    cells, wrong = [], []
    for method in methods():
        name = f"{method.containing_service.name}/{method.name}"
        wrong += [f"{name} {why}" for why in untrustworthy(method)]
        for caller in callers:
            code = await status_of(caller, method)
            is_let_in = code not in REFUSED
            if method.name == "Enroll" and may(caller, method):
                is_let_in = code is C.INVALID_ARGUMENT  # let in, and an empty request holds no join token
            if is_let_in is not may(caller, method):
                wrong.append(f"{name} by {caller.name} at {caller.listener}: {code.name}")
            cell = {"call": name, "caller": caller.name, "listener": caller.listener, "status": code.name}
            cells.append({**cell, "verdict": "allowed" if is_let_in else "refused"})
    return cells, wrong


def test_every_call_by_every_caller(tmp_path: Path) -> None:
    async def body() -> tuple[list[dict[str, str]], list[str]]:
        async with serving(tmp_path) as running:
            own, other, revoked = [await running.join(name) for name in ("host-1", "host-2", "host-3")]
            await running.plane.identities.revoke("host-3", "a test", "")
            callers = await callers_of(running, own, other, revoked)
            return await cells_of(callers)

    cells, wrong = run(body(), 110.0)
    calls, roles = {cell["call"] for cell in cells}, {cell["caller"] for cell in cells}
    wanted = {"no certificate", "join token", "own agent", "other agent", "expired", "revoked", "viewer", "operator"}
    assert wanted | {"approver", "admin", "server certificate misused"} <= roles
    report = {"calls": len(calls), "roles": len(roles), "cells": len(cells), "wrong": len(wrong)}
    reports.write("authz", {**report, "matrix": cells, "findings": wrong})
    assert not wrong, "\n".join(wrong)
    assert len(calls) >= 40


def test_a_method_without_a_rule_fails_the_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    status = next(method for method in methods() if method.name == "GetStatus")
    cut = {path: roles for path, roles in RULES.items() if path != path_of(status)}
    monkeypatch.setitem(globals(), "RULES", cut)
    assert untrustworthy(status) == ["has no rule, so nobody may call it"]
    drain = next(method for method in methods() if method.name == "DrainAgent")
    monkeypatch.setitem(globals(), "RULES", {path_of(drain): frozenset(Role)})
    assert len(untrustworthy(drain)) >= 3


def test_another_agent_reaches_nothing_of_an_agent(tmp_path: Path) -> None:
    """Promise A1: leases, results, renewals, outputs and certificates are by the certificate of the call."""

    async def body() -> None:
        async with serving(tmp_path) as running:
            own, other = await running.join("host-1"), await running.join("host-2")
            talk = await running.talk(own)
            migration = await running.start(EXTRACT)
            (grant,) = await talk.granted(1)
            thief = await running.talk(other, slots=1)
            stub = agent_pb2_grpc.AgentServiceStub(running.agents(other))
            held = pb.HeldAttempt(attempt_id=grant.attempt_id, fence=grant.fence, watermark=7)
            # A renewal, progress and a result of somebody else's attempt.
            progress = pb.AttemptProgress(attempt_id=grant.attempt_id, fence=grant.fence, watermark=9_999)
            await thief.say(heartbeat=pb.Heartbeat(held=[held]), progress=[progress])
            await thief.hear_until(lambda: thief.cancels)
            assert not thief.renewals
            await thief.settled(grant, outcome=pb.ATTEMPT_OUTCOME_SUCCEEDED)
            assert await running.state_of(migration) == "running"
            assert grant.attempt_id not in running.plane.sessions.book._reports
            # Its output.
            logs = stub.Logs()
            await logs.write(pb.LogsRequest(attempt_id=grant.attempt_id, data=b"forged", last=True))
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await logs.read()
            assert refused.value.code() is C.PERMISSION_DENIED
            # Saying in hello that it holds it.
            again = await running.talk(other, incarnation=2, held=[held])
            await again.hear_until(lambda: again.cancels)
            # A certificate is always for the agent of the call, whatever the request's key or name.
            request = pb.RenewCertificateRequest(csr_pem=own.key.request())
            answer = await stub.RenewCertificate(request, timeout=CALL_S)
            assert identity_of(answer.certificate_pem).id == other.id
            # The owner of it all is undisturbed.
            await talk.settled(grant)
            assert await running.state_of(migration) == "succeeded"

    run(body())


def test_of_a_hundred_uses_of_one_join_token_at_once_one_succeeds(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            token = await running.join_token()
            stub = agent_pb2_grpc.AgentServiceStub(running.listener())
            requests = [
                pb.EnrollRequest(request_id=f"r{n}", token=token, csr_pem=Key().request(), agent_name=f"host-{n}")
                for n in range(100)
            ]
            answers = await asyncio.gather(
                *(stub.Enroll(request, timeout=CALL_S) for request in requests), return_exceptions=True
            )
            joined = [answer for answer in answers if isinstance(answer, pb.EnrollResponse)]
            refused = [answer for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
            assert (len(joined), len(refused)) == (1, 99)
            assert {error.code() for error in refused} == {C.PERMISSION_DENIED}
            listing = await running.ask("ListAgents", operator_pb2.ListAgentsRequest())
            assert [agent.agent_id for agent in listing.agents] == [joined[0].agent_id]

    run(body())


def test_a_flood_of_enrolments_is_held_off_and_disturbs_no_session(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            talk = await running.talk(await running.join())
            stub = agent_pb2_grpc.AgentServiceStub(running.listener())
            token = await running.join_token()
            unknown = token.replace(token.split(".")[-2], "A" * 43)
            request = pb.EnrollRequest(request_id="r", token=unknown, csr_pem=Key().request(), agent_name="flood")
            codes = [(await refusal(stub.Enroll(request, timeout=CALL_S)))[0] for _ in range(400)]
            assert codes.count(C.RESOURCE_EXHAUSTED) >= 100
            before = len(talk.renewals)
            await running.start(EXTRACT)
            (grant,) = await talk.granted(1)
            held = pb.HeldAttempt(attempt_id=grant.attempt_id, fence=grant.fence)
            await talk.say(heartbeat=pb.Heartbeat(held=[held]))
            await talk.hear_until(lambda: len(talk.renewals) > before)

    run(body())


def test_requests_differ_by_more_than_their_id() -> None:
    """What a second person agrees to: everything but the id of this very try."""
    essence = interceptors._essence
    one = operator_pb2.StartMigrationsRequest(names=["a"], request_id="r1")
    other = operator_pb2.StartMigrationsRequest(names=["a"], request_id="r2")
    third = operator_pb2.StartMigrationsRequest(names=["b"], request_id="r1")
    assert essence(one)[0] == essence(other)[0] != essence(third)[0]
    assert essence(access_pb2.RevokeAgentRequest(agent="x"))[1] == 'agent: "x"'
