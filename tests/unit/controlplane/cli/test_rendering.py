"""What people see, from messages alone: at 80 columns, in a pipe, in colour."""

import json
import re
from typing import Any

import pytest
from haulier.v1 import agent_pb2 as agent
from haulier.v1 import operator_pb2 as op

from controlplane.cli.agents import tables as render_agents
from controlplane.cli.events import tables as render_events
from controlplane.cli.health import status as render_status
from controlplane.cli.inventory import tables as render_manifests
from controlplane.cli.migrations import proof as render_proof
from controlplane.cli.migrations import tables as render_migrations
from controlplane.cli.migrations import why as render_why
from controlplane.cli.screen.problems import Problem
from controlplane.cli.screen.terminal import Look, draw, problem_text

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


def test_the_page_of_a_migration_shows_attempts_agents_and_the_failure() -> None:
    lines = draw(render_migrations.migration_page(PAGE, PIPE), PIPE).splitlines()
    rows = [re.sub(" {2,}", " | ", line) for line in lines]
    assert rows[0] == "other | ✗ failed"
    assert "reason | load failed 3 times" in rows
    assert "load | ✗ failed | 2 | host-a | 0.0s | 2.1s | 123 MB | load | extract" in rows
    assert " | ↳ | ✗ lost | 1 | host-a | 0.0s" in rows
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
    assert "extract|✓ succeeded|1|host-a|0.0s|500|extract" in rows
    assert "load|✓ succeeded|1|host-a|0.0s|400|load" in rows
    assert "own|✓ succeeded|1|host-a|0.0s|own" in rows
    assert "validate|● leased|1|host-a|0.0s|77% of 100|reading|validate" in rows


def test_fences_and_ids_of_attempts_are_for_wide_output_only() -> None:
    step = op.StepView(name="load", kind="load", state="succeeded", attempts=[attempt(1, "succeeded")])
    page = op.GetMigrationResponse(migration=DONE, steps=[step])
    wide = Look(terminal=False, colour=False, width=10_000, wide=True)
    for look, shown in ((PIPE, False), (NARROW, False), (wide, True)):
        text = draw(render_migrations.migration_page(page, look), look)
        assert ("7·1" in text, "att_1" in text, "FENCE" in text, "ATTEMPT" in text) == (shown,) * 4


def test_a_list_of_failed_ones_tells_why() -> None:
    lost = migration(name="lost", state="failed", reason="no route to the database", reason_code="unreachable")
    text = draw(render_migrations.migration_table([FAILED, lost], NARROW), NARROW)
    assert text.splitlines()[0].split() == ["NAME", "STATE", "REASON"]
    assert "✗ failed  [unreachable] no route to the database" in text
    # Beside those without a reason, progress matters; -o wide has both.
    assert "REASON" not in draw(render_migrations.migration_table([FAILED, DONE], NARROW), NARROW)


def test_migrations_are_grouped_by_why_they_stand() -> None:
    lost = [
        migration(
            name=f"m{n}", state="failed", reason=f"host {n} is away", reason_code="unreachable", current_step="load"
        )
        for n in range(5)
    ]
    groups = render_migrations.by_reason([FAILED, *lost, DONE])
    assert [(group.code, len(group.names)) for group in groups] == [("unreachable", 5), ("", 1)]
    text = draw(render_migrations.reason_table(groups), PIPE)
    assert re.search(r"5 +✗ failed +load +unreachable +m0, m1, m2 and 2 more +host 0 is away", text)


def test_instants_are_absolute() -> None:
    page = op.GetMigrationResponse(migration=migration(created_at=1_769_860_800.25, ended_at=1_769_860_860))
    text = draw(render_migrations.migration_page(page, PIPE), PIPE)
    assert re.search(r"started +2026-01-31T12:00:00.250Z", text)
    assert re.search(r"ended +2026-01-31T12:01:00.000Z", text)


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


def test_an_update_is_told_field_by_field() -> None:
    fields = [
        op.FieldChange(field="spec.priority", before_json="1", after_json="2"),
        op.FieldChange(field="spec.key[1]", before_json='"b"'),
        op.FieldChange(field="metadata.labels.tier", after_json='"gold"'),
    ]
    updated = outcome(1, op.MANIFEST_CHANGE_UPDATED)
    updated.fields.extend(fields)
    text = draw(render_manifests.outcomes([updated], files=1, would=True, look=PIPE), PIPE)
    lines = text.splitlines()
    assert lines[3] == f"{updated.kind} {updated.name}"
    assert lines[4:7] == ["  ~ spec.priority: 1 → 2", '  - spec.key[1]: "b"', '  + metadata.labels.tier: "gold"']


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
        sample=agent.HostSample(
            cpu_fraction=0.99, agent_rss_bytes=61_400_000, memory_total_bytes=1, agent_cpu_cores=1.5
        ),
        cordon_reason="new disk",
    )
    lines = draw(render_agents.agent_table(op.ListAgentsResponse(agents=[view]), NARROW), NARROW).splitlines()
    assert [re.sub(" {2,}", " | ", line) for line in lines] == [
        "NAME | STATE | LIVENESS | SLOTS | HEARD | AGENT CPU | AGENT RSS",
        "host-a | ▲ draining, cord… | ▲ suspect: no he… | 3/8 | 21s | 150% | 61.4 MB",
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


def test_events_speak_in_names_and_their_reason_is_never_cut() -> None:
    why = "verification_failed: the destination differs from what was staged, in 3 of 4,000 rows; see the named rows"
    data = {"migration_id": "mig_1", "attempt_id": "att_1_2", "agent_id": "ag_1", "fence": 1 << 32 | 6, "detail": why}
    event = op.WatchEventsResponse(
        position=7,
        type="AttemptFailed",
        subject="step_1",
        data_json=json.dumps(data),
        names={"mig_1": "crew", "step_1": "crew/load", "att_1_2": "crew/load#2", "ag_1": "alpha"},
    )
    line = draw(render_events.event_line(event, PIPE), PIPE)
    assert line.strip().endswith(f"AttemptFailed      crew/load  try=2 agent=alpha fence=1·6  {why}")
    narrow = draw(render_events.event_line(event, NARROW), NARROW)
    assert max(len(text) for text in narrow.splitlines()) <= NARROW.width
    assert " ".join(why.split()) in " ".join(narrow.split())
    wide = draw(render_events.event_line(event, Look(False, False, 10_000, wide=True)), PIPE)
    assert "crew/load (step_1)" in wide
    assert "alpha (ag_1)" in wide


def test_an_event_takes_one_line_in_a_pipe() -> None:
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
    assert narrow == '     7  12:00:00.250Z  LeaseExpired       step_1  fence=1·1 reason="no news"\nagent=ag_1\n'


@pytest.mark.parametrize("data", ["no json", "[1]", "", "null"])
@pytest.mark.parametrize("at", [0.0, -1e300, 1e300, float("nan"), float("inf")])
def test_no_event_is_too_strange_to_print(data: str, at: float) -> None:
    draw(render_events.event_line(op.WatchEventsResponse(at=at, data_json=data), PIPE), PIPE)


def test_colours_only_where_they_are_wanted() -> None:
    table = render_migrations.migration_table([DONE], COLOURED)
    assert "\x1b[32m✓ succeeded" in draw(table, COLOURED)
    assert "\x1b" not in draw(table, NARROW)
