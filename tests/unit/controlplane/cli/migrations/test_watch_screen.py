"""The live page of `haulier migration watch`, and the lines that stand for it in a log."""

import pytest
from rich.cells import cell_len

from controlplane.cli.migrations import watch_screen as render_watch
from controlplane.cli.screen.pace import RateEstimate
from controlplane.cli.screen.terminal import Look, draw
from tests.unit.controlplane.cli.test_rendering import DONE, FAILED, NARROW, migration

MANY = [
    migration(
        migration_id=f"mig_{number}",
        name=f"a-very-long-name-of-a-migration-number-{number}",
        current_step="transform",
        stage="running the transformation",
        watermark=500,
        total=1000,
    )
    for number in range(100)
]


@pytest.mark.parametrize("width", [40, 60, 80, 99, 100, 140, 250])
@pytest.mark.parametrize("height", [5, 24])
def test_the_live_page_fits_the_screen(width: int, height: int) -> None:
    look = Look(terminal=True, colour=False, width=width)
    pace = RateEstimate()
    pace.see("x", 0, 0.0)
    pace.see("x", 123_456, 1.0)
    paces = {migration.migration_id: pace for migration in MANY}
    text = draw(render_watch.live_page(MANY, paces, look, height=height), look)
    assert len(text.splitlines()) <= height
    assert max(cell_len(line) for line in text.splitlines()) <= width
    if width >= 80:
        assert "123k rows/s" in text
        assert "37%" in text
    hidden = 100 - (height - 3 - (2 if height >= 10 else 0))
    assert f"… and {hidden} more: {hidden} running" in text


def test_the_live_page_shows_trouble_and_what_moves_first() -> None:
    waiting = [migration(migration_id=f"mig_w{number}", name=f"idle-{number}", state="waiting") for number in range(30)]
    moving = migration(migration_id="mig_m", name="moving", stage="reading", watermark=1, total=2)
    stuck = migration(migration_id="mig_s", name="needs-help", state="stuck")
    text = draw(
        render_watch.live_page([*waiting, DONE, moving, stuck], {}, NARROW, height=10, trouble="it is away"), NARROW
    )
    assert "moving" in text
    assert "needs-help" in text
    assert "it is away" in text
    lines = text.splitlines()
    assert [line.split()[1] for line in lines[1:4]] == ["needs-help", "moving", "flights-to-pg"]
    # Those that wait are one line, however many they are.
    assert [line for line in lines if "idle" in line] == [
        "○ 30 waiting: next idle-0; `haulier why idle-0` says for what"
    ]


def test_the_live_page_tells_how_far_all_are_and_for_how_long_yet() -> None:
    overall = RateEstimate()
    overall.see("4", 1.0, 0.0)
    overall.see("4", 2.0, 10.0)
    done = [migration(migration_id=f"mig_{n}", state="succeeded") for n in range(2)]
    half = [migration(migration_id=f"mig_h{n}", steps_done=2, steps_total=4) for n in range(2)]
    assert render_watch.done_of([*done, *half]) == 3.0
    text = draw(render_watch.live_page([*done, *half], {}, NARROW, height=24, overall=overall), NARROW)
    (line,) = [line for line in text.splitlines() if line.startswith("all ")]
    assert "75%" in line
    assert "about 20s left" in line


@pytest.mark.parametrize(
    ("fields", "done"),
    [
        ({"state": "succeeded", "steps_done": 0, "steps_total": 0}, 1.0),
        ({"steps_total": 0}, 0.0),
        ({"steps_done": 2, "current_step": "load", "watermark": 50, "total": 100}, 0.625),
        ({"steps_done": 2, "current_step": "load", "watermark": 500, "total": 100}, 0.75),
        ({"steps_done": 2, "current_step": "load", "watermark": 500}, 0.5),
        ({"steps_done": 4, "current_step": "load", "watermark": 5, "total": 5}, 1.0),
    ],
)
def test_how_much_is_done(fields: dict[str, object], done: float) -> None:
    assert render_watch.fraction(migration(**fields)) == done


@pytest.mark.parametrize("done", [0.0, 0.001, 0.5, 0.999, 1.0])
def test_a_bar_keeps_its_width(done: float) -> None:
    assert render_watch.bar(done, 20, "green").cell_len == 20


def test_plain_lines_for_logs() -> None:
    assert render_watch.plain_line(migration(current_step="load")) == "flights-to-pg  running  1/4  load"
    assert render_watch.plain_line(DONE) == f"flights-to-pg  succeeded  4/4  336,776 rows {'ab' * 16}"
    assert render_watch.plain_line(FAILED) == "other  failed  1/4  load failed 3 times"
