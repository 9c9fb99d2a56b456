"""Verbs over many migrations: names or filters, a preview, a question, and what scripts must say."""

from typing import Any

import pytest
from google.protobuf.message import Message
from haulier.v1 import operator_pb2 as op

from controlplane.cli.screen.exits import Exit
from tests.unit.controlplane.cli.conftest import Haulier
from tests.unit.controlplane.cli.far_side import FarSide

A = op.MigrationSummary(migration_id="mig_a", name="a", state="running", labels={"wave": "3"}, owner="air")
FOUND = op.SelectionOutcome(names=["a", "b"], plan_hash="cafe")
VERBS = [
    ("start", "StartMigrations", op.StartMigrationsResponse, ()),
    ("retry", "RetryMigration", op.RetryMigrationResponse, ()),
    ("cancel", "CancelMigration", op.CancelMigrationResponse, ("--reason", "x")),
    ("rollback", "RollbackMigration", op.RollbackMigrationResponse, ("--reason", "x")),
]


def answering(far: FarSide, method: str, kind: Any, outcome: op.SelectionOutcome = FOUND) -> None:
    done = {"started": [A]} if kind is op.StartMigrationsResponse else {"migrations": [A]}
    far.says(method, lambda request: kind(outcome=outcome, **({} if request.dry_run else done)))


def selections(far: FarSide) -> list[Message]:
    return [request for request in far.heard if hasattr(request, "selection")]


@pytest.mark.parametrize(("verb", "method", "kind", "more"), VERBS)
def test_a_script_must_say_yes_and_is_told_what_would_be_done(
    haulier: Haulier, far: FarSide, verb: str, method: str, kind: Any, more: tuple[str, ...]
) -> None:
    answering(far, method, kind)
    ended = haulier("migration", verb, "--state", "failed", "-l", "wave=3", "--owner", "air", *more)
    assert ended.code == Exit.CONFLICT
    assert "2 migrations would be" in ended.err and "--yes" in ended.err and "  a\n" in ended.err
    (asked,) = selections(far)
    assert asked.dry_run and not asked.selection.names  # type: ignore[attr-defined]
    assert (list(asked.selection.states), dict(asked.selection.labels)) == (["failed"], {"wave": "3"})  # type: ignore[attr-defined]
    assert list(asked.selection.owners) == ["air"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("verb", "method", "kind", "more"), VERBS)
def test_with_yes_it_is_one_call(
    haulier: Haulier, far: FarSide, verb: str, method: str, kind: Any, more: tuple[str, ...]
) -> None:
    answering(far, method, kind)
    ended = haulier("migration", verb, "--state", "failed", "--yes", *more)
    assert ended.code == Exit.OK
    (asked,) = selections(far)
    assert not asked.dry_run and asked.request_id  # type: ignore[attr-defined]


@pytest.mark.parametrize(("verb", "method", "kind", "more"), VERBS)
def test_a_dry_run_prints_the_names_and_does_nothing(
    haulier: Haulier, far: FarSide, verb: str, method: str, kind: Any, more: tuple[str, ...]
) -> None:
    left = op.HeldMigration(name="c", reason="c: its pivot has passed")
    answering(far, method, kind, op.SelectionOutcome(names=["a", "b"], left_out=[left], needs_approval=True))
    for chosen in (("--owner", "air"), ("a", "b")):
        far.heard.clear()
        ended = haulier("migration", verb, *chosen, "--dry-run", *more)
        assert (ended.code, ended.out) == (Exit.OK, "a\nb\n")
        assert "c: its pivot has passed" in ended.err and "second person" in ended.err
        assert all(request.dry_run for request in selections(far))  # type: ignore[attr-defined]


@pytest.mark.parametrize(("verb", "method", "kind", "more"), VERBS[1:])
def test_several_names_go_in_one_call_without_a_question(
    haulier: Haulier, far: FarSide, verb: str, method: str, kind: Any, more: tuple[str, ...]
) -> None:
    answering(far, method, kind)
    ended = haulier("migration", verb, "a", "b", *more)
    assert ended.code == Exit.OK and "2 migrations" in ended.err
    (asked,) = selections(far)
    assert list(asked.selection.names) == ["a", "b"]  # type: ignore[attr-defined]


def test_what_filters_left_out_ends_with_5(haulier: Haulier, far: FarSide) -> None:
    left = op.HeldMigration(name="c", reason="c: its source side does not fit")
    outcome = op.SelectionOutcome(names=["a"], left_out=[left], not_approved=["d"], already=["e"])
    answering(far, "RetryMigration", op.RetryMigrationResponse, outcome)
    ended = haulier("migration", "retry", "--state", "failed", "--yes")
    assert ended.code == Exit.CONFLICT
    assert "c: its source side does not fit" in ended.err and "left out: d" in ended.err and "e: it is so" in ended.err


@pytest.mark.parametrize("words", [(), ("a", "--state", "failed"), ("--state", "broken"), ("-l", "wave")])
def test_neither_or_both_is_wrong_usage(haulier: Haulier, far: FarSide, words: tuple[str, ...]) -> None:
    assert haulier("migration", "retry", *words).code == Exit.USAGE
    assert not far.heard


def test_labels_and_owners_are_in_the_wide_list_and_in_json(haulier: Haulier, far: FarSide) -> None:
    far.says("ListMigrations", op.ListMigrationsResponse(migrations=[A]))
    wide = haulier("migration", "list", "-o", "wide").out
    assert "air" in wide and "wave=3" in wide
    told = haulier("migration", "list", "-o", "json").out
    assert '"owner": "air"' in told and '"wave": "3"' in told


def test_what_was_applied_and_waits_for_a_second_person_ends_with_9(
    haulier: Haulier, far: FarSide, tmp_path: Any
) -> None:
    (tmp_path / "a.yaml").write_text("x")
    answer = op.ApplyManifestsResponse(
        approval_id="apr_1", waiting_for_approval=["a", "b"], approval_expires_in_s=60, outcomes=[]
    )
    far.says("ApplyManifests", answer)
    ended = haulier("apply", str(tmp_path))
    assert ended.code == Exit.AWAITS_APPROVAL
    assert "applied, and not started: a, b" in ended.err and "haulier approval approve apr_1" in ended.err
