"""Contract to core and back: nothing is lost, nothing impossible gets in."""

import json
import math
from typing import Any

import pytest
from haulier.v1 import agent_pb2 as pb
from haulier.v1 import kinds_pb2
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.events import Event
from controlplane.core.model import Held, Use
from controlplane.core.states import AttemptState, Direction, MigrationState
from controlplane.rpc.agents import translate
from controlplane.rpc.agents.translate import INTEGER_MAX, BadMessage
from controlplane.rpc.operators import translate as translate_operator
from controlplane.service.agents.messages import SessionSettings, ToAgent
from controlplane.service.health.loop_health import LoopHealth
from controlplane.service.steps.settling import GrantedLease
from controlplane.store.verbs.migrations import MigrationSummary, Progress
from tests.kit.builders import NOW, a_leased_step, an_agent, an_attempt

UINT64 = st.integers(0, 2**64 - 1)


def hello(**changes: Any) -> pb.Hello:
    fields: dict[str, Any] = {"incarnation": 1, "slots": 1, **changes}
    return pb.Hello(**fields)


def lease(number: int, params: bytes = b"params", direction: Direction = Direction.FORWARD) -> GrantedLease:
    step = a_leased_step(id=f"step_{number}", start_to_finish_s=7.0, progress_s=3.0, direction=direction)
    attempt = an_attempt(id=f"att_{number}_1", step_id=step.id, direction=direction)
    return GrantedLease(attempt, step, params, b"forward", ("att_0_1",), discard_changes=True)


def test_an_introduction_is_read_whole() -> None:
    said = hello(
        incarnation=3,
        agent_version="1.2",
        kinds=["load", "load"],
        datastores=["*"],
        labels={"zone": "a"},
        slots=1024,
        held=[pb.HeldAttempt(attempt_id="att_1_1", fence=5, watermark=6)],
        boot_id="boot-1",
        draining=True,
    )
    read = translate.introduction_of(said)
    assert (read.incarnation, read.version, read.slots, read.boot_id) == (3, "1.2", 1024, "boot-1")
    assert (read.kinds, read.datastores, read.labels) == (frozenset({"load"}), frozenset({"*"}), {"zone": "a"})
    assert (read.held, read.draining) == ((Held("att_1_1", 5, 6),), True)


@pytest.mark.parametrize(
    "changes",
    [
        {"incarnation": 0},
        {"incarnation": 2**63},
        {"slots": 0},
        {"slots": 1025},
        {"labels": {str(n): "x" for n in range(5_001)}, "kinds": [str(n) for n in range(5_000)]},
    ],
)
def test_an_impossible_introduction_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadMessage, match=r"^hello"):
        translate.introduction_of(hello(**changes))


def test_long_texts_of_agents_are_cut() -> None:
    read = translate.introduction_of(hello(agent_version="v" * 10_000, boot_id="b" * 10_000))
    assert (len(read.version), len(read.boot_id)) == (4096, 4096)
    failure = pb.AttemptFailure(code="c" * 10_000, message="m" * 10_000, hint="h" * 10_000)
    outcome = translate.outcome_of(
        pb.AttemptResult(attempt_id="att_1_1", outcome=pb.ATTEMPT_OUTCOME_FAILED, failure=failure)
    )
    assert outcome.failure is not None
    assert [len(each) for each in (outcome.failure.code, outcome.failure.message, outcome.failure.hint)] == [
        64,
        4096,
        4096,
    ]


def test_every_outcome_of_the_contract_is_known() -> None:
    numbers = [value.number for value in pb.AttemptOutcome.DESCRIPTOR.values if value.number != 0]
    known = {translate.outcome_of(pb.AttemptResult(outcome=pb.AttemptOutcome.Name(n))).state for n in numbers}
    assert len(known) == len(numbers)
    assert known == {
        AttemptState.SUCCEEDED,
        AttemptState.FAILED,
        AttemptState.CANCELLED,
        AttemptState.FENCED,
    }
    with pytest.raises(BadMessage, match="result of att_1_1 has the unknown outcome 0"):
        translate.outcome_of(pb.AttemptResult(attempt_id="att_1_1"))


@given(UINT64, UINT64, st.floats(), st.floats())
def test_whatever_numbers_come_the_store_can_keep_them(fence: int, count: int, wall_s: float, cpu_s: float) -> None:
    held = translate.held_of(pb.HeldAttempt(attempt_id="a", fence=fence, watermark=count))
    assert (held.fence, held.watermark) == (fence, min(count, INTEGER_MAX))
    use = pb.ResourceUse(wall_s=wall_s, cpu_s=cpu_s, rss_bytes_max=count)
    result = pb.AttemptResult(fence=fence, outcome=pb.ATTEMPT_OUTCOME_SUCCEEDED, use=use)
    if fence > INTEGER_MAX:
        with pytest.raises(BadMessage, match="impossible fence"):
            translate.outcome_of(result)
    else:
        read = translate.outcome_of(result)
        assert read.fence == fence
        assert isinstance(read.use, Use) and math.isfinite(read.use.wall_s) and math.isfinite(read.use.cpu_s)


@given(st.floats(), UINT64)
def test_a_sample_survives_being_kept(cpu_fraction: float, memory: int) -> None:
    sample = pb.HostSample(cpu_fraction=cpu_fraction, memory_used_bytes=memory)
    kept = translate.sample_text(pb.Heartbeat(sample=sample))
    read = translate.sample_message(kept)
    assert read.memory_used_bytes == memory
    assert read.cpu_fraction == (cpu_fraction if math.isfinite(cpu_fraction) else 0.0)


def test_no_sample_is_no_text() -> None:
    assert translate.sample_text(pb.Heartbeat()) == ""
    assert translate.sample_message("") == pb.HostSample()


def test_welcome_says_how_to_talk() -> None:
    welcome = translate.welcome("ag_1", SessionSettings(heartbeat_s=7.0, disconnected_max_s=8.0), "1.2").welcome
    assert (welcome.agent_id, welcome.heartbeat_s, welcome.disconnected_max_s) == ("ag_1", 7.0, 8.0)
    assert welcome.controlplane_version == "1.2"


def test_everything_a_session_has_to_say_is_said() -> None:
    said = ToAgent(
        renewals=[("att_1_1", 5, 60.0, 9)],
        acknowledged=["att_2_1"],
        grants=[lease(3, direction=Direction.UNDO)],
        cancels=[("att_4_1", 6, "why")],
        drain_reason="new disk",
    )
    (message,) = translate.responses(said, 60.0, 65_536)
    (renewal,), (grant,) = message.renewals, message.grants
    assert (renewal.attempt_id, renewal.fence, renewal.ttl_s, renewal.asked_in_sequence) == ("att_1_1", 5, 60.0, 9)
    assert list(message.acknowledged_attempt_ids) == ["att_2_1"]
    assert (grant.attempt_id, grant.step_id, grant.direction) == ("att_3_1", "step_3", pb.DIRECTION_UNDO)
    assert (grant.params, grant.forward_result, list(grant.evict_attempt_ids)) == (b"params", b"forward", ["att_0_1"])
    assert grant.discard_changes
    assert (grant.ttl_s, grant.start_to_finish_s, grant.progress_s, grant.number) == (60.0, 7.0, 3.0, 1)
    cancel, drain = message.directives
    assert (cancel.cancel.attempt_id, cancel.cancel.fence, cancel.cancel.reason) == ("att_4_1", 6, "why")
    assert drain.drain.reason == "new disk"
    (message,) = translate.responses(ToAgent(resume=True), 60.0, 65_536)
    assert [directive.WhichOneof("ask") for directive in message.directives] == ["resume"]


@given(st.lists(st.integers(0, 3000), max_size=40))
def test_grants_are_spread_over_messages_of_a_size(sizes: list[int]) -> None:
    leases = [lease(number, params=bytes(size)) for number, size in enumerate(sizes)]
    messages = translate.responses(ToAgent(grants=leases, acknowledged=["att_9_9"]), 60.0, 5000)
    assert [grant.attempt_id for message in messages for grant in message.grants] == [x.attempt.id for x in leases]
    assert all(message.ByteSize() <= 5000 for message in messages)
    assert list(messages[0].acknowledged_attempt_ids) == ["att_9_9"]


def test_a_grant_that_alone_is_too_large_is_sent_alone() -> None:
    for leases in ([lease(1), lease(2, bytes(9000)), lease(3)], [lease(2, bytes(9000)), lease(3)]):
        messages = translate.responses(ToAgent(grants=leases, acknowledged=["att_9_9"]), 60.0, 5000)
        large = [message for message in messages if message.ByteSize() > 5000]
        assert [len(message.grants) for message in large] == [1]
        assert sum(len(message.grants) for message in messages) == len(leases)


SUMMARY = MigrationSummary(
    id="mig_1",
    name="m1",
    dataset="d",
    workflow="w",
    state=MigrationState.RUNNING,
    reason="",
    reason_code="",
    source="a",
    destination="b",
    created_at=NOW,
    ended_at=None,
    iteration=1,
    iterations=1,
    labels={},
    owner="",
    steps_done=1,
    steps_total=3,
    current_step="load",
    progress=Progress("reading", 5, 9, 100),
    results={},
)


def test_a_running_migration_shows_its_live_attempt_and_an_ended_one_its_length() -> None:
    running = translate_operator.migration(SUMMARY, NOW + 5.0)
    assert (running.stage, running.watermark, running.total, running.done_bytes) == ("reading", 5, 9, 100)
    assert (running.elapsed_s, running.current_step) == (5.0, "load")
    ended = translate_operator.migration(SUMMARY._replace(ended_at=NOW + 2.0, progress=None), NOW + 50.0)
    assert (ended.elapsed_s, ended.stage) == (2.0, "")
    # A clock that stands still or went back makes no negative age.
    assert translate_operator.migration(SUMMARY, NOW - 5.0).elapsed_s == 0.0


def test_proof_and_staged_bytes_are_shown_and_rubbish_is_not() -> None:
    proof = kinds_pb2.ValidateResult(rows=7, destination_digest=b"\xab")
    parts = kinds_pb2.ExtractResult()
    parts.output.parts.add(size_bytes=2**63)
    parts.output.parts.add(size_bytes=2**63)
    results = {"validate": proof.SerializeToString(), "extract": parts.SerializeToString()}
    shown = translate_operator.migration(SUMMARY._replace(results=results), NOW)
    assert (shown.verified_rows, shown.verified_digest, shown.staged_bytes) == (7, "ab", 2**64 - 1)
    assert not shown.left_behind
    rubbish = {"validate": b"\xff", "extract": b"\xff"}
    assert translate_operator.migration(SUMMARY._replace(results=rubbish), NOW).verified_rows == 0


def test_what_was_left_behind_is_told_by_kind() -> None:
    proof = kinds_pb2.ValidateResult(
        rows=1,
        left_behind=[
            kinds_pb2.Definitions(kind=kinds_pb2.DEFINITION_KIND_COLUMN_GRANT, names=["pay"], count=1),
            kinds_pb2.Definitions(kind=kinds_pb2.DEFINITION_KIND_INDEX, names=["by_day", "by_plane"], count=14),
        ],
    )
    # A kind of a newer agent is shown by its number.
    proof.left_behind.append(kinds_pb2.Definitions.FromString(b"\x08\xe7\x07\x12\x01x\x18\x01"))
    shown = translate_operator.migration(SUMMARY._replace(results={"validate": proof.SerializeToString()}), NOW)
    assert list(shown.left_behind) == ["column grant: pay", "index: by_day, by_plane and 12 more", "kind 999: x"]


def test_an_agent_shows_what_is_believed_of_it_and_why() -> None:
    view = translate_operator.agent(an_agent(liveness_cause="late", heard_at=NOW - 3.0), "", 2, NOW)
    assert (view.liveness, view.heard_ago_s, view.leases) == ("alive: late", 3.0, 2)
    assert translate_operator.agent(an_agent(), '{"memory_used_bytes":5}', 0, NOW).sample.memory_used_bytes == 5


def test_an_event_shows_what_it_carries() -> None:
    shown = translate_operator.event(
        9, Event(NOW, "LeaseGranted", "step_1", "mig_1", "att_1", None, 5, "why"), {"step_1": "m/load"}
    )
    assert (shown.position, shown.at, shown.type, shown.subject) == (9, NOW, "LeaseGranted", "step_1")
    assert dict(shown.names) == {"step_1": "m/load"}
    assert json.loads(shown.data_json) == {"migration_id": "mig_1", "attempt_id": "att_1", "fence": 5, "detail": "why"}


def test_a_loop_that_never_ran_says_so() -> None:
    assert translate_operator.loop(LoopHealth("reaper"), NOW).last_run_ago_s == -1.0
    health = LoopHealth("reaper", 3, NOW - 2.0, 0.5, "KeyError: x")
    shown = translate_operator.loop(health, NOW)
    assert (shown.last_run_ago_s, shown.duration_s, shown.last_error, shown.passes) == (2.0, 0.5, "KeyError: x", 3)
