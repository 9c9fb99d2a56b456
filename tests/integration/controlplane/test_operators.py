"""What operators do, over the wire: apply, start, stop, go back, watch."""

import time
from pathlib import Path
from typing import Any

import grpc
from haulier.v1 import agent_pb2 as pb
from haulier.v1 import operator_pb2

from controlplane.core.model import Requirements
from controlplane.identity.roles import Role
from controlplane.store.port import Tx
from controlplane.store.verbs.inventory import Resource
from tests.integration.controlplane.plane import CALL_S, Running, refusal, serving
from tests.kit.builders import a_plan
from tests.kit.running import run, soon

EXAMPLES = Path(__file__).parents[2] / "unit" / "controlplane" / "manifests" / "examples"
CREATED, UPDATED = operator_pb2.MANIFEST_CHANGE_CREATED, operator_pb2.MANIFEST_CHANGE_UPDATED
UNCHANGED = operator_pb2.MANIFEST_CHANGE_UNCHANGED
EXTRACT = a_plan(name="extract", kind="extract", target="staging/flights")
LOAD = a_plan(name="load", kind="load", needs=("extract",))


def example_files() -> list[operator_pb2.ManifestFile]:
    return [
        operator_pb2.ManifestFile(path=path.name, content=path.read_bytes()) for path in sorted(EXAMPLES.glob("*.yaml"))
    ]


async def apply(
    running: Running, *texts: str, request_id: str = "r1", metadata: Any = None
) -> operator_pb2.ApplyManifestsResponse:
    files = [operator_pb2.ManifestFile(path=f"{n}.yaml", content=text.encode()) for n, text in enumerate(texts)]
    request = operator_pb2.ApplyManifestsRequest(files=files or example_files(), request_id=request_id)
    answer: operator_pb2.ApplyManifestsResponse = await running.ask("ApplyManifests", request, metadata)
    return answer


async def start(running: Running, *names: str, request_id: str = "s1") -> operator_pb2.StartMigrationsResponse:
    request = operator_pb2.StartMigrationsRequest(names=names, request_id=request_id)
    answer: operator_pb2.StartMigrationsResponse = await running.ask("StartMigrations", request)
    return answer


async def migrations(running: Running, **filters: Any) -> dict[str, str]:
    listed = await running.ask("ListMigrations", operator_pb2.ListMigrationsRequest(**filters))
    return {row.name: row.state for row in listed.migrations}


async def details(running: Running, subject: str) -> dict[str, str]:
    return {event.type: event.detail for event in await running.events(subject)}


def test_what_says_auto_starts_when_it_is_applied_and_only_once(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            operator = await running.token(Role.OPERATOR, name="ada")
            outcomes = (await apply(running, metadata=operator)).outcomes
            assert {outcome.change for outcome in outcomes} == {CREATED}
            assert await migrations(running) == {"flights-to-mart": "waiting"}
            again = await apply(running, request_id="r2")
            assert {outcome.change for outcome in again.outcomes} == {UNCHANGED}
            assert await migrations(running) == {"flights-to-mart": "waiting"}
            (started,) = (await running.ask("ListMigrations", operator_pb2.ListMigrationsRequest())).migrations
            told = await details(running, started.migration_id)
            assert told["MigrationStarted"] == "flights-to-mart (by ada)"
            assert (await details(running, "Dataset/airlines"))["ManifestApplied"] == "generation 1 (by ada)"

    run(body())


def test_work_that_started_by_itself_is_pushed_to_an_agent_that_was_there_before(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            talk = await running.talk(await running.join(), labels={"site": "north"})
            await apply(running)
            (grant,) = await talk.granted(1)
            assert (grant.step_name, grant.kind) == ("extract", "extract")
            assert grant.params

    run(body())


def test_one_wrong_manifest_keeps_all_of_them_out(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            good = (EXAMPLES / "datastores.yaml").read_text()
            bad = "apiVersion: haulier/v1\nkind: Dataset\nmetadata: {name: x}\nspec:\n  ownr: me\n"
            answer = await apply(running, good, bad)
            assert not answer.outcomes
            assert answer.findings[0].path == "1.yaml" and answer.findings[0].line
            for kind in ("Datastore", "Dataset"):
                listed = await running.ask("ListManifests", operator_pb2.ListManifestsRequest(kind=kind))
                assert not listed.manifests
            # What was refused is not remembered as answered.
            assert (await apply(running, good)).outcomes

    run(body())


def test_validating_says_what_an_apply_would_do_and_keeps_nothing(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            request = operator_pb2.ValidateManifestsRequest(files=example_files())
            answer = await running.ask("ValidateManifests", request)
            assert not answer.findings and {outcome.change for outcome in answer.outcomes} == {CREATED}
            assert not (await running.ask("ListManifests", operator_pb2.ListManifestsRequest(kind="Dataset"))).manifests
            await apply(running)
            changed = (EXAMPLES / "datasets.yaml").read_text().replace("owner: team-air", "owner: team-sea", 1)
            file = operator_pb2.ManifestFile(path="datasets.yaml", content=changed.encode())
            answer = await running.ask("ValidateManifests", operator_pb2.ValidateManifestsRequest(files=[file]))
            assert sorted(outcome.change for outcome in answer.outcomes)[0] == UPDATED
            shown = await running.ask("GetManifest", operator_pb2.GetManifestRequest(kind="Dataset", name="airlines"))
            assert (shown.manifest.generation, "team-air" in shown.manifest.spec_json) == (1, True)
            await apply(running, changed, request_id="r2")
            shown = await running.ask("GetManifest", operator_pb2.GetManifestRequest(kind="Dataset", name="airlines"))
            assert (shown.manifest.generation, "team-sea" in shown.manifest.spec_json) == (2, True)

    run(body())


def test_what_was_planned_and_cannot_be_any_more_says_why(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            await apply(running)
            await running.plane.store.write(lambda tx: tx.put_resources([_migration_without_workflow(tx)]))
            code, why = await refusal(start(running, "orphan"))
            assert code is grpc.StatusCode.FAILED_PRECONDITION
            assert why == "orphan: there is no Workflow nowhere: apply it first"

    run(body())


def _migration_without_workflow(tx: Tx) -> Resource:
    known = tx.resource("Migration", "airlines-to-warehouse")
    assert known is not None
    spec = known.spec.replace('"workflow":"copy"', '"workflow":"nowhere"')
    assert spec != known.spec
    return known._replace(name="orphan", spec=spec)


def test_a_repeated_request_changes_nothing_and_a_mixed_up_one_is_refused(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            first = await apply(running, request_id="one")
            events = len(await running.events())
            assert await apply(running, request_id="one") == first
            assert len(await running.events()) == events
            started = await start(running, "airlines-to-warehouse", request_id="two")
            repeated = await start(running, "airlines-to-warehouse", request_id="two")
            assert [row.migration_id for row in repeated.started] == [row.migration_id for row in started.started]
            code, why = await refusal(start(running, request_id="one"))
            assert code is grpc.StatusCode.FAILED_PRECONDITION
            assert why == "the request id one was used for ApplyManifests before: choose a fresh one"
            code, why = await refusal(start(running, request_id=""))
            assert (code, why) == (grpc.StatusCode.INVALID_ARGUMENT, "request_id is required")

    run(body())


def test_starting_is_all_or_none(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            await apply(running)
            code, why = await refusal(start(running, "airlines-to-warehouse", "no-such"))
            assert code is grpc.StatusCode.NOT_FOUND
            assert why.startswith("there is no Migration no-such: apply it first")
            assert "airlines-to-warehouse" not in await migrations(running)
            twice = ["airlines-to-warehouse", "airlines-to-warehouse", "flights-to-mart"]
            answer = await start(running, *twice, request_id="s2")
            assert [row.name for row in answer.started] == ["airlines-to-warehouse"]
            assert list(answer.already_started) == ["flights-to-mart"]
            rest = await start(running, request_id="s3")
            known = set(await migrations(running))
            assert not {row.name for row in rest.started} & {"airlines-to-warehouse", "flights-to-mart"}
            assert not rest.already_started
            assert known >= {"airlines-to-warehouse", "flights-to-mart"}

    run(body())


def test_pages_are_whole_and_in_order(tmp_path: Path) -> None:
    async def pages(running: Running, method: str, field: str, make: Any, page_size: int) -> list[Any]:
        seen: list[Any] = []
        token = ""
        while True:
            answer = await running.ask(method, make(page_size=page_size, page_token=token))
            assert len(getattr(answer, field)) <= (page_size or 1000)
            seen += getattr(answer, field)
            token = answer.next_page_token
            if not token:
                return seen

    def datastores(**page: Any) -> operator_pb2.ListManifestsRequest:
        return operator_pb2.ListManifestsRequest(kind="Datastore", **page)

    async def body() -> None:
        async with serving(tmp_path) as running:
            await apply(running)
            await start(running)
            for method, field, make in (
                ("ListManifests", "manifests", datastores),
                ("ListMigrations", "migrations", operator_pb2.ListMigrationsRequest),
            ):
                whole = await pages(running, method, field, make, 0)
                assert len(whole) > 1
                for page_size in (1, 2, len(whole)):
                    found = await pages(running, method, field, make, page_size)
                    assert [row.name for row in found] == [row.name for row in whole]

    run(body())


def test_what_is_not_there_is_named_with_where_to_look(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            await apply(running)
            missing: list[tuple[str, Any, str]] = [
                ("GetMigration", operator_pb2.GetMigrationRequest(migration="x"), "`haulier migration list`"),
                (
                    "CancelMigration",
                    operator_pb2.CancelMigrationRequest(migration="x", reason="y"),
                    "there is no migration x",
                ),
                ("RetryMigration", operator_pb2.RetryMigrationRequest(migration="x"), "there is no migration x"),
                ("Why", operator_pb2.WhyRequest(subject="step_999"), "there is no step step_999"),
                ("Why", operator_pb2.WhyRequest(subject="flights-to-mart/lod"), "has no step lod; it has extract"),
                ("GetManifest", operator_pb2.GetManifestRequest(kind="Dataset", name="x"), "`haulier dataset list`"),
                ("DrainAgent", operator_pb2.DrainAgentRequest(agent="x", reason="y"), "`haulier agent list`"),
            ]
            for method, request, words in missing:
                code, why = await refusal(running.ask(method, request))
                assert (code, words in why) == (grpc.StatusCode.NOT_FOUND, True), why
            unstarted = operator_pb2.GetMigrationRequest(migration="airlines-to-warehouse")
            code, why = await refusal(running.ask("GetMigration", unstarted))
            assert code is grpc.StatusCode.FAILED_PRECONDITION
            assert "was not started yet: `haulier migration start airlines-to-warehouse`" in why
            tail = running.operators().TailLogs(
                operator_pb2.TailLogsRequest(attempt_id="att_0"), metadata=running.administrator, timeout=CALL_S
            )
            assert (await refusal(anext(aiter(tail))))[0] is grpc.StatusCode.NOT_FOUND

    run(body())


def test_a_failed_migration_is_retried_and_then_rolled_back(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            talk = await running.talk(await running.join())
            ada = await running.token(Role.OPERATOR, name="ada")
            migration = await running.start(EXTRACT, LOAD)
            (extract,) = await talk.granted(1)
            failure = pb.AttemptFailure(code="type_mismatch", message="no such type", hint="mend it")
            await talk.settled(extract, outcome=pb.ATTEMPT_OUTCOME_FAILED, failure=failure)
            assert await running.state_of(migration) == "failed"
            await running.ask("RetryMigration", operator_pb2.RetryMigrationRequest(migration="m1"), ada)
            again = (await talk.granted(2))[1]
            await talk.settled(again)
            load = (await talk.granted(3))[2]
            await talk.settled(load)
            rollback = operator_pb2.RollbackMigrationRequest(migration="m1", reason="wrong table")
            assert (await running.ask("RollbackMigration", rollback, ada)).migration.state == "rolling_back"
            # Asking again for what is under way changes nothing.
            assert (await running.ask("RollbackMigration", rollback, ada)).migration.state == "rolling_back"
            for number in (4, 5):
                back = (await talk.granted(number))[-1]
                assert back.direction == pb.DIRECTION_UNDO
                await talk.settled(back)
            assert await running.state_of(migration) == "rolled_back"
            told = await details(running, migration)
            assert told["MigrationRetried"] == "by ada"
            assert told["MigrationRollbackAsked"] == "wrong table (by ada)"
            cancel = operator_pb2.CancelMigrationRequest(migration="m1", reason="no")
            code, why = await refusal(running.ask("CancelMigration", cancel))
            assert (code, why) == (grpc.StatusCode.FAILED_PRECONDITION, "m1: the migration is already rolled_back")

    run(body())


def test_a_retry_of_a_step_whose_parameters_could_not_be_made_makes_them_again(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            talk = await running.talk(await running.join(), kinds=["own", "load"])
            hole = '{"holes":[{"step":"first","kind":"own","field":["rows"],"path":["rows"]}],"params":{"rows":null}}'
            first = a_plan(name="first", kind="own", target="t1", requirements=Requirements("own"))
            second = a_plan(name="second", kind="own", needs=("first",), target="t2", template=hole, params=None)
            migration = await running.start(first, second)
            (grant,) = await talk.granted(1)
            await talk.settled(grant, result=b'{"lines": 3}')
            assert await running.state_of(migration) == "failed"
            retried = await running.ask("RetryMigration", operator_pb2.RetryMigrationRequest(migration="m1"))
            # It fails for the same reason; no agent ever sees a step without parameters.
            assert retried.migration.state == "failed"
            assert "rows" in retried.migration.reason
            assert len(talk.grants) == 1

    run(body())


def test_rolling_back_never_waits_for_the_advancer(tmp_path: Path) -> None:
    """The last step of a chain has no dependents; undoing it must free the step before it at once."""

    async def body() -> None:
        async with serving(tmp_path) as running:
            talk = await running.talk(await running.join())
            migration = await running.start(EXTRACT, LOAD)
            for number in (1, 2):
                await talk.settled((await talk.granted(number))[-1])
            await running.ask("RollbackMigration", operator_pb2.RollbackMigrationRequest(migration="m1", reason="no"))
            for number in (3, 4):
                await talk.settled((await talk.granted(number))[-1])
            assert await running.state_of(migration) == "rolled_back"

    run(body(), bound_s=30.0)


def test_the_end_of_the_last_independent_step_ends_a_failed_migration_at_once(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            talk = await running.talk(await running.join())
            other = a_plan(name="other", kind="extract", target="staging/other")
            migration = await running.start(EXTRACT, LOAD, other)
            grants = {grant.step_name: grant for grant in await talk.granted(2)}
            failure = pb.AttemptFailure(code="type_mismatch", message="no such type")
            await talk.settled(grants["extract"], outcome=pb.ATTEMPT_OUTCOME_FAILED, failure=failure)
            assert await running.state_of(migration) == "running"
            await talk.settled(grants["other"])
            assert await running.state_of(migration) == "failed"

    run(body())


def test_events_are_followed_in_order_from_a_position_on(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            stub = running.operators()
            migration = await running.start(EXTRACT)
            follow = stub.WatchEvents(
                operator_pb2.WatchEventsRequest(subject=migration, follow=True), metadata=running.administrator
            )
            stream = aiter(follow)
            seen = [await soon(stream) for _ in range(3)]
            assert [event.type for event in seen] == ["MigrationStarted", "StepPlanned", "StepReadied"]
            talk = await running.talk(await running.join())
            await talk.settled((await talk.granted(1))[0])
            seen += [await soon(stream) for _ in range(3)]
            assert [event.type for event in seen[3:]] == ["LeaseGranted", "StepSucceeded", "MigrationSucceeded"]
            positions = [event.position for event in seen]
            assert positions == sorted(set(positions))
            follow.cancel()
            later = stub.WatchEvents(
                operator_pb2.WatchEventsRequest(after=positions[3], subject=migration),
                metadata=running.administrator,
                timeout=CALL_S,
            )
            assert [event.position async for event in later] == positions[4:]
            step = seen[1].subject
            of_step = stub.WatchEvents(
                operator_pb2.WatchEventsRequest(subject=step), metadata=running.administrator, timeout=CALL_S
            )
            assert [event.type async for event in of_step] == [
                "StepPlanned",
                "StepReadied",
                "LeaseGranted",
                "StepSucceeded",
            ]

    run(body())


def test_following_output_ends_with_its_attempt_also_without_a_last_piece(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            talk = await running.talk(await running.join())
            await running.start(EXTRACT)
            (grant,) = await talk.granted(1)
            tail = running.operators().TailLogs(
                operator_pb2.TailLogsRequest(attempt_id=grant.attempt_id, follow=True),
                metadata=running.administrator,
                timeout=CALL_S,
            )
            await talk.settled(grant)
            assert [(piece.state, piece.data) async for piece in tail] == [("succeeded", b"")]

    run(body())


def test_status_shows_the_loops_and_the_counts(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            await running.join()
            await running.start(EXTRACT, LOAD)
            status = await running.ask("GetStatus", operator_pb2.GetStatusRequest())
            assert {loop.name for loop in status.loops} >= {"lease_reaper", "agent_watcher", "dispatcher"}
            assert all(loop.passes >= 1 and not loop.last_error for loop in status.loops)
            assert dict(status.migrations) == {"waiting": 1}
            assert dict(status.steps) == {"ready": 1, "blocked": 1}
            assert dict(status.agents) == {"lost": 1}

    run(body())


def test_ten_thousand_datasets_are_applied_in_one_request(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            await apply(running, request_id="stores")
            spec = "spec: {owner: team-air, datastore: warehouse, object: t%d}\n"
            text = "---\n".join(
                f"apiVersion: haulier/v1\nkind: Dataset\nmetadata: {{name: d{n}}}\n{spec % n}" for n in range(10_000)
            )
            file = operator_pb2.ManifestFile(path="many.yaml", content=text.encode())
            request = operator_pb2.ApplyManifestsRequest(files=[file], request_id="many")
            began_at = time.perf_counter()
            answer = await running.operators().ApplyManifests(request, timeout=100.0, metadata=running.administrator)
            took_s = time.perf_counter() - began_at
            assert not answer.findings
            assert len(answer.outcomes) == 10_000
            # Printed and not asserted: a busy machine is slow and not wrong.
            print(f"10,000 datasets applied in {took_s:.2f} s")

    run(body(), bound_s=110.0)
