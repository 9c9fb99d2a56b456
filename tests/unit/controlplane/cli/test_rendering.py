"""What people see, from messages alone: at 80 columns, in a pipe, in colour."""

import json
import re
from typing import Any

import pytest
from haulier.v1 import agent_pb2 as agent
from haulier.v1 import operator_pb2 as op
from rich.cells import cell_len

from controlplane.cli import (
    render_agents,
    render_events,
    render_manifests,
    render_migrations,
    render_proof,
    render_status,
    render_watch,
    render_why,
)
from controlplane.cli.pace import Pace
from controlplane.cli.problems import Problem
from controlplane.cli.terminal import Look, draw, problem_text

PIPE = Look(terminal=False, colour=False, width=10_000)
NARROW = Look(terminal=True, colour=False, width=80)
COLOURED = Look(terminal=True, colour=True, width=140)


def migration(**fields: Any) -> op.MigrationSummary:
    usual: dict[str, Any] = {
        "migration_id": "mig_1",
        "name": "flights-to-pg",
        "dataset": "flights",
        "workflow": "move",
        "state": "running",
        "source": "csv",
        "destination": "pg",
        "steps_done": 1,
        "steps_total": 4,
        "elapsed_s": 3.25,
    }
    return op.MigrationSummary(**{**usual, **fields})


DONE = migration(
    state="succeeded", steps_done=4, verified_rows=336_776, verified_digest="ab" * 16, staged_bytes=10_440_056
)
FAILED = migration(name="other", migration_id="mig_2", state="failed", reason="load failed 3 times")


def test_the_table_of_migrations_at_80_columns() -> None:
    text = draw(render_migrations.migration_table([DONE, FAILED], NARROW), NARROW)
    assert text.splitlines() == [
        "NAME           STATE        STEP  STEPS     ROWS  TIME",
        "flights-to-pg  ✓ succeeded          4/4  336,776  3.2s",
        "other          ✗ failed             1/4           3.2s",
    ]


def test_a_pipe_gets_every_column_uncut() -> None:
    text = draw(render_migrations.migration_table([DONE], PIPE), PIPE)
    for word in ("ab" * 16, "10.4 MB", "csv → pg", "move", "mig_1"):
        assert word in text


def test_the_verdict() -> None:
    text = draw(render_migrations.verdict([FAILED, DONE, DONE]), PIPE)
    assert text == "✓ succeeded 2, ✗ failed 1 · 673,552 rows proven · 20.9 MB staged\n"


def test_what_was_left_behind_is_told_of_what_was_verified() -> None:
    assert render_migrations.left_behind([DONE, FAILED]) is None
    rich_one = migration(name="rich", verified_digest="ab" * 16, left_behind=["index: by_day", "comment: flights"])
    unproven = migration(name="unproven", left_behind=["index: by_day"])
    table = render_migrations.left_behind([DONE, rich_one, unproven])
    assert table is not None
    assert draw(table, PIPE).splitlines()[1:] == ["rich       index: by_day · comment: flights"]
    many = render_migrations.left_behind([rich_one] * 10)
    assert many is not None
    assert draw(many, PIPE).splitlines()[-1] == "and 2 more; `haulier migration get NAME` shows each"


def test_what_was_waived_is_told_with_the_step_that_lost_it() -> None:
    lost = [{"kind": "DEFINITION_KIND_COLUMN_GRANT", "names": ["pay"], "count": 3}]
    text = render_proof.waived(op.StepView(name="load", result_json=json.dumps({"rows": 1, "waived": lost})))
    assert text is not None
    assert draw(text, PIPE).splitlines() == ["", "waived  load replaced, and lost", "column grant: pay and 2 more"]
    for nothing in ("", "[]", "{", '{"waived": []}', '{"waived": 7}', '{"rows": 1}'):
        assert render_proof.waived(op.StepView(name="load", result_json=nothing)) is None


def attempt(number: int, state: str, **fields: Any) -> op.AttemptView:
    return op.AttemptView(
        attempt_id=f"att_{number}", number=number, state=state, agent="host-a", fence=(7 << 32) + number, **fields
    )


PAGE = op.GetMigrationResponse(
    migration=FAILED,
    steps=[
        op.StepView(
            step_id="step_1", name="extract", kind="extract", state="succeeded", attempts=[attempt(1, "succeeded")]
        ),
        op.StepView(
            step_id="step_2",
            name="load",
            kind="load",
            state="failed",
            needs=["extract"],
            attempts=[
                attempt(1, "lost"),
                attempt(
                    2,
                    "failed",
                    failure=agent.AttemptFailure(
                        code="unreachable_datastore", message="no route to pg", hint="is it up?", retryable=True
                    ),
                    use=agent.ResourceUse(cpu_s=2.06, rss_bytes_max=123_000_000),
                ),
            ],
        ),
    ],
)


def test_the_page_of_a_migration_shows_attempts_agents_fences_and_the_failure() -> None:
    lines = draw(render_migrations.migration_page(PAGE, PIPE), PIPE).splitlines()
    rows = [re.sub(" {2,}", " | ", line) for line in lines]
    assert rows[0] == "other | ✗ failed"
    assert "reason | load failed 3 times" in rows
    assert "load | ✗ failed | 2 | host-a | 0.0s | 7·2 | att_2 | 2.1s | 123 MB | load | extract" in rows
    assert " | ↳ | ✗ lost | 1 | host-a | 0.0s | 7·1 | att_1" in rows
    assert rows[-3:] == [
        "load: [unreachable_datastore] no route to pg",
        " | hint: is it up?",
        " | trying again may help",
    ]


def test_every_try_that_ended_without_success_says_why() -> None:
    step = op.StepView(
        name="load",
        state="succeeded",
        attempts=[
            attempt(1, "lost", failure=agent.AttemptFailure(code="child_lost", message="the process is gone")),
            attempt(2, "failed", failure=agent.AttemptFailure(code="disk_full", message="no space left")),
            attempt(3, "succeeded"),
        ],
    )
    page = op.GetMigrationResponse(migration=DONE, steps=[step])
    lines = draw(render_migrations.migration_page(page, PIPE), PIPE).splitlines()
    assert lines[-2:] == [
        "load, try 1 on host-a: [child_lost] the process is gone",
        "load, try 2 on host-a: [disk_full] no space left",
    ]


RESULT = {
    "checks": [
        {"name": "rows", "passed": True, "expected": "10", "found": "10"},
        {"name": "destination digest", "passed": False, "expected": "aa", "found": "bb"},
    ],
    "rows": 10,
    "source_digest": "ab" * 16,
    "destination_digest": "cd" * 16,
    "differences": [{"kind": "changed", "key": {"id": 7}, "columns": {"delay": ["2", "3"]}}],
    "differences_count": 31,
}
# The same as protobuf's own JSON writes it: other names, bytes in base64, 64-bit numbers as text.
RESULT_AS_PROTOBUF_JSON = {
    **{key: RESULT[key] for key in ("checks",)},
    "rows": "10",
    "sourceDigest": "q6urq6urq6urq6urq6urqw==",
    "destinationDigest": "zc3Nzc3Nzc3Nzc3Nzc3NzQ==",
    "differences": [{"kind": "changed", "keyJson": '{"id":7}', "columnsJson": '{"delay":["2","3"]}'}],
    "differencesCount": "31",
}


@pytest.mark.parametrize("result", [RESULT, RESULT_AS_PROTOBUF_JSON])
def test_the_proof_names_checks_digests_and_differing_rows(result: dict[str, object]) -> None:
    step = op.StepView(name="validate", state="failed", result_json=json.dumps(result))
    text = draw(render_migrations.migration_page(op.GetMigrationResponse(migration=DONE, steps=[step]), PIPE), PIPE)
    assert "validate re-read 10 rows at the destination" in text
    assert re.search(r"destination digest +✗ failed +aa +bb", text)
    assert re.search(f"source digest +{'ab' * 16}", text)
    assert re.search(f"destination digest +{'cd' * 16}", text)
    assert "31 differing rows" in text
    assert re.search("changed +id=7 +delay: expected 2, found 3", text)


SHAPES = [
    {"column": "tail", "expectedShape": "a value of the shape a999", "foundShape": "a value of the shape a999"},
    {"column": "delay", "expectedShape": "a value of the shape 9.9", "foundShape": "NULL"},
]


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        ({"key": {"id": "7"}, "changed": SHAPES}, "id=7 +tail: both a value of the shape a999"),
        ({"key": {"id": "7"}, "changed": SHAPES[1:]}, "delay: expected a value of the shape 9.9, found NULL"),
        ({"key": None, "rowDigest": "ab" * 16}, f"no key; digest {'ab' * 16}"),
        ({"key": {"id": None}, "changed": [{"column": "delay"}]}, "id=NULL +delay"),
    ],
)
def test_without_values_a_row_is_told_by_key_columns_and_shapes(difference: dict[str, object], said: str) -> None:
    result = {**RESULT, "differences": [{"kind": "changed", **difference}]}
    step = op.StepView(name="validate", state="failed", result_json=json.dumps(result))
    text = draw(render_migrations.migration_page(op.GetMigrationResponse(migration=DONE, steps=[step]), PIPE), PIPE)
    assert re.search(said, text)


@pytest.mark.parametrize("result", ["", "no json", "[]", '{"checks": 3}', '{"checks": [4], "rows": "x"}', "null"])
def test_a_result_that_is_no_proof_does_no_harm(result: str) -> None:
    step = op.StepView(name="validate", state="succeeded", result_json=result)
    draw(render_migrations.migration_page(op.GetMigrationResponse(migration=DONE, steps=[step]), PIPE), PIPE)


def test_rows_of_an_ended_step_come_from_its_result_and_not_from_its_last_report() -> None:
    results = {"extract": {"output": {"rows": 500}}, "load": {"rows": 400}, "own": {"answer": 42}}
    steps = [
        op.StepView(
            name=name,
            kind=name,
            state="succeeded",
            attempts=[attempt(1, "succeeded", watermark=77, total=500, stage="staging")],
            result_json=json.dumps(result),
        )
        for name, result in results.items()
    ]
    running = attempt(1, "running", watermark=77, total=100, stage="reading")
    steps.append(op.StepView(name="validate", kind="validate", state="leased", attempts=[running]))
    page = op.GetMigrationResponse(migration=DONE, steps=steps)
    text = draw(render_migrations.migration_page(page, PIPE), PIPE)
    rows = [re.sub(" {2,}", "|", line) for line in text.splitlines()]
    assert "extract|✓ succeeded|1|host-a|0.0s|500|7·1|att_1|extract" in rows
    assert "load|✓ succeeded|1|host-a|0.0s|400|7·1|att_1|load" in rows
    assert "own|✓ succeeded|1|host-a|0.0s|7·1|att_1|own" in rows
    assert "validate|● leased|1|host-a|0.0s|77% of 100|7·1|reading|att_1|validate" in rows


def test_many_migrations_that_failed_are_counted() -> None:
    problems = render_migrations.problems_of([FAILED] * 20)
    assert problems[0].what == "other: failed: load failed 3 times"
    assert problems[0].hint == "haulier migration get other"
    assert (len(problems), problems[-1].what) == (9, "and 12 more")


def test_a_problem_is_wrapped_for_people_and_whole_for_programs() -> None:
    problem = Problem("word " * 30 + "/a/path/that/is/not/broken" * 4, where="/a/b", hint="do this")
    lines = problem_text(problem, NARROW).splitlines()
    assert lines[0].startswith("error: word word")
    assert all(line.startswith("       ") for line in lines[1:-2])
    assert lines[-2:] == ["   at: /a/b", " hint: do this"]
    assert max(len(line) for line in lines[:2]) <= 80
    assert "/a/path/that/is/not/broken" * 4 in "".join(lines)
    assert len(problem_text(problem, PIPE).splitlines()) == 3
    assert problem_text(Problem("a\x1b[2J"), COLOURED) == "\x1b[1;31merror:\x1b[0m a\\x1b[2J\n"


def test_findings_look_like_a_compilers() -> None:
    found = [
        op.Finding(path="a.yaml", line=3, column=7, field="spec.needs", message="no step extrct", hint="extract?"),
        op.Finding(path="a.yaml", line=9, message="broken"),
        op.Finding(path="b.yaml", message="empty file"),
    ]
    assert draw(render_manifests.findings(found), PIPE).splitlines() == [
        "a.yaml:3:7: spec.needs: no step extrct",
        "    hint: extract?",
        "a.yaml:9: broken",
        "b.yaml: empty file",
        "3 findings in 2 files",
    ]


def test_many_findings_are_counted() -> None:
    found = [op.Finding(path="a.yaml", line=line, message="wrong") for line in range(1, 251)]
    lines = draw(render_manifests.findings(found), PIPE).splitlines()
    assert len(lines) == 102
    assert lines[-2:] == ["… and 150 more; -o json shows all", "250 findings in 1 file"]


def outcome(number: int, change: op.ManifestChange) -> op.ManifestOutcome:
    return op.ManifestOutcome(kind="Dataset", name=f"d{number}", change=change)


def test_few_changes_are_listed_and_many_counted() -> None:
    few = [outcome(1, op.MANIFEST_CHANGE_CREATED), outcome(2, op.MANIFEST_CHANGE_UNCHANGED)]
    text = draw(render_manifests.outcomes(few, files=1, would=False, look=PIPE), PIPE)
    assert text.splitlines() == [
        "KIND     NAME  CHANGE",
        "Dataset  d1    ✓ created",
        "",
        "✓ 2 manifests in 1 file applied:",
        "  Dataset: 1 created, 1 unchanged",
    ]
    many = [outcome(number, op.MANIFEST_CHANGE_UPDATED) for number in range(10_000)]
    text = draw(render_manifests.outcomes(many, files=10_000, would=True, look=PIPE), PIPE)
    assert text.splitlines() == [
        "✓ 10,000 manifests in 10,000 files right; applying would give:",
        "  Dataset: 10,000 updated",
    ]


def test_files_without_a_manifest_say_so() -> None:
    said = render_manifests.outcomes([], files=1, would=True, look=PIPE)
    assert draw(said, PIPE) == "0 manifests in 1 file: nothing to apply\n"


def test_a_manifest_is_shown_as_a_person_would_write_it() -> None:
    answer = op.GetManifestResponse(
        manifest=op.ManifestSummary(
            kind="Dataset", name="flights", generation=2, age_s=70, spec_json='{"owner": "air", "n": [1, 2]}'
        ),
        metadata_json='{"name": "flights", "labels": {"tier": "gold"}}',
    )
    assert draw(render_manifests.manifest_page(answer), PIPE).splitlines() == [
        "# generation 2, applied 1m10s ago",
        "apiVersion: haulier/v1",
        "kind: Dataset",
        "metadata:",
        "  name: flights",
        "  labels:",
        "    tier: gold",
        "spec:",
        "  owner: air",
        "  n:",
        "  - 1",
        "  - 2",
    ]


def test_why_names_holds_in_order_with_what_lifts_them() -> None:
    answer = op.WhyResponse(
        steps=[
            op.StepHolds(
                step_id="step_1",
                name="flights/load",
                state="ready",
                holds=[
                    op.Hold(code="no_agent", message="no agent has zone=eu", lifted_by="an agent with zone=eu"),
                    op.Hold(code="retry_backoff", message="attempt 2 failed", lifts_in_s=42),
                ],
            ),
            op.StepHolds(step_id="step_2", name="flights/validate", state="leased"),
        ]
    )
    assert draw(render_why.holds(answer), PIPE).splitlines() == [
        "flights/load  ○ ready  step_1",
        "  1. no_agent: no agent has zone=eu",
        "     lifted by: an agent with zone=eu",
        "  2. retry_backoff: attempt 2 failed",
        "     lifts by itself in 42s",
        "",
        "flights/validate  ● leased  step_2",
        "  nothing holds it",
    ]


def test_agents() -> None:
    view = op.AgentView(
        name="host-a",
        state="draining",
        liveness="suspect: no heartbeat",
        slots=8,
        leases=3,
        heard_ago_s=21,
        labels={"zone": "eu", "disk": "nvme"},
        sample=agent.HostSample(cpu_fraction=0.43, agent_rss_bytes=61_400_000, memory_total_bytes=1),
    )
    lines = draw(render_agents.agent_table(op.ListAgentsResponse(agents=[view]), NARROW), NARROW).splitlines()
    assert [re.sub(" {2,}", " | ", line) for line in lines] == [
        "NAME | STATE | LIVENESS | SLOTS | HEARD | CPU | RSS",
        "host-a | ▲ draining | ▲ suspect: no heartbeat | 3/8 | 21s | 43% | 61.4 MB",
    ]
    assert "disk=nvme,zone=eu" in draw(render_agents.agent_table(op.ListAgentsResponse(agents=[view]), PIPE), PIPE)


def test_status() -> None:
    status = op.GetStatusResponse(
        version="0.1.0",
        store_generation=9,
        migrations={"running": 2, "succeeded": 10, "failed": 0},
        loops=[
            op.LoopView(name="lease_reaper", last_run_ago_s=0.44, duration_s=0.0012, passes=12_345),
            op.LoopView(name="trigger_clock", last_run_ago_s=-1, last_error="disk is full"),
        ],
    )
    text = draw(render_status.status_page(status, "h:1"), PIPE)
    rows = [re.sub(" {2,}", " | ", line) for line in text.splitlines()]
    assert rows[0] == "control plane h:1 | version 0.1.0, store generation 9"
    assert "migrations | 10 ✓ succeeded | 2 ● running" in rows
    assert "steps | none" in rows
    assert "lease_reaper | 0.4s ago | 1.2ms | 12,345 | –" in rows  # noqa: RUF001
    assert "trigger_clock | never | 0 | disk is full" in rows


def test_events_take_one_line() -> None:
    event = op.WatchEventsResponse(
        position=7,
        at=1_769_860_800.2509,
        type="LeaseExpired",
        subject="step_1",
        data_json='{"fence": 4294967297, "reason": "no news", "empty": "", "agent_id": "ag_1", "step_id": "step_1"}',
    )
    line = draw(render_events.event_line(event, PIPE), PIPE)
    assert re.sub(" {2,}", " | ", line.strip()) == (
        '7 | 2026-01-31T12:00:00.250Z | LeaseExpired | step_1 | fence=1·1 reason="no news" agent=ag_1'
    )
    narrow = draw(render_events.event_line(event, NARROW), NARROW)
    assert narrow == '     7  12:00:00.250Z  LeaseExpired       step_1  fence=1·1 reason="no news" ag…\n'


@pytest.mark.parametrize("data", ["no json", "[1]", "", "null"])
@pytest.mark.parametrize("at", [0.0, -1e300, 1e300, float("nan"), float("inf")])
def test_no_event_is_too_strange_to_print(data: str, at: float) -> None:
    draw(render_events.event_line(op.WatchEventsResponse(at=at, data_json=data), PIPE), PIPE)


def test_colours_only_where_they_are_wanted() -> None:
    table = render_migrations.migration_table([DONE], COLOURED)
    assert "\x1b[32m✓ succeeded" in draw(table, COLOURED)
    assert "\x1b" not in draw(table, NARROW)


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
    pace = Pace()
    pace.see("x", 0, 0.0)
    pace.see("x", 123_456, 1.0)
    paces = {migration.migration_id: pace for migration in MANY}
    text = draw(render_watch.live_page(MANY, paces, look, height=height), look)
    assert len(text.splitlines()) <= height
    assert max(cell_len(line) for line in text.splitlines()) <= width
    if width >= 80:
        assert "123k rows/s" in text
        assert "37%" in text
    assert f"… and {100 - (height - 4)} more: {100 - (height - 4)} running" in text


def test_the_live_page_shows_trouble_and_what_moves_first() -> None:
    waiting = [migration(migration_id=f"mig_w{number}", name=f"waiting-{number}") for number in range(30)]
    moving = migration(migration_id="mig_m", name="moving", stage="reading", watermark=1, total=2)
    stuck = migration(migration_id="mig_s", name="needs-help", state="stuck")
    text = draw(
        render_watch.live_page([*waiting, DONE, moving, stuck], {}, NARROW, height=10, trouble="it is away"), NARROW
    )
    assert "moving" in text
    assert "needs-help" in text
    assert "it is away" in text
    assert "flights-to-pg" not in text


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
