"""Names and messages come from manifests, hosts and databases: whatever they hold, it is shown and never obeyed."""

import json
import re

import pytest
from haulier.v1 import operator_pb2 as op
from rich.console import RenderableType

from controlplane.cli.agents import tables as render_agents
from controlplane.cli.events import tables as render_events
from controlplane.cli.health import status as render_status
from controlplane.cli.inventory import tables as render_manifests
from controlplane.cli.migrations import tables as render_migrations
from controlplane.cli.migrations import watch_screen as render_watch
from controlplane.cli.migrations import why as render_why
from controlplane.cli.screen.terminal import Look, draw
from tests.unit.controlplane.cli.test_rendering import PIPE, migration

HOSTILE = "evil\x1b[31m\n[red]name[/red] :boom: \u202e"
SAFE = "evil\\x1b[31m\\x0a[red]name[/red] :boom: \\u202e"


EVERYTHING_HOSTILE: list[RenderableType] = [
    render_migrations.migration_table([migration(name=HOSTILE, state=HOSTILE, current_step=HOSTILE)], PIPE),
    render_migrations.migration_page(
        op.GetMigrationResponse(
            migration=migration(name=HOSTILE, reason=HOSTILE, dataset=HOSTILE, workflow=HOSTILE, source=HOSTILE),
            steps=[
                op.StepView(
                    name=HOSTILE,
                    state=HOSTILE,
                    reason=HOSTILE,
                    hint=HOSTILE,
                    needs=[HOSTILE],
                    attempts=[op.AttemptView(agent=HOSTILE, state=HOSTILE, stage=HOSTILE, attempt_id=HOSTILE)],
                    result_json=json.dumps(
                        {
                            "checks": [{"name": HOSTILE, "expected": HOSTILE, "found": HOSTILE}],
                            "source_digest": HOSTILE,
                            "differences": [{"kind": HOSTILE, "key_json": HOSTILE, "columns_json": HOSTILE}],
                        }
                    ),
                )
            ],
        ),
        PIPE,
    ),
    render_watch.live_page(
        [migration(name=HOSTILE, state=HOSTILE, stage=HOSTILE)], {}, PIPE, height=24, trouble=HOSTILE
    ),
    render_manifests.findings([op.Finding(path=HOSTILE, field=HOSTILE, message=HOSTILE, hint=HOSTILE)]),
    render_manifests.outcomes(
        [op.ManifestOutcome(kind=HOSTILE, name=HOSTILE, change=op.MANIFEST_CHANGE_CREATED)],
        files=1,
        would=False,
        look=PIPE,
    ),
    render_manifests.manifest_table(
        op.ListManifestsResponse(
            manifests=[op.ManifestSummary(name=HOSTILE, spec_json=json.dumps({"owner": HOSTILE}))]
        ),
        "Dataset",
        PIPE,
    ),
    render_why.holds(
        op.WhyResponse(
            steps=[
                op.StepHolds(
                    name=HOSTILE,
                    state=HOSTILE,
                    step_id=HOSTILE,
                    holds=[op.Hold(code=HOSTILE, message=HOSTILE, lifted_by=HOSTILE)],
                )
            ]
        )
    ),
    render_agents.agent_table(
        op.ListAgentsResponse(
            agents=[
                op.AgentView(name=HOSTILE, state=HOSTILE, liveness=HOSTILE, labels={HOSTILE: HOSTILE}, kinds=[HOSTILE])
            ]
        ),
        PIPE,
    ),
    render_status.status_page(
        op.GetStatusResponse(
            version=HOSTILE, steps={HOSTILE: 1}, loops=[op.LoopView(name=HOSTILE, last_error=HOSTILE)]
        ),
        HOSTILE,
    ),
    render_events.event_line(op.WatchEventsResponse(type=HOSTILE, subject=HOSTILE, data_json=HOSTILE), PIPE),
]


@pytest.mark.parametrize("page", EVERYTHING_HOSTILE)
def test_foreign_text_is_shown_and_never_obeyed(page: RenderableType) -> None:
    text = draw(page, PIPE)
    assert "evil\\x1b[31m" in text
    assert "[red]name[/red] :boom:" in text
    assert not any(character in text for character in "\x1b\u202e\r\x07")
    coloured = draw(page, Look(terminal=True, colour=True, width=10_000))
    # Only our own colours are left: the sequences that rich writes, never a foreign one.
    assert "\x1b[31m\\x0a" not in coloured
    assert SAFE.split("\\x0a", maxsplit=1)[0] in re.sub(r"\x1b\[[0-9;]*m", "", coloured)
