"""Following migrations to their end."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from haulier.v1 import operator_pb2 as op

from controlplane.cli.asking import connection, profile
from controlplane.cli.migrations import watching
from controlplane.cli.screen.exits import Exit
from controlplane.cli.screen.problems import Problem
from tests.unit.controlplane.cli.far_side import FarSide, Refusal

AWAY = Refusal(grpc.StatusCode.UNAVAILABLE, "shutting down")
POLL_S = 0.001


@dataclass
class Record:
    """A screen that remembers."""

    frames: list[tuple[list[tuple[str, str]], str]] = field(default_factory=list)

    def update(self, watched: Sequence[op.MigrationSummary], at: float, trouble: str) -> None:
        self.frames.append(([(migration.name, migration.state) for migration in watched], trouble))


def world(**states: str) -> op.ListMigrationsResponse:
    return op.ListMigrationsResponse(
        migrations=[
            op.MigrationSummary(migration_id=f"mig_{name}", name=name, state=state) for name, state in states.items()
        ]
    )


def story(far: FarSide, *chapters: object) -> None:
    """Each poll sees the next chapter; the last one stays."""
    left = list(chapters)
    far.says("ListMigrations", lambda _request: left.pop(0) if len(left) > 1 else left[0])


def watch(far: FarSide, tmp_path: Path, *names: str, patience_s: float = 30) -> tuple[Record, dict[str, str]]:
    screen = Record()
    operator = connection.Operator(profile.load(far.write_profile(tmp_path / "other.json")), timeout_s=10)
    with operator:
        ended = watching.watch(operator, names, screen, poll_s=POLL_S, patience_s=patience_s)
    return screen, {migration.name: migration.state for migration in ended}


def test_it_ends_when_the_last_one_has_ended(far: FarSide, tmp_path: Path) -> None:
    story(far, world(a="running", b="running"), world(a="succeeded", b="running"), world(a="succeeded", b="failed"))
    screen, ended = watch(far, tmp_path, "a", "mig_b")
    assert ended == {"a": "succeeded", "b": "failed"}
    assert len(screen.frames) == 3


def test_without_names_what_had_ended_before_is_left_out_and_newcomers_join(far: FarSide, tmp_path: Path) -> None:
    story(
        far,
        world(old="failed", a="running"),
        world(old="failed", a="running", late="running"),
        world(old="failed", a="succeeded", late="succeeded"),
    )
    _, ended = watch(far, tmp_path)
    assert ended == {"a": "succeeded", "late": "succeeded"}


def test_with_names_others_are_left_out(far: FarSide, tmp_path: Path) -> None:
    story(far, world(a="succeeded", b="running"))
    assert watch(far, tmp_path, "a")[1] == {"a": "succeeded"}


def test_nothing_under_way(far: FarSide, tmp_path: Path) -> None:
    story(far, world(old="failed"))
    assert watch(far, tmp_path)[1] == {}


@pytest.mark.parametrize("state", ["cancelling", "rolling_back"])
def test_undoing_is_not_an_end(far: FarSide, tmp_path: Path, state: str) -> None:
    story(far, world(a=state), world(a=state), world(a="rolled_back"))
    assert watch(far, tmp_path, "a")[1] == {"a": "rolled_back"}


def test_an_unknown_name_is_refused(far: FarSide, tmp_path: Path) -> None:
    story(far, world(a="running"))
    with pytest.raises(Problem, match="no migration nope was started") as caught:
        watch(far, tmp_path, "a", "nope")
    assert caught.value.code is Exit.NOT_FOUND


def test_a_restart_of_the_control_plane_is_waited_for(far: FarSide, tmp_path: Path) -> None:
    # One absence is tried three times by the connection itself before the watcher hears of it.
    story(far, world(a="running"), AWAY, AWAY, AWAY, world(a="succeeded"))
    screen, ended = watch(far, tmp_path, "a")
    assert ended == {"a": "succeeded"}
    assert [trouble != "" for _, trouble in screen.frames] == [False, True, False]


def test_patience_ends(far: FarSide, tmp_path: Path) -> None:
    story(far, world(a="running"), AWAY)
    with pytest.raises(Problem) as caught:
        watch(far, tmp_path, "a", patience_s=0.1)
    assert caught.value.code is Exit.UNREACHABLE


def test_other_errors_are_not_waited_for(far: FarSide, tmp_path: Path) -> None:
    story(far, world(a="running"), Refusal(grpc.StatusCode.INTERNAL, "broken"))
    with pytest.raises(Problem, match="broken"):
        watch(far, tmp_path, "a")


def test_a_control_plane_that_was_never_there_is_told_at_once(far: FarSide, tmp_path: Path) -> None:
    story(far, AWAY)
    with pytest.raises(Problem):
        watch(far, tmp_path, "a")


def test_plain_lines_tell_each_change_once(capsys: pytest.CaptureFixture[str]) -> None:
    screen = watching.PlainScreen()
    running = op.MigrationSummary(migration_id="mig_a", name="a", state="running", steps_total=2, current_step="load")
    ended = op.MigrationSummary(migration_id="mig_a", name="a", state="failed", steps_total=2, reason="no\x1broute")
    screen.update([running], 0.0, "")
    screen.update([running], 1.0, "")
    screen.update([running], 2.0, "it is away")
    screen.update([running], 3.0, "it is away")
    screen.update([ended], 4.0, "")
    assert capsys.readouterr().out.splitlines() == [
        "a  running  0/2  load",
        "it is away",
        "the control plane is back",
        "a  failed  0/2  no\\x1broute",
    ]
