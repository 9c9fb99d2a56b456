"""The child's side: deadlines, cancels and outcomes, without a process of its own."""

import io
from pathlib import Path

import pytest

from agentd.core.grants import Grant, OutcomeKind, Progress
from agentd.processes.identity import boottime
from agentd.runner import child as child_module
from agentd.runner.attempt_files import AttemptDirectory, ChildSettings, Deadlines, Spec
from agentd.runner.child import ChildSide, DeadlinePassed, StopRequested, stopped_outcome
from agentd.runner.secrets import MASK, Secrets


@pytest.fixture
def side(tmp_path: Path) -> ChildSide:
    grant = Grant("att_1", "step_1", "mig_1", "load", "load", 2, 7, "orders", 60.0, start_to_finish_s=100.0)
    spec = Spec(grant, ChildSettings("/etc/haulier/policy.toml", stop_at="never"))
    files = AttemptDirectory(tmp_path / "att_1")
    files.create(spec)
    return ChildSide(files, spec, Secrets({"PG": "hunter22"}))


def test_a_deadline_in_the_future_permits_destruction(side: ChildSide) -> None:
    side.files.write_deadlines(Deadlines(boottime() + 60.0, boottime() + 900.0))
    side.before_destructive()


@pytest.mark.parametrize("told", [None, Deadlines(float("-inf"), 1e9), Deadlines(1.0, 1e9)])
def test_without_a_renewal_nothing_is_destroyed(
    side: ChildSide, told: Deadlines | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "RENEWAL_WAIT_S", 0.0)
    if told is not None:
        side.files.write_deadlines(told)
    with pytest.raises(DeadlinePassed):
        side.before_destructive()


def test_a_cancel_ends_the_wait_for_a_renewal(side: ChildSide) -> None:
    side.stop_reason = "told to stop"
    with pytest.raises(StopRequested):
        side.before_destructive()


def test_progress_is_written_at_once_when_its_stage_changes_and_checks_for_a_stop(side: ChildSide) -> None:
    side.progress(1, 10, 100, "reading")
    side.progress(2, 10, 200)
    assert side.files.read_progress() == Progress(1, 10, 100, "reading"), "too soon for another write"
    side.progress(3, 10, 300, "writing")
    assert side.files.read_progress() == Progress(3, 10, 300, "writing")
    side.progress(10, 10, 900)
    assert side.files.read_progress() == Progress(10, 10, 900, "writing"), "the end is written"
    side.stop_reason = "told to stop"
    with pytest.raises(StopRequested):
        side.progress(11, 20, 901)
    side.flush_progress()
    assert side.files.read_progress() == Progress(11, 20, 901, "writing")


def test_a_child_ends_at_the_earliest_of_its_deadlines(side: ChildSide) -> None:
    assert side.end_at() == (side.started_at + 100.0, "timed_out")
    side.files.write_deadlines(Deadlines(0.0, side.started_at + 50.0))
    assert side.end_at() == (side.started_at + 50.0, "disconnected")
    side.files.write_deadlines(Deadlines(0.0, side.started_at + 5000.0))
    assert side.end_at() == (side.started_at + 100.0, "timed_out")


@pytest.mark.parametrize(
    ("reason", "kind", "retryable"),
    [
        ("disconnected", OutcomeKind.FAILED, True),
        ("timed_out", OutcomeKind.FAILED, True),
        ("told to stop", OutcomeKind.CANCELLED, False),
    ],
)
def test_a_stop_is_reported_under_its_reason(side: ChildSide, reason: str, kind: OutcomeKind, retryable: bool) -> None:
    outcome = stopped_outcome(side, reason)
    assert outcome.kind is kind
    assert outcome.failure is not None
    assert outcome.failure.retryable is retryable


def test_no_secret_leaves_in_a_failure(side: ChildSide) -> None:
    assert side.resolve_secret("env:PG") == "hunter22"
    failure = side.failed("code", "cannot log in with hunter22", "try not hunter22").failure
    assert failure is not None
    assert (failure.message, failure.hint) == (f"cannot log in with {MASK}", f"try not {MASK}")


def test_the_fault_switch_works_on_first_attempts_only(side: ChildSide) -> None:
    side.reach("never")
    assert (side.files.path / "point").read_text() == "never"


def test_printed_secrets_are_masked(side: ChildSide) -> None:
    side.resolve_secret("env:PG")
    printed = io.BytesIO()
    writer = child_module._MaskingWriter(printed, side.secrets)
    assert writer.write("password hunter22\n") == len("password hunter22\n")
    assert printed.getvalue() == f"password {MASK}\n".encode()


def test_what_is_used_is_counted(side: ChildSide) -> None:
    use = side.succeeded(b"").use
    assert use.cpu_s > 0
    assert use.rss_bytes_max > 1_000_000
