"""Operators over the wire: tokens made, proven and revoked; roles over the data of owners; the rule of two persons."""

import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from haulier.v1 import access_pb2, operator_pb2

from controlplane.core.events import Event
from controlplane.identity import operator_tokens
from controlplane.identity.roles import Role
from controlplane.service.access import refusals as refusals_service
from tests.integration.controlplane.plane import CALL_S, Running, bearer, refusal, serving
from tests.kit.running import run, until

DENIED = grpc.StatusCode.PERMISSION_DENIED
UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
FAILED_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
STATUS = operator_pb2.GetStatusRequest()

SHARED = """\
apiVersion: haulier/v1
kind: Datastore
metadata: {name: exports}
spec: {engine: csv, root: /srv/exports}
---
apiVersion: haulier/v1
kind: Datastore
metadata: {name: lake}
spec: {engine: parquet, root: /srv/lake}
"""


def manifests(owner: str, name: str) -> str:
    return f"""\
apiVersion: haulier/v1
kind: Dataset
metadata: {{name: {name}}}
spec:
  owner: {owner}
  datastore: exports
  object: {name}.csv
  key: [id]
  columns: [{{name: id, type: int64, required: true}}]
---
apiVersion: haulier/v1
kind: Migration
metadata: {{name: {name}-to-lake}}
spec:
  dataset: {name}
  workflow: copy
  to: {{datastore: lake, object: {name}}}
  staging: lake
"""


WORKFLOW = """\
apiVersion: haulier/v1
kind: Workflow
metadata: {name: copy}
spec:
  steps:
    - name: extract
      kind: extract
      params: {source: "${migration.source}", staging: "${migration.staging}"}
"""


async def call(running: Running, metadata: Any, method: str, request: Any) -> Any:
    service = running.access() if hasattr(running.access(), method) else running.operators()
    return await getattr(service, method)(request, timeout=CALL_S, metadata=metadata)


async def create(running: Running, name: str, role: str, *owners: str) -> access_pb2.CreateOperatorTokenResponse:
    request = access_pb2.CreateOperatorTokenRequest(name=name, role=role, owners=owners)
    made: access_pb2.CreateOperatorTokenResponse = await call(
        running, running.administrator, "CreateOperatorToken", request
    )
    return made


def apply(text: str, request_id: str) -> operator_pb2.ApplyManifestsRequest:
    file = operator_pb2.ManifestFile(path="a.yaml", content=text.encode())
    return operator_pb2.ApplyManifestsRequest(files=[file], request_id=request_id)


def test_a_token_is_made_used_listed_and_revoked(tmp_path: Path) -> None:
    async def body() -> str:
        async with serving(tmp_path) as running:
            made = await create(running, "ada", "viewer")
            assert (made.kept.role, made.kept.state, made.kept.created_by) == ("viewer", "good", "administrator")
            assert (made.ca_pem, made.public_address) == (running.ca, running.public_address)
            ada = bearer(made.token)
            assert (await call(running, ada, "GetStatus", STATUS)).store_generation
            following = running.operators().WatchEvents(operator_pb2.WatchEventsRequest(follow=True), metadata=ada)
            assert (await following.read()).type
            tokens = (
                await call(running, running.administrator, "ListOperatorTokens", access_pb2.ListOperatorTokensRequest())
            ).tokens
            assert [(token.name, token.role) for token in tokens] == [("ada", "viewer"), ("administrator", "admin")]
            request = access_pb2.RevokeOperatorTokenRequest(token_id=made.kept.token_id, reason="left the team")
            began = time.monotonic()
            for _ in range(2):
                answer = await call(running, running.administrator, "RevokeOperatorToken", request)
                assert answer.kept.state == "revoked"
            # What runs under it ends too, at once.
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                while await following.read():
                    pass
            assert ended.value.code() is UNAUTHENTICATED
            assert time.monotonic() - began < 1.0
            code, why = await refusal(call(running, ada, "GetStatus", STATUS))
            assert (code, "revoked" in why) == (UNAUTHENTICATED, True)
            types = [event.type for event in await running.events("ada")]
            assert types == ["OperatorTokenCreated", "OperatorSeen", "OperatorTokenRevoked"]
            return made.token.rpartition(".")[2]

    secret = run(body())
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or secret.encode() not in file.read_bytes()


def test_who_does_not_read_is_cut_off_all_the_same(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            many = [Event(0.0, "Filler", "filler", detail="x" * 200) for _ in range(5000)]
            await running.plane.store.write(lambda tx: tx.record(many))
            made = await create(running, "ada", "viewer")
            streams = running.plane.operators.streams
            watch = operator_pb2.WatchEventsRequest(follow=True)
            following = running.operators().WatchEvents(watch, metadata=bearer(made.token))
            await following.read()
            await until(lambda: made.kept.token_id in streams._ends, "the stream")
            began = time.monotonic()
            request = access_pb2.RevokeOperatorTokenRequest(token_id=made.kept.token_id, reason="left the team")
            await call(running, running.administrator, "RevokeOperatorToken", request)
            await until(lambda: made.kept.token_id not in streams._ends, "the end of the stream")
            assert time.monotonic() - began < 1.0
            following.cancel()

    run(body())


def test_the_last_administrator_stays(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            (only,) = (
                await call(running, running.administrator, "ListOperatorTokens", access_pb2.ListOperatorTokensRequest())
            ).tokens
            request = access_pb2.RevokeOperatorTokenRequest(token_id=only.token_id, reason="tidying")
            code, why = await refusal(call(running, running.administrator, "RevokeOperatorToken", request))
            assert (code, "last administrator" in why) == (FAILED_PRECONDITION, True)
            await create(running, "bob", "admin")
            assert (await call(running, running.administrator, "RevokeOperatorToken", request)).kept.state == "revoked"

    run(body())


def test_a_token_costs_its_slow_hash_once_and_a_wrong_one_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proofs = []
    proven = operator_tokens.matches

    def counted(secret: bytes, verifier: str) -> bool:
        proofs.append(verifier)
        return proven(secret, verifier)

    monkeypatch.setattr(operator_tokens, "matches", counted)

    async def body() -> None:
        async with serving(tmp_path) as running:
            for _ in range(20):
                await call(running, running.administrator, "GetStatus", STATUS)
            assert len(proofs) == 1
            token_id = running.profile["token"].split(".")[1]
            wrong = bearer(operator_tokens.mint(token_id, bytes(32)))
            for _ in range(20):
                assert (await refusal(call(running, wrong, "GetStatus", STATUS)))[0] is UNAUTHENTICATED
            assert len(proofs) == 2

    run(body())


def test_refused_calls_are_on_record_and_cost_few_events(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            viewer = await running.token(Role.VIEWER, "eve")
            drain = operator_pb2.DrainAgentRequest(agent="host-1", reason="x")
            for _ in range(30):
                assert (await refusal(call(running, viewer, "DrainAgent", drain)))[0] is DENIED
            await until(lambda: running.plane.sessions.background.is_idle, "the event")
            told = [event for event in await running.events() if event.type == "AccessRefused"]
            (only,) = told
            assert only.subject.startswith("eve (viewer) at ")
            assert only.detail == "DrainAgent: DrainAgent needs the role admin; this caller is viewer"
            # Many different callers are bounded too.
            for number in range(refusals_service.CALLERS_MAX + 50):
                running.plane.refusals.note(f"caller {number}", "GetStatus", "no")
            await until(lambda: running.plane.sessions.background.is_idle, "the events")
            told = [event for event in await running.events() if event.type == "AccessRefused"]
            assert len(told) <= refusals_service.CALLERS_MAX + 2

    run(body())


def not_theirs(theirs: str) -> list[tuple[str, Any]]:
    """What the operator of another owner may not ask; ``theirs`` is a migration's id."""
    step = f"{theirs}/extract"
    cancel = operator_pb2.CancelMigrationRequest
    return [
        ("GetMigration", operator_pb2.GetMigrationRequest(migration="pay-to-lake")),
        ("GetMigration", operator_pb2.GetMigrationRequest(migration=theirs)),
        ("GetMigration", operator_pb2.GetMigrationRequest(migration="no-such")),
        ("CancelMigration", cancel(migration="pay-to-lake", reason="x")),
        ("RetryMigration", operator_pb2.RetryMigrationRequest(migration="pay-to-lake")),
        ("RollbackMigration", operator_pb2.RollbackMigrationRequest(migration="pay-to-lake", reason="x")),
        ("Why", operator_pb2.WhyRequest(subject=step)),
        ("Why", operator_pb2.WhyRequest(subject="step_1")),
        ("GetManifest", operator_pb2.GetManifestRequest(kind="Dataset", name="pay")),
        ("GetManifest", operator_pb2.GetManifestRequest(kind="Migration", name="pay-to-lake")),
        ("StartMigrations", operator_pb2.StartMigrationsRequest(request_id="all")),
        ("StartMigrations", operator_pb2.StartMigrationsRequest(names=["pay-to-lake"], request_id="one")),
        ("ApplyManifests", apply(manifests("theirs", "pay"), "r7")),
        ("ApplyManifests", apply(manifests("ours", "pay"), "r8")),  # taking it over
        ("ApplyManifests", apply(manifests("theirs", "crew"), "r9")),  # giving it away
        ("ApplyManifests", apply(SHARED, "r10")),
        ("ApplyManifests", apply(WORKFLOW, "r11")),
        ("ApplyManifests", apply(manifests("ours", "new").replace("dataset: new", "dataset: pay"), "r12")),
        ("GetStatus", STATUS),
        ("ListAgents", operator_pb2.ListAgentsRequest()),
        ("ListApprovals", access_pb2.ListApprovalsRequest()),
    ]


def test_a_role_over_an_owners_data_sees_and_changes_nothing_else(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            for number, text in enumerate((SHARED, WORKFLOW, manifests("ours", "crew"), manifests("theirs", "pay"))):
                applied = await call(running, running.administrator, "ApplyManifests", apply(text, f"r{number}"))
                assert not applied.findings
            us = bearer((await create(running, "ada", "operator", "ours")).token)
            for name in ("pay-to-lake", "crew-to-lake"):
                start = operator_pb2.StartMigrationsRequest(names=[name], request_id=name)
                await call(running, running.administrator, "StartMigrations", start)
            # Filtered.
            shown = await call(running, us, "ListMigrations", operator_pb2.ListMigrationsRequest())
            assert [view.name for view in shown.migrations] == ["crew-to-lake"]
            ours = shown.migrations[0].migration_id
            everything = await call(
                running, running.administrator, "ListMigrations", operator_pb2.ListMigrationsRequest()
            )
            theirs = next(view.migration_id for view in everything.migrations if view.migration_id != ours)
            for kind, names in (
                ("Dataset", ["crew"]),
                ("Migration", ["crew-to-lake"]),
                ("Datastore", ["exports", "lake"]),
            ):
                listing = await call(running, us, "ListManifests", operator_pb2.ListManifestsRequest(kind=kind))
                assert [view.name for view in listing.manifests] == names
            watch = running.operators().WatchEvents(operator_pb2.WatchEventsRequest(), metadata=us)
            seen = [event async for event in watch]
            assert seen
            assert all(ours in event.data_json for event in seen)
            # Refused, and whether it exists is not told.
            for method, request in not_theirs(theirs):
                code, why = await refusal(call(running, us, method, request))
                assert code is DENIED, (method, request, why)
            logs = running.operators().TailLogs(operator_pb2.TailLogsRequest(attempt_id="att_1_1"), metadata=us)
            assert await logs.code() is DENIED
            # Their own is theirs.
            for method, request in (
                ("GetMigration", operator_pb2.GetMigrationRequest(migration="crew-to-lake")),
                ("Why", operator_pb2.WhyRequest(subject="crew-to-lake")),
                ("ApplyManifests", apply(manifests("ours", "more"), "r13")),
                ("CancelMigration", operator_pb2.CancelMigrationRequest(migration="crew-to-lake", reason="enough")),
            ):
                await call(running, us, method, request)

    run(body())


def test_a_chosen_call_takes_two_persons(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path, two_persons=("RevokeAgent", "StartMigrations:!names")) as running:
            await running.join()
            bob = bearer((await create(running, "bob", "approver")).token)
            both = bearer((await create(running, "administrator", "approver")).token)
            admin = running.administrator
            request = access_pb2.RevokeAgentRequest(agent="host-1", reason="sold")
            code, why = await refusal(call(running, admin, "RevokeAgent", request))
            assert (code, "needs the approval of a second person" in why) == (FAILED_PRECONDITION, True)
            # Asking again asks for nothing new.
            await refusal(call(running, admin, "RevokeAgent", request))
            (asked,) = (await call(running, bob, "ListApprovals", access_pb2.ListApprovalsRequest())).approvals
            assert (asked.method, asked.asked_by, asked.state) == ("RevokeAgent", "administrator", "pending")
            assert asked.summary == 'agent: "host-1" reason: "sold"'
            agree = access_pb2.DecideApprovalRequest(approval_id=asked.approval_id, agreed=True)
            # Not by whoever asked, under whatever token; not without the role.
            assert (await refusal(call(running, both, "DecideApproval", agree)))[0] is FAILED_PRECONDITION
            assert (await refusal(call(running, admin, "DecideApproval", agree)))[0] is DENIED
            decided = (await call(running, bob, "DecideApproval", agree)).approval
            assert (decided.state, decided.decided_by) == ("approved", "bob")
            assert (await refusal(call(running, bob, "DecideApproval", agree)))[0] is FAILED_PRECONDITION
            # Exactly that call, by whoever asked, once.
            other = access_pb2.RevokeAgentRequest(agent="host-1", reason="another reason")
            assert (await refusal(call(running, admin, "RevokeAgent", other)))[0] is FAILED_PRECONDITION
            carol = bearer((await create(running, "carol", "admin")).token)
            assert (await refusal(call(running, carol, "RevokeAgent", request)))[0] is FAILED_PRECONDITION
            assert (await call(running, admin, "RevokeAgent", request)).agent.state.startswith("revoked")
            assert (await refusal(call(running, admin, "RevokeAgent", request)))[0] is FAILED_PRECONDITION
            # A denial is one, and a condition of the rule looks into the request.
            (waiting, *_) = (await call(running, bob, "ListApprovals", access_pb2.ListApprovalsRequest())).approvals
            deny = access_pb2.DecideApprovalRequest(approval_id=waiting.approval_id, reason="no")
            assert (await call(running, bob, "DecideApproval", deny)).approval.state == "denied"
            named = operator_pb2.StartMigrationsRequest(names=["m"], request_id="r1")
            assert (await refusal(call(running, admin, "StartMigrations", named)))[0] is grpc.StatusCode.NOT_FOUND
            await call(
                running,
                admin,
                "ApplyManifests",
                apply(SHARED + "---\n" + WORKFLOW + "---\n" + manifests("air", "m"), "a1"),
            )
            for request_id in ("r2", "r3"):
                everything = operator_pb2.StartMigrationsRequest(request_id=request_id)
                assert (await refusal(call(running, admin, "StartMigrations", everything)))[0] is FAILED_PRECONDITION
            pending = [
                each
                for each in (await call(running, bob, "ListApprovals", access_pb2.ListApprovalsRequest())).approvals
                if each.method == "StartMigrations"
            ]
            assert len(pending) == 1  # another request id is the same call
            types = {event.type for event in await running.events()}
            assert {"ApprovalAsked", "ApprovalGiven", "ApprovalDenied", "ApprovalUsed"} <= types

    run(body())


def test_what_starts_by_itself_waits_for_the_person_who_saw_its_names(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path, two_persons=("StartMigrations",)) as running:
            bob, admin = bearer((await create(running, "bob", "approver")).token), running.administrator
            auto = manifests("air", "m").replace("staging: lake", "staging: lake\n  start: auto")
            text = "---\n".join((SHARED, WORKFLOW, auto))
            applied = await call(running, admin, "ApplyManifests", apply(text, "a1"))
            assert len(applied.outcomes) == 5 and list(applied.waiting_for_approval) == ["m-to-lake"]
            assert not (await call(running, admin, "ListMigrations", operator_pb2.ListMigrationsRequest())).migrations
            shown = access_pb2.GetApprovalRequest(approval_id=applied.approval_id)
            seen = (await call(running, bob, "GetApproval", shown)).approval
            assert [item.name for item in seen.items] == ["m-to-lake"] and seen.plan_hash
            assert "Dataset m 1" in seen.items[0].state and "m-to-lake" in seen.summary
            # Another road to the same effect meets the same gate, and says by which code it waits.
            started = running.operators().StartMigrations(
                operator_pb2.StartMigrationsRequest(names=["m-to-lake"], request_id="s1"),
                timeout=CALL_S,
                metadata=admin,
            )
            assert (await refusal(started))[0] is FAILED_PRECONDITION
            assert dict(await started.trailing_metadata())["haulier-approval"].startswith("apr_")
            agree = access_pb2.DecideApprovalRequest(approval_id=applied.approval_id, agreed=True)
            await call(running, bob, "DecideApproval", agree)
            again = await call(running, admin, "ApplyManifests", apply(text, "a2"))
            assert not again.approval_id
            (moving,) = (await call(running, admin, "ListMigrations", operator_pb2.ListMigrationsRequest())).migrations
            assert (moving.name, moving.state, moving.owner) == ("m-to-lake", "waiting", "air")

    run(body())


def test_filters_of_a_role_over_owners_find_their_data_alone(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            admin = running.administrator
            text = "---\n".join((SHARED, WORKFLOW, manifests("air", "mine"), manifests("sea", "theirs")))
            await call(running, admin, "ApplyManifests", apply(text, "a1"))
            air = bearer((await create(running, "ann", "operator", "air")).token)
            everything = operator_pb2.StartMigrationsRequest(request_id="s1")
            assert (await refusal(call(running, air, "StartMigrations", everything)))[0] is DENIED
            theirs = operator_pb2.MigrationSelection(names=["theirs-to-lake"])
            named = operator_pb2.StartMigrationsRequest(selection=theirs, request_id="s2")
            assert (await refusal(call(running, air, "StartMigrations", named)))[0] is DENIED
            every = operator_pb2.MigrationSelection(every=True)
            found = operator_pb2.StartMigrationsRequest(selection=every, request_id="s3")
            started = await call(running, air, "StartMigrations", found)
            assert [each.name for each in started.started] == ["mine-to-lake"]
            reason = "enough"
            of_all = operator_pb2.MigrationSelection(states=["running"])
            request = operator_pb2.CancelMigrationRequest(selection=of_all, reason=reason, request_id="c1")
            ended = await call(running, air, "CancelMigration", request)
            assert list(ended.outcome.names) == ["mine-to-lake"]

    run(body())


def test_an_approval_expires(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path, two_persons=("RevokeAgent",), approval_ttl_s=0.2) as running:
            bob = bearer((await create(running, "bob", "approver")).token)
            request = access_pb2.RevokeAgentRequest(agent="host-1", reason="sold")
            await refusal(call(running, running.administrator, "RevokeAgent", request))
            began = running.plane.clock()
            await until(lambda: running.plane.clock() - began > 0.3, "the end of the approval")
            (late,) = (await call(running, bob, "ListApprovals", access_pb2.ListApprovalsRequest())).approvals
            assert late.state == "expired"
            agree = access_pb2.DecideApprovalRequest(approval_id=late.approval_id, agreed=True)
            code, why = await refusal(call(running, bob, "DecideApproval", agree))
            assert (code, "expired" in why) == (FAILED_PRECONDITION, True)

    run(body())
