"""Grants, children, results, cancels, evictions and restarts."""

from dataclasses import replace

import pytest

from agentd.core import agent as agent_module
from agentd.core import effects, events
from agentd.core import slots as slots_module
from agentd.core.grants import Failure, Outcome, OutcomeKind, Recovered, ResourceUse, SessionId
from agentd.core.states import ATTEMPT_MOVES, AttemptState, IllegalMove, moved
from tests.unit.agentd.core.stories import CAPABILITIES, GRANT, PROGRESS, SUCCEEDED, Told, grant, none_of, only


def test_a_grant_is_journalled_before_anything_is_done_about_it() -> None:
    told = Told().opened()
    assert told.granted() == [effects.JournalIntent(GRANT, "boot")]
    assert told.tell(events.AttemptJournalled("att_1")) == [effects.StartChild(GRANT)]
    told.tell(events.ChildStarted("att_1"))
    report = only(told.done, effects.SendReport)
    assert report.progress[0].started
    assert report.heartbeat, "the first renewal is asked for at once"
    assert [held.attempt_id for held in report.held] == ["att_1"]


def test_an_outcome_is_durable_before_anyone_is_told() -> None:
    told = Told().opened().running()
    assert told.tell(events.ChildEnded("att_1", SUCCEEDED, ResourceUse())) == [effects.RecordOutcome(GRANT, SUCCEEDED)]
    assert only(told.tell(events.OutcomeRecorded("att_1")), effects.SendReport).results == (SUCCEEDED,)


def test_an_acknowledged_attempt_is_forgotten_and_never_run_again() -> None:
    told = Told().opened().running()
    told.ended()
    told.tell(events.OutcomeRecorded("att_1"))
    assert told.tell(events.ResultAcknowledged(told.session, "att_1")) == [effects.ForgetAttempt("att_1")]
    assert told.agent.held == {}
    assert none_of(told.granted(), effects.JournalIntent)
    assert told.tell(events.ResultAcknowledged(told.session, "att_1")) == []
    assert told.tell(events.CancelAsked(told.session, "att_1", 7, "late")) == []


def test_an_early_acknowledgement_does_not_forget_a_running_attempt() -> None:
    told = Told().opened().running()
    assert told.tell(events.ResultAcknowledged(told.session, "att_1")) == []
    assert "att_1" in told.agent.held


def test_only_so_many_forgotten_attempts_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "FORGOTTEN_MAX", 1)
    told = Told().opened()
    for attempt_id in ("att_1", "att_2"):
        told.running(grant(attempt_id))
        told.ended(replace(SUCCEEDED, attempt_id=attempt_id), attempt_id)
        told.tell(events.OutcomeRecorded(attempt_id))
        told.tell(events.ResultAcknowledged(told.session, attempt_id))
    assert none_of(told.granted(grant("att_2")), effects.JournalIntent)
    assert only(told.granted(grant("att_1")), effects.JournalIntent)


@pytest.mark.parametrize("after", ["granted", "journalled", "running", "ended"])
def test_a_grant_said_twice_is_taken_once(after: str) -> None:
    told = Told().opened()
    told.granted()
    if after != "granted":
        told.tell(events.AttemptJournalled("att_1"))
    if after in ("running", "ended"):
        told.tell(events.ChildStarted("att_1"))
    if after == "ended":
        told.ended()
    assert told.granted() == []


def test_a_grant_said_again_after_its_end_is_answered_with_the_result() -> None:
    told = Told().opened().running()
    told.ended()
    told.tell(events.OutcomeRecorded("att_1"))
    assert only(told.granted(), effects.SendReport).results == (SUCCEEDED,)


def test_the_same_attempt_with_another_fence_is_not_believed() -> None:
    told = Told().opened().running()
    done = told.granted(replace(GRANT, fence=8))
    assert none_of(done, effects.JournalIntent)
    assert "fence 8" in only(done, effects.Note).message
    assert told.agent.held["att_1"].grant.fence == 7


def test_a_smaller_fence_than_one_seen_for_the_target_is_refused() -> None:
    told = Told(fences={"orders": 8}).opened()
    outcome = only(told.granted(), effects.RecordOutcome).outcome
    assert outcome.kind is OutcomeKind.FENCED
    assert outcome.failure is not None
    assert outcome.failure.code == "stale_fence"


def test_an_equal_fence_and_other_targets_are_fine() -> None:
    told = Told(fences={"orders": 7}).opened()
    assert only(told.granted(), effects.JournalIntent)
    assert only(told.granted(grant("att_2", fence=1)), effects.JournalIntent)


def test_a_step_without_write_target_has_no_fence_to_compare() -> None:
    told = Told().opened()
    told.granted(grant("att_1", target="", fence=9))
    assert only(told.granted(grant("att_2", target="", fence=0)), effects.JournalIntent)


def test_only_so_many_fences_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "FENCES_MAX", 1)
    told = Told(capabilities=replace(CAPABILITIES, slots=9)).opened()
    told.granted(grant("att_1", target="a", fence=9))
    told.granted(grant("att_2", target="b", fence=9))
    assert only(told.granted(grant("att_3", target="a", fence=1)), effects.JournalIntent)
    told.granted(grant("att_4", target="b", fence=9))
    told.granted(grant("att_5", target="b", fence=10))
    assert only(told.granted(grant("att_6", target="b", fence=9)), effects.RecordOutcome)


def test_a_kind_that_the_host_does_not_allow_is_refused() -> None:
    told = Told().opened()
    outcome = only(told.granted(grant(kind="shell")), effects.RecordOutcome).outcome
    assert outcome.failure is not None
    assert (outcome.failure.code, outcome.failure.retryable) == ("kind_refused", False)


def test_a_lease_sent_again_to_a_daemon_that_does_not_know_its_kinds_yet_waits_until_it_does() -> None:
    told = Told(capabilities=replace(CAPABILITIES, kinds=(), kinds_known=False)).opened()
    told.granted()
    assert none_of(told.tell(events.AttemptJournalled("att_1")), effects.StartChild)
    assert only(told.tell(events.ConfigReloaded(CAPABILITIES)), effects.StartChild).grant == GRANT


def test_a_stopping_agent_takes_nothing() -> None:
    told = Told().opened().running()
    told.tell(events.StopAsked(10.0))
    outcome = only(told.granted(grant("att_2")), effects.RecordOutcome).outcome
    assert outcome.failure is not None
    assert (outcome.failure.code, outcome.failure.retryable) == ("agent_stopping", True)


def test_grants_beyond_the_slots_wait_and_then_are_refused() -> None:
    told = Told(capabilities=replace(CAPABILITIES, slots=1)).opened().running(grant("att_1"))
    told.granted(grant("att_2"))
    assert none_of(told.tell(events.AttemptJournalled("att_2")), effects.StartChild)
    outcome = only(told.granted(grant("att_3")), effects.RecordOutcome).outcome
    assert outcome.failure is not None
    assert outcome.failure.code == "no_free_slot"
    told.tell(events.ChildEnded("att_1", replace(SUCCEEDED, attempt_id="att_1"), ResourceUse()))
    assert only(told.done, effects.StartChild).grant.attempt_id == "att_2"


def test_what_a_child_says_of_its_end_is_believed() -> None:
    told = Told().opened().running()
    failure = Failure("no_such_table", "table t is not there")
    failed = Outcome("att_1", 7, OutcomeKind.FAILED, b"half", failure)
    assert told.ended(failed) == failed


def test_a_child_without_result_was_lost() -> None:
    told = Told().opened().running()
    told.tell(events.ChildEnded("att_1", None, ResourceUse(wall_s=2.0), "it ended while no daemon ran"))
    outcome = only(told.done, effects.RecordOutcome).outcome
    assert outcome.failure is not None
    assert (outcome.kind, outcome.failure.code, outcome.failure.retryable) == (
        OutcomeKind.FAILED,
        "child_lost",
        True,
    )
    assert "while no daemon ran" in outcome.failure.message
    assert outcome.use.wall_s == 2.0


def test_a_child_that_someone_on_the_host_stopped_may_be_tried_again() -> None:
    told = Told().opened().running()
    outcome = told.ended(replace(SUCCEEDED, kind=OutcomeKind.CANCELLED))
    assert outcome.failure is not None
    assert (outcome.kind, outcome.failure.code) == (OutcomeKind.FAILED, "interrupted")


def test_progress_is_passed_on() -> None:
    told = Told().opened().running()
    report = only(told.tell(events.ChildProgressed("att_1", PROGRESS)), effects.SendReport)
    assert report.progress[0].progress == PROGRESS
    assert not report.progress[0].started
    assert not report.heartbeat


def test_words_about_attempts_that_are_not_held_change_nothing() -> None:
    told = Told().opened()
    for event in (
        events.AttemptJournalled("att_9"),
        events.ChildStarted("att_9"),
        events.ChildAdopted("att_9", 1.0, PROGRESS),
        events.ChildProgressed("att_9", PROGRESS),
        events.ChildEnded("att_9", None, ResourceUse()),
        events.OutcomeRecorded("att_9"),
        events.ResultAcknowledged(told.session, "att_9"),
        events.LeaseRenewed(told.session, "att_9", 1, 60.0, 1),
    ):
        assert told.tell(event) == []


def test_words_about_attempts_in_another_state_change_nothing() -> None:
    told = Told().opened().running()
    assert told.tell(events.ChildStarted("att_1")) == []
    assert told.tell(events.ChildAdopted("att_1", 1.0, PROGRESS)) == []
    assert told.tell(events.OutcomeRecorded("att_1")) == []
    told.ended()
    assert told.tell(events.ChildEnded("att_1", None, ResourceUse())) == []
    assert told.tell(events.ChildProgressed("att_1", PROGRESS)) == []
    assert told.tell(events.AttemptJournalled("att_1")) == []


def test_a_cancelled_child_is_stopped_and_reported_as_cancelled() -> None:
    told = Told().opened().running()
    stop = told.tell(events.CancelAsked(told.session, "att_1", 7, "migration cancelled"))
    assert stop == [effects.StopChild("att_1", "cancelled", at_once=False)]
    assert told.tell(events.CancelAsked(told.session, "att_1", 7, "again")) == []
    assert only(told.tell(events.ChildProgressed("att_1", PROGRESS)), effects.SendReport)
    outcome = told.ended(None)
    assert outcome.kind is OutcomeKind.CANCELLED
    assert outcome.failure is not None
    assert "migration cancelled" in outcome.failure.message
    assert outcome.use.wall_s == 2.0


def test_a_child_that_says_it_was_cancelled_keeps_its_own_figures() -> None:
    told = Told().opened().running()
    told.tell(events.CancelAsked(told.session, "att_1", 7, ""))
    outcome = told.ended(replace(SUCCEEDED, kind=OutcomeKind.CANCELLED))
    assert outcome.kind is OutcomeKind.CANCELLED
    assert outcome.use.wall_s == 1.0


def test_a_child_that_finished_before_its_cancel_reached_it_has_finished() -> None:
    told = Told().opened().running()
    told.tell(events.CancelAsked(told.session, "att_1", 7, ""))
    assert told.ended() == SUCCEEDED


def test_a_cancel_before_the_start_ends_the_attempt_without_a_child() -> None:
    told = Told().opened()
    told.granted()
    told.tell(events.CancelAsked(told.session, "att_1", 7, ""))
    assert only(told.done, effects.RecordOutcome).outcome.kind is OutcomeKind.CANCELLED
    assert told.tell(events.AttemptJournalled("att_1")) == []


def test_a_cancel_of_an_older_lease_or_an_ended_attempt_is_ignored() -> None:
    told = Told().opened().running()
    assert told.tell(events.CancelAsked(told.session, "att_1", 6, "")) == []
    told.ended()
    assert told.tell(events.CancelAsked(told.session, "att_1", 7, "")) == []


def test_a_cancel_of_an_unknown_attempt_is_answered() -> None:
    told = Told().opened()
    report = only(told.tell(events.CancelAsked(told.session, "att_9", 3, "")), effects.SendReport)
    assert [(each.attempt_id, each.fence, each.kind) for each in report.results] == [
        ("att_9", 3, OutcomeKind.CANCELLED)
    ]


def test_a_successor_evicts_what_the_grant_names() -> None:
    told = Told().opened().running()
    done = told.granted(grant("att_2", fence=8, target="orders", evict_attempt_ids=("att_1", "att_2", "att_9")))
    assert only(done, effects.StopChild) == effects.StopChild("att_1", "evicted", at_once=True)
    outcome = told.ended(None)
    assert outcome.kind is OutcomeKind.FENCED
    assert outcome.failure is not None
    assert not outcome.failure.retryable


def test_an_attempt_that_is_over_is_not_evicted() -> None:
    told = Told().opened().running()
    told.ended()
    assert none_of(told.granted(grant("att_2", evict_attempt_ids=("att_1",))), effects.StopChild)


def test_after_a_restart_children_are_adopted_and_outcomes_told() -> None:
    told = Told(recovered=[Recovered(GRANT), Recovered(grant("att_2"), replace(SUCCEEDED, attempt_id="att_2"))])
    told.started()
    assert only(told.done, effects.AdoptChild) == effects.AdoptChild(GRANT, may_begin=False)
    assert [held.attempt_id for held in only(told.done, effects.OpenSession).held] == ["att_1"]
    told.opened()
    assert [each.attempt_id for each in only(told.done, effects.SendReport).results] == ["att_2"]
    told.tell(events.ChildAdopted("att_1", 990.0, PROGRESS))
    report = only(told.done, effects.SendReport)
    assert report.progress[0].progress == PROGRESS
    assert none_of(told.done, effects.WriteDeadline), "what the child was promised stays"


@pytest.mark.parametrize(("boot_id", "may_begin"), [("boot", True), ("another boot", False), ("", False)])
def test_an_attempt_that_had_not_begun_may_begin_on_the_boot_of_its_grant_alone(boot_id: str, may_begin: bool) -> None:
    told = Told(recovered=[Recovered(GRANT, boot_id=boot_id)]).started()
    assert only(told.done, effects.AdoptChild).may_begin is may_begin


def test_an_attempt_that_begins_after_a_restart_is_told_as_started() -> None:
    told = Told(recovered=[Recovered(GRANT, boot_id="boot")]).opened()
    told.tell(events.ChildStarted("att_1"))
    assert only(told.done, effects.SendReport).progress[0].started
    assert only(told.done, effects.WriteDeadline).deadline_at == float("-inf")


def test_a_child_adopted_before_the_session_opens_is_told_with_the_welcome() -> None:
    told = Told(recovered=[Recovered(GRANT)]).started()
    assert none_of(told.tell(events.ChildAdopted("att_1", 990.0, PROGRESS)), effects.SendReport)
    told.opened()
    assert only(told.done, effects.SendReport).progress[0].attempt_id == "att_1"


def test_a_recovered_attempt_whose_child_is_gone_is_reported_lost() -> None:
    told = Told(recovered=[Recovered(GRANT)]).opened()
    outcome = told.ended(None)
    assert outcome.failure is not None
    assert outcome.failure.code == "child_lost"


def test_only_the_moves_of_the_table_are_legal() -> None:
    for state, allowed in ATTEMPT_MOVES.items():
        for to in AttemptState:
            if to in allowed:
                assert moved(state, to) is to
            else:
                with pytest.raises(IllegalMove, match=f"attempt att_1 cannot go from .* to .*: granted → {state}$"):
                    moved(state, to, "att_1", (AttemptState.GRANTED,))


def test_a_session_id_says_whose_it_is() -> None:
    assert SessionId(2, 1) != SessionId(3, 1)


def test_grants_without_end_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would be kept until somebody acknowledges it."""
    monkeypatch.setattr(slots_module, "UNACKNOWLEDGED_MAX", 1)
    told = Told(capabilities=replace(CAPABILITIES, slots=1)).opened()
    for number in range(2):
        assert only(told.granted(grant(f"att_{number}", kind="shell")), effects.RecordOutcome)
    assert only(told.granted(grant("att_9")), effects.Note).attempt_id == "att_9"
    assert "att_9" not in told.agent.held
