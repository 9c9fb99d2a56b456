"""The screens that people learn to read, as they were looked at and found good.

After a wanted change: `HAULIER_WRITE_SCREENS=1 python -m pytest tests/golden`, then look at the difference.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from haulier.v1 import agent_pb2 as agent
from haulier.v1 import operator_pb2 as op
from rich.console import RenderableType

from controlplane.cli.agents import tables as render_agents
from controlplane.cli.events import tables as render_events
from controlplane.cli.health import status as render_status
from controlplane.cli.inventory import tables as render_manifests
from controlplane.cli.migrations import tables as render_migrations
from controlplane.cli.migrations import watch_screen as render_watch
from controlplane.cli.migrations import why as render_why
from controlplane.cli.screen.pace import RateEstimate
from controlplane.cli.screen.terminal import Look, draw

SCREENS = Path(__file__).parent / "screens"
WRITE = os.environ.get("HAULIER_WRITE_SCREENS") == "1"
DIGEST = "384883bf56e53e6bf459b20e51bb861e"

FLIGHTS = op.MigrationSummary(
    migration_id="mig_100000021",
    name="flights-to-warehouse",
    dataset="flights",
    workflow="copy",
    state="succeeded",
    source="exports",
    destination="warehouse",
    steps_done=3,
    steps_total=3,
    elapsed_s=12.3,
    verified_rows=336_776,
    verified_digest=DIGEST,
    staged_bytes=5_400_000,
)
WEATHER = op.MigrationSummary(
    migration_id="mig_100000031",
    name="weather-metric-to-the-analytics-lake",
    dataset="weather",
    workflow="copy-transformed",
    state="running",
    source="exports",
    destination="lake",
    steps_done=2,
    steps_total=4,
    current_step="load",
    stage="staging",
    watermark=13_000,
    total=26_114,
    elapsed_s=5.02,
)
PLANES = op.MigrationSummary(
    migration_id="mig_100000029",
    name="planes-to-exports",
    dataset="planes",
    workflow="copy",
    state="failed",
    reason="step load: datastore 'exports' refused the password of role mover",
    source="analytics",
    destination="exports",
    steps_done=1,
    steps_total=3,
    current_step="load",
    elapsed_s=192,
    staged_bytes=26_100,
    reason_code="wrong_password",
    created_at=1_769_860_800.25,
    ended_at=1_769_860_992.25,
)
IDLE = [op.MigrationSummary(migration_id=f"mig_{n}", name=f"idle-{n}", state="waiting") for n in range(12)]
ALL = [FLIGHTS, WEATHER, PLANES]
FAILURE = agent.AttemptFailure(
    code="wrong_password",
    message="datastore 'exports' refused the password of role mover",
    hint="check passwordRef of Datastore exports on host bravo",
)
PAGE = op.GetMigrationResponse(
    migration=PLANES,
    steps=[
        op.StepView(
            step_id="step_1",
            name="extract",
            kind="extract",
            state="succeeded",
            attempts=[
                op.AttemptView(
                    attempt_id="att_1_1",
                    number=1,
                    state="lost",
                    agent="alpha",
                    fence=(9 << 32) + 4,
                    failure=agent.AttemptFailure(code="agent_lost", message="agent alpha was silent for 60 s"),
                ),
                op.AttemptView(
                    attempt_id="att_1_2",
                    number=2,
                    state="succeeded",
                    agent="bravo",
                    fence=(9 << 32) + 5,
                    elapsed_s=6,
                    use=agent.ResourceUse(cpu_s=1.74, rss_bytes_max=204_000_000),
                ),
            ],
            result_json='{"output": {"rows": 3322}}',
        ),
        op.StepView(
            step_id="step_2",
            name="load",
            kind="load",
            state="failed",
            needs=["extract"],
            attempts=[
                op.AttemptView(
                    attempt_id="att_2_1",
                    number=1,
                    state="failed",
                    agent="bravo",
                    fence=(9 << 32) + 6,
                    elapsed_s=0.31,
                    failure=FAILURE,
                )
            ],
        ),
        op.StepView(
            step_id="step_3",
            name="validate",
            kind="validate",
            state="failed",
            needs=["load"],
            result_json='{"checks": [{"name": "rows", "passed": true, "expected": "3322", "found": "3322"},'
            f' {{"name": "destination digest", "passed": false, "expected": "{DIGEST}", "found": "00{DIGEST[2:]}"}}],'
            f' "rows": 3322, "sourceDigest": "{DIGEST}", "destinationDigest": "00{DIGEST[2:]}",'
            ' "differences": [{"kind": "changed", "key": {"tailnum": "N10156"}, "columns": null, "changed":'
            ' [{"column": "seats", "expectedShape": "a value of the shape 99", "foundShape": "NULL"}]}],'
            ' "differencesCount": 1}',
        ),
    ],
)
AGENTS = op.ListAgentsResponse(
    agents=[
        op.AgentView(
            agent_id=f"ag_10000000{number}",
            name=name,
            state=state,
            liveness=liveness,
            cordon_reason="new disk" if name == "charlie" else "",
            incarnation=number,
            slots=8,
            leases=number,
            kinds=["extract", "load"],
            datastores=["exports", "lake"],
            labels={"zone": "eu-1"},
            heard_ago_s=heard_ago_s,
            version="0.1.0",
            sample=agent.HostSample(
                cpu_fraction=0.43, agent_rss_bytes=61_400_000, memory_total_bytes=1, agent_cpu_cores=0.31 * number
            ),
        )
        for number, name, state, liveness, heard_ago_s in (
            (1, "alpha", "serving", "alive", 0.6),
            (2, "bravo", "draining", "suspect: its stream was closed", 21),
            (3, "charlie", "serving", "lost: no heartbeat for 60 s", 192),
        )
    ]
)
STATUS = op.GetStatusResponse(
    version="0.1.0",
    store_generation=1_769_860_800,
    migrations={"succeeded": 7, "running": 5, "failed": 1},
    steps={"ready": 4, "leased": 3, "succeeded": 22},
    agents={"alive": 2, "lost": 1},
    loops=[
        op.LoopView(name="lease_reaper", last_run_ago_s=0.44, duration_s=0.0012, passes=12_345),
        op.LoopView(name="trigger_clock", last_run_ago_s=-1, last_error="the disk is full: make room below state_dir"),
    ],
)
WHY = op.WhyResponse(
    steps=[
        op.StepHolds(
            step_id="step_2",
            name="planes-to-exports/load",
            state="ready",
            holds=[
                op.Hold(
                    code="no_agent",
                    message="no agent with the labels zone=eu reaches the datastore exports",
                    lifted_by="an agent with zone=eu whose policy allows exports",
                ),
                op.Hold(code="retry_backoff", message="attempt 2 failed", lifted_by="waiting", lifts_in_s=42),
            ],
        ),
        op.StepHolds(step_id="step_3", name="planes-to-exports/validate", state="leased"),
    ]
)
FOUND = [
    op.Finding(
        path="manifests/flights.yaml",
        line=12,
        column=7,
        field="spec.steps[1].needs",
        message='there is no step "extrct"',
        hint='did you mean "extract"?',
    ),
    op.Finding(path="manifests/weather.yaml", line=3, message="the YAML is broken: a bracket is not closed"),
]
EVENT = op.WatchEventsResponse(
    position=219,
    at=1_769_860_800.25,
    type="AttemptFailed",
    subject="step_2",
    data_json='{"migration_id": "mig_100000029", "attempt_id": "att_2_1", "agent_id": "ag_2",'
    f' "fence": {(9 << 32) + 6}, "detail": "wrong_password: {FAILURE.message}"}}',
    names={
        "mig_100000029": "planes-to-exports",
        "step_2": "planes-to-exports/load",
        "att_2_1": "planes-to-exports/load#1",
        "ag_2": "bravo",
    },
)


def watched(look: Look) -> RenderableType:
    pace = RateEstimate()
    pace.see("load", 0, 0.0)
    pace.see("load", 13_000, 1.0)
    overall = RateEstimate()
    overall.see("15", 2.0, 0.0)
    overall.see("15", 2.6, 10.0)
    return render_watch.live_page([*ALL, *IDLE], {WEATHER.migration_id: pace}, look, height=24, overall=overall)


PAGES: dict[str, Callable[[Look], RenderableType]] = {
    "migration-list": lambda look: render_migrations.migration_table(ALL, look),
    "migration-list-failed": lambda look: render_migrations.migration_table([PLANES, PLANES], look),
    "migration-list-by-reason": lambda look: render_migrations.reason_table(render_migrations.by_reason([PLANES] * 5)),
    "migration-get": lambda look: render_migrations.migration_page(PAGE, look),
    "migration-watch": watched,
    "agent-list": lambda look: render_agents.agent_table(AGENTS, look),
    "status": lambda look: render_status.status_page(STATUS, "control.example.org:7422"),
    "why": lambda look: render_why.holds(WHY),
    "validate": lambda look: render_manifests.findings(FOUND),
    "events": lambda look: render_events.event_line(EVENT, look),
}


@pytest.mark.parametrize("width", [80, 140])
@pytest.mark.parametrize("name", PAGES)
def test_the_screen_is_the_one_that_was_looked_at(name: str, width: int) -> None:
    look = Look(terminal=True, colour=False, width=width)
    text = draw(PAGES[name](look), look)
    golden = SCREENS / f"{name}-{width}.txt"
    if WRITE:
        golden.write_text(text)
    assert text == golden.read_text()
    assert max(len(line) for line in text.splitlines()) <= width
