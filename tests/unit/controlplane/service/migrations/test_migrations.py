"""Making steps ready, starting, retrying, going back; and why a step waits."""

import pytest

from controlplane.core.model import Failure, Outcome, Requirements
from controlplane.core.states import AgentState, AttemptState
from controlplane.core.steps.admission import Limits
from controlplane.service.errors import NotFound, Precondition
from controlplane.service.idempotency import answered
from controlplane.service.migrations.queries import result_json
from controlplane.store.verbs.health import Counts
from tests.kit.builders import NOW, a_plan
from tests.unit.controlplane.service.room import Host, Room, in_room

OWN = Requirements("own")
HOLE = '{"holes":[{"step":"first","kind":"own","field":["rows"],"path":["rows"]}],"params":{"rows":null}}'
FIRST = a_plan(name="first", kind="own", target="t1", requirements=OWN)
SECOND = a_plan(name="second", kind="own", needs=("first",), target="t2", requirements=OWN, template=HOLE, params=None)


async def finish(room: Room, host: Host, result: bytes = b"", failure: Failure | None = None) -> None:
    attempt = host.grants[-1].attempt
    state = AttemptState.FAILED if failure else AttemptState.SUCCEEDED
    assert host.session is not None
    await room.sessions.offers.results(host.session, [Outcome(attempt.id, attempt.fence, state, result, failure)])
    await room.settled()


def test_parameters_are_made_from_earlier_results() -> None:
    async def body(room: Room) -> None:
        host = await room.connect(kinds=frozenset({"own"}))
        migration = await room.start(FIRST, SECOND)
        await finish(room, host, b'{"rows":3}')
        assert host.grants[1].params == b'{"rows":3}'
        await finish(room, host)
        assert room.state_of(migration) == "succeeded"

    in_room(body)


def test_a_step_whose_parameters_cannot_be_made_fails_and_no_agent_sees_it() -> None:
    async def body(room: Room) -> None:
        host = await room.connect(kinds=frozenset({"own"}))
        migration = await room.start(FIRST, SECOND)
        await finish(room, host, b'{"lines":3}')
        assert room.state_of(migration) == "failed"
        assert room.steps_of(migration) == {"first": "succeeded", "second": "failed"}
        assert len(host.grants) == 1
        await room.migrations.retry("m1")
        await room.settled()
        assert (room.state_of(migration), len(host.grants)) == ("failed", 1)

    in_room(body)


def test_an_undo_needs_no_parameters_to_be_made() -> None:
    async def body(room: Room) -> None:
        host = await room.connect(kinds=frozenset({"own"}))
        migration = await room.start(FIRST, SECOND)
        await finish(room, host, b'{"rows":3}')
        await room.migrations.undo("m1", "MigrationCancelAsked", "no")
        await room.settled()
        assert [lease.step.name for lease in host.grants] == ["first", "second", "second"]
        await finish(room, host)
        await finish(room, host)
        assert room.state_of(migration) == "cancelled"

    in_room(body)


def test_a_retry_offers_the_step_at_once_with_a_fresh_set_of_tries() -> None:
    async def body(room: Room) -> None:
        host = await room.connect()
        migration = await room.start(a_plan(attempts_max=1))
        await finish(room, host, failure=Failure("broken", "no"))
        assert room.state_of(migration) == "failed"
        await room.migrations.retry(migration, by="ada")
        await room.settled()
        assert host.grants[-1].attempt.number == 2
        await finish(room, host)
        assert room.state_of(migration) == "succeeded"

    in_room(body)


def test_a_migration_that_runs_while_none_of_its_steps_does_waits() -> None:
    """What people see is derived in one place; lists and counts tell the same."""

    async def body(room: Room) -> None:
        await room.start(a_plan())
        assert await states(room) == {"m1": "waiting"}
        assert await room.queries.counts() == Counts({"waiting": 1}, {"ready": 1}, {})
        host = await room.connect()
        assert await states(room) == {"m1": "running"}
        assert [row.name for row in await room.queries.migrations(["running"], "", 9)] == ["m1"]
        assert await room.queries.migrations(["waiting"], "", 9) == []
        await room.start(a_plan(target="other", requirements=Requirements("own")), name="m2")
        assert await states(room) == {"m1": "running", "m2": "waiting"}
        assert [row.name for row in await room.queries.migrations(["waiting"], "", 1)] == ["m2"]
        assert [row.name for row in await room.queries.migrations(["waiting", "running"], "", 9)] == ["m1", "m2"]
        assert (await room.queries.summary_of("m2/load")).shown == "waiting"
        await finish(room, host)
        assert await states(room) == {"m1": "succeeded", "m2": "waiting"}

    in_room(body)


async def states(room: Room) -> dict[str, str]:
    rows = await room.queries.migrations([], "", 9)
    return {row.name: row.shown for row in rows}


def test_what_cannot_be_done_is_refused_in_words() -> None:
    async def body(room: Room) -> None:
        await room.start(a_plan())
        with pytest.raises(NotFound, match="there is no migration m2: see `haulier migration list`"):
            await room.migrations.undo("m2", "MigrationCancelAsked", "no")
        with pytest.raises(Precondition, match="m1: the migration is running: only a failed or stuck one"):
            await room.migrations.retry("m1")
        with pytest.raises(
            NotFound, match="there is no Migration m3: apply it first, or see `haulier migration list --applied`"
        ):
            await room.migrations.start(["m3"], "r1")

    in_room(body)


def test_a_request_is_answered_once_and_for_one_method() -> None:
    async def body(room: Room) -> None:
        await room.store.write(lambda tx: tx.keep_answer("r1", "ApplyManifests", "[]", NOW))
        assert room.store.see(lambda tx: answered(tx, "r1", "ApplyManifests")) == "[]"
        assert room.store.see(lambda tx: answered(tx, "r2", "ApplyManifests")) is None
        with pytest.raises(Precondition, match="the request id r1 was used for ApplyManifests before"):
            await room.migrations.start([], "r1")

    in_room(body)


async def codes(room: Room, subject: str) -> dict[str, list[str]]:
    return {each.step.name: [hold.code for hold in each.holds] for each in await room.queries.why(subject)}


def test_why_names_what_holds_a_step_and_lifting_exactly_that_makes_it_run() -> None:
    async def body(room: Room) -> None:
        near = Requirements("load", ("lake",), (("zone", "a"),))
        await room.start(a_plan(name="load", requirements=near, attempts_max=5))
        assert await codes(room, "m1/load") == {"load": ["no_agent"]}
        await room.connect("far", labels={"zone": "b"})
        (holds,) = await room.queries.why("m1")
        assert holds.holds[0].message.endswith("the nearest, far, lacks label zone=a (it has zone=b)")
        room.sessions.offers.set_limits(Limits({"lake": 0}))
        host = await room.connect("near", labels={"zone": "a"})
        assert await codes(room, "m1") == {"load": ["datastore_budget"]}
        await room.sessions.set_state("near", AgentState.DRAINING, "")
        assert await codes(room, "m1") == {"load": ["drained_agent", "datastore_budget"]}
        room.sessions.offers.set_limits(Limits())
        assert (await codes(room, "m1"), host.grants) == ({"load": ["drained_agent"]}, [])
        await room.sessions.set_state("near", AgentState.SERVING, "")
        await room.settled()
        assert (await codes(room, "m1"), len(host.grants)) == ({"load": ["running"]}, 1)
        await finish(room, host, failure=Failure("broken", "no"))
        assert await codes(room, "m1") == {"load": ["retry_backoff"]}
        room.now += 2.0
        room.sessions.offers.offer_all()
        await room.settled()
        assert len(host.grants) == 2
        await finish(room, host)
        step = host.grants[0].step.id
        assert (await codes(room, "m1"), await codes(room, step)) == ({}, {"load": ["ended"]})

    in_room(body)


def test_why_names_the_step_before_and_the_writer_of_the_target() -> None:
    async def body(room: Room) -> None:
        host = await room.connect(slots=9)
        first, second = a_plan(name="first", target="t1"), a_plan(name="second", target="t2", needs=("first",))
        await room.start(first, second)
        await room.start(a_plan(name="other", target="t1"), name="m2")
        assert await codes(room, "m1") == {"first": ["running"], "second": ["earlier_step"]}
        assert await codes(room, "m2") == {"other": ["target_busy"]}
        await finish(room, host)
        assert [lease.step.name for lease in host.grants] == ["first", "second", "other"]
        # On the way back the later step comes first.
        await room.migrations.undo("m1", "MigrationCancelAsked", "no")
        await room.settled()
        assert await codes(room, "m1/first") == {"first": ["earlier_step"]}
        with pytest.raises(NotFound, match="migration m1 has no step frist; it has first, second"):
            await room.queries.why("m1/frist")
        with pytest.raises(NotFound, match="there is no step step_77"):
            await room.queries.why("step_77")

    in_room(body)


def test_a_result_that_cannot_be_read_is_shown_as_such() -> None:
    assert result_json("own", b'{"rows":3}') == '{"rows": 3}'
    assert result_json("extract", b"\xff\xff") == '{"unreadable": "the result is not a ExtractResult"}'
