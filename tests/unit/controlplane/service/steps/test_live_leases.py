"""Live leases in memory."""

from dataclasses import replace
from typing import Any

import pytest

from controlplane.core.model import Held
from controlplane.core.steps.leasing import LiveLease, Refused, Renewed
from controlplane.service.steps.live_leases import LiveLeases
from controlplane.store.verbs.attempts import Flush, LiveRow
from tests.kit.builders import FENCE, NOW, a_leased_step, an_attempt

TTL_S = 60.0


def book(**step: Any) -> LiveLeases:
    """One lease, granted now."""
    made = LiveLeases()
    made.add(an_attempt(), a_leased_step(**step))
    return made


def lease_of(made: LiveLeases) -> LiveLease:
    return made.leases["att_1_1"]


def renewed(
    made: LiveLeases, at: float, watermark: int = 0, fence: int = FENCE, agent_id: str = "ag_1"
) -> Renewed | Refused:
    return made.renew(Held("att_1_1", fence, watermark), agent_id=agent_id, incarnation=1, now=at, ttl_s=TTL_S)


def report(made: LiveLeases, at: float, watermark: int = 1, fence: int = FENCE, **changes: Any) -> None:
    fields: dict[str, Any] = {"agent_id": "ag_1", "total": 9, "done_bytes": 8, "stage": "reading", "started": False}
    made.report(Held("att_1_1", fence, watermark), **{**fields, **changes}, now=at)


def test_a_renewal_moves_the_end_and_is_flushed_once() -> None:
    made = book()
    assert renewed(made, NOW + 10.0, watermark=3) == Renewed(NOW + 70.0)
    assert made.take_flush() == [Flush("att_1_1", FENCE, NOW + 70.0, NOW + 10.0, 3, 0, 0, "", None)]
    assert made.take_flush() == []


def test_only_growth_counts_as_progress() -> None:
    made = book()
    renewed(made, NOW + 10.0, watermark=3)
    renewed(made, NOW + 20.0, watermark=3)
    renewed(made, NOW + 25.0, watermark=2)
    assert (lease_of(made).watermark, lease_of(made).moved_at) == (3, NOW + 10.0)


def test_a_watermark_under_another_fence_is_not_believed() -> None:
    made = book()
    assert isinstance(renewed(made, NOW, watermark=9, fence=FENCE + 1), Refused)
    assert lease_of(made).watermark == 0
    assert made.take_flush() == []


def test_growth_that_arrives_with_the_renewal_saves_the_lease() -> None:
    made = book(progress_s=5.0)
    assert isinstance(renewed(made, NOW + 6.0, watermark=1), Renewed)
    assert isinstance(renewed(made, NOW + 12.0, watermark=1), Refused)


def test_nobody_renews_anothers_lease_or_one_that_is_not_there() -> None:
    made = book()
    assert renewed(made, NOW, agent_id="ag_2") == Refused("this agent holds no such lease")
    made.remove(["att_1_1", "att_nobody"])
    assert renewed(made, NOW) == Refused("this agent holds no such lease")


def test_progress_is_kept_with_the_instant_of_the_first_start() -> None:
    made = book()
    report(made, NOW + 1.0)
    assert made.take_flush()[0].started_at is None
    report(made, NOW + 2.0, watermark=2, started=True)
    report(made, NOW + 3.0, watermark=4, stage="publishing", total=10)
    assert made.take_flush() == [Flush("att_1_1", FENCE, NOW + 60.0, NOW + 3.0, 4, 10, 8, "publishing", NOW + 2.0)]


@pytest.mark.parametrize("changes", [{"agent_id": "ag_2"}, {"fence": FENCE - 1}])
def test_progress_of_others_is_ignored(changes: dict[str, Any]) -> None:
    made = book()
    report(made, NOW + 1.0, **changes)
    made.report(Held("att_x", FENCE, 1), agent_id="ag_1", total=0, done_bytes=0, stage="", started=False, now=NOW)
    assert made.take_flush() == []


def test_what_ended_is_not_flushed_and_not_counted() -> None:
    made = book()
    report(made, NOW + 1.0)
    assert made.held_by("ag_1") == 1
    made.remove(["att_1_1"])
    made.remove(["att_1_1"])
    assert made.take_flush() == []
    assert (made.held_by("ag_1"), made.held_by("ag_2")) == (0, 0)


def test_leases_are_due_when_they_expired_or_overran() -> None:
    made = book(start_to_finish_s=30.0)
    made.add(an_attempt(id="att_2_1"), a_leased_step(id="step_2"))
    assert made.due(NOW + 30.0) == []
    assert [lease.attempt_id for lease in made.due(NOW + 30.5)] == ["att_1_1"]
    assert {lease.attempt_id for lease in made.due(NOW + 60.0)} == {"att_1_1", "att_2_1"}


def test_a_newer_life_adopts_a_lease_that_is_alive() -> None:
    made = book()
    assert made.adopt("att_1_1", 4, until=NOW + 90.0, now=NOW + 59.0)
    assert (lease_of(made).incarnation, lease_of(made).expires_at) == (4, NOW + 90.0)
    # Never shorter than it was.
    assert made.adopt("att_1_1", 5, until=NOW + 10.0, now=NOW + 59.0)
    assert lease_of(made).expires_at == NOW + 90.0
    assert [row.expires_at for row in made.take_flush()] == [NOW + 90.0]
    assert not made.adopt("att_1_1", 6, until=NOW + 999.0, now=NOW + 90.0)
    assert lease_of(made).incarnation == 5
    assert not made.adopt("att_nobody", 6, until=NOW + 999.0, now=NOW)


def test_loading_replaces_everything_and_gives_grace() -> None:
    made = book()
    report(made, NOW)
    stored = an_attempt(id="att_7_1", agent_id="ag_7", expires_at=NOW + 500.0)
    rows = [
        LiveRow(stored, NOW - 9.0, 5, 1.0, 2.0),
        LiveRow(replace_expiry(stored), NOW - 9.0, 0, 0.0, 0.0),
    ]
    made.load(rows, grace_until=NOW + 160.0, now=NOW + 100.0)
    assert set(made.leases) == {"att_7_1", "att_8_1"}
    kept = made.leases["att_7_1"]
    assert (kept.expires_at, kept.moved_at, kept.watermark) == (NOW + 500.0, NOW + 100.0, 5)
    assert (kept.start_to_finish_s, kept.progress_s) == (1.0, 2.0)
    assert made.leases["att_8_1"].expires_at == NOW + 160.0
    assert (made.held_by("ag_7"), made.held_by("ag_1")) == (2, 0)


def replace_expiry(stored: Any) -> Any:
    return stored._replace(id="att_8_1", expires_at=NOW + 1.0)


def test_a_lease_is_what_was_granted() -> None:
    made = book(start_to_finish_s=3.0, progress_s=4.0)
    expected = LiveLease("att_1_1", "step_1", "ag_1", 1, FENCE, NOW, NOW + 60.0, NOW, 3.0, 4.0)
    assert lease_of(made) == replace(expected)
