"""Merging, splitting and translating what is said in a session."""

import asyncio

import pytest
from haulier.v1 import agent_pb2 as pb

from agentd.core import events
from agentd.core.effects import OpenSession, SendReport
from agentd.core.grants import (
    Capabilities,
    Direction,
    Failure,
    HeldSummary,
    HostSample,
    Identity,
    Outcome,
    OutcomeKind,
    Progress,
    ProgressReport,
    SessionId,
)
from agentd.core.witnessing import TreeHead
from agentd.link import translate
from agentd.link.outbox import MESSAGE_BYTES_MAX, Outbox

SESSION = SessionId(1, 1)


def progress(attempt_id: str, watermark: int, started: bool = False) -> ProgressReport:
    return ProgressReport(attempt_id, 7, Progress(watermark, 100, 5, "reading"), started)


def outcome(attempt_id: str, size: int = 0) -> Outcome:
    return Outcome(attempt_id, 7, OutcomeKind.SUCCEEDED, b"x" * size)


def test_reports_of_one_attempt_merge_into_the_newest() -> None:
    outbox = Outbox()
    assert not outbox.is_waiting
    outbox.add(SendReport(SESSION, progress=(progress("att_1", 1, started=True),)))
    outbox.add(SendReport(SESSION, progress=(progress("att_1", 2), progress("att_2", 9))))
    outbox.add(SendReport(SESSION, heartbeat=True, held=(HeldSummary("att_1", 7, 2),)), HostSample(0.5, 1, 2, 3, 4))
    assert outbox.is_waiting
    message = outbox.take()
    assert message.sequence == 2, "hello was the first"
    assert [(each.attempt_id, each.watermark, each.started) for each in message.progress] == [
        ("att_1", 2, True),
        ("att_2", 9, False),
    ]
    assert message.heartbeat.held[0].watermark == 2
    assert message.heartbeat.sample.cpu_fraction == 0.5
    assert not outbox.is_waiting
    outbox.add(SendReport(SESSION, progress=(progress("att_1", 3),)))
    later = outbox.take()
    assert (later.sequence, later.progress[0].started, later.HasField("heartbeat")) == (3, False, False)


def test_each_part_of_a_heartbeat_tells_what_was_seen() -> None:
    outbox = Outbox()
    head = TreeHead(1, 9, b"root", b"signed", "key")
    many = tuple(HeldSummary(f"att_{n:04}", 7, 1) for n in range(4000))
    outbox.add(SendReport(SESSION, heartbeat=True, held=many, witnessed=head))
    parts = []
    while outbox.is_waiting:
        parts.append(outbox.take())
    assert len(parts) > 1
    assert {part.heartbeat.witnessed.size for part in parts} == {9}


def test_a_heartbeat_without_leases_is_still_one() -> None:
    outbox = Outbox()
    outbox.add(SendReport(SESSION, heartbeat=True))
    assert outbox.take().HasField("heartbeat")


def test_a_result_makes_its_progress_the_past() -> None:
    outbox = Outbox()
    outbox.add(SendReport(SESSION, progress=(progress("att_1", 1),)))
    outbox.add(SendReport(SESSION, results=(outcome("att_1"),)))
    message = outbox.take()
    assert len(message.results) == 1
    assert not message.progress


def test_what_is_too_much_for_one_message_is_split_and_nothing_is_lost() -> None:
    outbox = Outbox()
    many = [f"att_{n:04}" for n in range(2000)]
    outbox.add(
        SendReport(
            SESSION,
            heartbeat=True,
            held=tuple(HeldSummary(each, 7, 1) for each in many),
            progress=tuple(progress(each, 1) for each in many[100:]),
            results=tuple(outcome(each, 10_000) for each in many[:100]),
        )
    )
    held: list[str] = []
    results: list[str] = []
    moved: list[str] = []
    while outbox.is_waiting:
        message = outbox.take()
        assert message.ByteSize() <= MESSAGE_BYTES_MAX
        if not message.results and not message.progress:
            assert not results, "renewals go first"
        held += [each.attempt_id for each in message.heartbeat.held]
        results += [each.attempt_id for each in message.results]
        moved += [each.attempt_id for each in message.progress]
    assert (held, results, moved) == (many, many[:100], many[100:])


def test_emptied_waits_for_the_last_write() -> None:
    async def story() -> None:
        outbox = Outbox()
        await outbox.emptied()
        outbox.add(SendReport(SESSION, heartbeat=True))
        outbox.sent()
        emptied = asyncio.ensure_future(outbox.emptied())
        await asyncio.sleep(0)
        assert not emptied.done()
        outbox.take()
        outbox.sent()
        await asyncio.wait_for(emptied, 5)

    asyncio.run(story())


@pytest.mark.parametrize("kind", [OutcomeKind.SUCCEEDED, OutcomeKind.FAILED])
def test_a_result_that_no_message_carries_becomes_a_failure_that_says_so(kind: OutcomeKind) -> None:
    known = Failure("why", "it failed") if kind is OutcomeKind.FAILED else None
    long = Outcome("att_1", 7, kind, b"x" * (translate.RESULT_BYTES_MAX + 1), known)
    message = translate.result(long)
    assert message.outcome == pb.ATTEMPT_OUTCOME_FAILED
    assert message.failure.code == ("result_too_long" if known is None else "why")
    assert not message.result


def test_hello_says_everything() -> None:
    capabilities = Capabilities(("load",), ("*",), (("zone", "b"),), 3)
    effect = OpenSession(SESSION, Identity(4, "0.1", "boot"), capabilities, (HeldSummary("att_1", 7, 2),), True)
    told = translate.hello(effect)
    assert (told.incarnation, told.agent_version, told.boot_id, told.slots, told.draining) == (
        4,
        "0.1",
        "boot",
        3,
        True,
    )
    assert (list(told.kinds), list(told.datastores), dict(told.labels)) == (["load"], ["*"], {"zone": "b"})
    assert told.held[0].attempt_id == "att_1"


def test_grants_come_before_the_cancels_that_mean_them() -> None:
    message = pb.SessionResponse(
        renewals=[pb.LeaseRenewal(attempt_id="att_0", fence=1, ttl_s=60, asked_in_sequence=4)],
        acknowledged_attempt_ids=["att_9"],
        grants=[grant_message()],
        directives=[
            pb.Directive(cancel=pb.CancelAttempt(attempt_id="att_1", fence=7, reason="why")),
            pb.Directive(drain=pb.Drain(reason="rest")),
            pb.Directive(resume=pb.Resume()),
            pb.Directive(),
        ],
    )
    said = list(translate.said(SESSION, message))
    assert [type(each) for each in said] == [
        events.LeaseRenewed,
        events.ResultAcknowledged,
        events.LeaseGranted,
        events.CancelAsked,
        events.DrainAsked,
        events.ResumeAsked,
    ]
    granted = said[2]
    assert isinstance(granted, events.LeaseGranted)
    assert granted.grant.direction is Direction.UNDO
    assert granted.grant.evict_attempt_ids == ("att_0",)
    assert granted.grant.discard_changes


@pytest.mark.parametrize(
    "field",
    [
        {"attempt_id": "../../etc"},
        {"attempt_id": "att_" + "x" * 100},
        {"attempt_id": ""},
        {"direction": pb.DIRECTION_UNSPECIFIED},
        {"ttl_s": 0.0},
        {"ttl_s": -1.0},
        {"ttl_s": float("nan")},
        {"ttl_s": float("inf")},
        {"start_to_finish_s": float("nan")},
        {"progress_s": -5.0},
        {"fence": 2**63},
    ],
)
def test_a_grant_that_cannot_be_kept_is_no_grant(field: dict[str, object]) -> None:
    message = grant_message()
    for name, value in field.items():
        setattr(message, name, value)
    with pytest.raises(translate.BadMessage):
        translate.grant(message)


def test_a_welcome_must_be_one() -> None:
    with pytest.raises(translate.BadMessage):
        translate.welcome(SESSION, pb.SessionResponse())
    with pytest.raises(translate.BadMessage):
        translate.welcome(SESSION, pb.SessionResponse(welcome=pb.Welcome(heartbeat_s=0)))
    for heartbeat_s in (float("nan"), float("inf"), 1e-9, -1.0):
        told = pb.Welcome(heartbeat_s=heartbeat_s, disconnected_max_s=60.0)
        with pytest.raises(translate.BadMessage):
            translate.welcome(SESSION, pb.SessionResponse(welcome=told))


def test_what_is_wrong_in_a_message_leaves_the_rest_standing() -> None:
    bad, good = grant_message(), grant_message()
    bad.attempt_id = "../../etc"
    message = pb.SessionResponse(
        grants=[bad, good],
        renewals=[pb.LeaseRenewal(attempt_id="att_0", fence=1, ttl_s=float("nan"), asked_in_sequence=4)],
    )
    told = list(translate.said(SESSION, message))
    assert [type(each).__name__ for each in told] == ["BadMessage", "BadMessage", "LeaseGranted"]


def grant_message() -> pb.LeaseGrant:
    return pb.LeaseGrant(
        attempt_id="att_1",
        step_id="step_1",
        fence=7,
        target="orders",
        direction=pb.DIRECTION_UNDO,
        ttl_s=60.0,
        evict_attempt_ids=["att_0"],
        discard_changes=True,
    )
