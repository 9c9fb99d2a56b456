"""`haulier migration clean-up`, and what pages say of what is kept."""

import json

import pytest
from haulier.v1 import operator_pb2 as op

from controlplane.cli.health import status as render_status
from controlplane.cli.migrations import leftovers as render_leftovers
from controlplane.cli.migrations import tables as render_migrations
from controlplane.cli.screen.exits import Exit
from controlplane.cli.screen.terminal import Look, draw
from tests.unit.controlplane.cli.conftest import Haulier
from tests.unit.controlplane.cli.far_side import FarSide

PIPE = Look(terminal=False, colour=False, width=10_000)
WELL = op.MigrationSummary(migration_id="mig_a", name="a", state="succeeded")
DAY_S = 86_400.0


def cleaning(*states: str) -> op.GetMigrationResponse:
    steps = [
        op.StepView(name=f"s{n}.clean-up", kind="clean_up", state=state, reason="in the way", hint="move it")
        for n, state in enumerate(states)
    ]
    return op.GetMigrationResponse(migration=WELL, steps=[op.StepView(name="load", kind="load"), *steps])


def test_it_is_asked_for_by_name_or_for_all(haulier: Haulier, far: FarSide) -> None:
    far.says("CleanUpMigrations", op.CleanUpMigrationsResponse(cleaning=[WELL], clean=["b"]))
    ended = haulier("migration", "clean-up", "a", "b")
    assert (ended.code, far.heard) == (Exit.OK, [op.CleanUpMigrationsRequest(migrations=["a", "b"])])
    assert ended.err.splitlines() == ["a: is being cleaned up", "b: nothing was left to remove"]
    assert json.loads(haulier("migration", "clean-up", "--all", "-o", "json").out)["clean"] == ["b"]
    assert far.heard[-1] == op.CleanUpMigrationsRequest(all=True)
    far.says("CleanUpMigrations", op.CleanUpMigrationsResponse())
    assert haulier("migration", "clean-up", "--all").err == "nothing is left to remove\n"


@pytest.mark.parametrize("arguments", [(), ("a", "--all")])
def test_it_is_never_asked_for_by_accident(haulier: Haulier, far: FarSide, arguments: tuple[str, ...]) -> None:
    assert haulier("migration", "clean-up", *arguments).code == Exit.USAGE
    assert far.heard == []


def test_waiting_for_it_tells_what_failed(haulier: Haulier, far: FarSide) -> None:
    far.says("CleanUpMigrations", op.CleanUpMigrationsResponse(cleaning=[WELL]))
    chapters = [cleaning("leased", "ready"), cleaning("succeeded", "succeeded")]
    far.says("GetMigration", lambda _request: chapters.pop(0))
    ended = haulier("migration", "clean-up", "a", "--wait")
    assert (ended.code, ended.err) == (Exit.OK, "a: cleaned up\n")
    far.says("GetMigration", cleaning("succeeded", "failed"))
    ended = haulier("migration", "clean-up", "a", "--wait")
    assert ended.code == Exit.BAD_ANSWER
    assert "a: s1.clean-up: in the way" in ended.err
    assert "move it" in ended.err
    assert "cleaned up" not in ended.err


def test_a_migration_says_what_it_keeps_and_what_rollback_does() -> None:
    left = op.LeftoversView(staged_removed_in_s=DAY_S, former_removed_in_s=7 * DAY_S, way_back="restores")
    page = draw(render_migrations.migration_page(op.GetMigrationResponse(migration=WELL, leftovers=left), PIPE), PIPE)
    assert "kept      staged parts for 1d, what was there before for 7d" in page
    assert "rollback  puts back what was there before" in page
    gone = op.LeftoversView(way_back="refused")
    assert render_leftovers.kept(gone) == ""
    assert "no longer possible" in render_leftovers.rollback(gone)
    assert render_leftovers.rollback(op.LeftoversView()) == ""


def test_status_says_what_is_kept_in_all_and_how_to_try_again() -> None:
    kept = op.LeftoversStatus(staged=1, staged_next_in_s=0.0, former=12, former_next_in_s=DAY_S, failed=["a", "b"])
    page = draw(render_status.status_page(op.GetStatusResponse(leftovers=kept), "h:1"), PIPE)
    assert "staged parts of 1 migration (the first goes now)" in page
    assert "what rollback puts back for 12 migrations (the first goes in 1d)" in page
    assert "2 clean-ups failed; try again: `haulier migration clean-up a b`" in page
    assert "kept" not in draw(render_status.status_page(op.GetStatusResponse(), "h:1"), PIPE)
