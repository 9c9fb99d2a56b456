"""Planted in the life of migrations: what is put back, and what is superseded."""

from tests.sim.planting import Change, Planted

PLACES = "controlplane.service.steps.destinations"

PLANTED = (
    Planted(
        "refuted-beside-a-failure-left-live",
        "Where another step has failed too, a person looks at it anyway, so nothing is put back by itself.",
        ("D9",),
        (
            Change(
                "controlplane.core.migrations.workflow_planning",
                "if can_put_back(steps):",
                "if can_put_back(steps) and [step.state for step in steps].count(StepState.FAILED) == 1:",
            ),
        ),
    ),
    Planted(
        "superseded-without-having-published",
        "Whoever publishes at a destination supersedes all that failed on their way there.",
        ("S7",),
        (
            Change(
                PLACES,
                "        above = published_over(tx, other) if other.id != migration.id else None\n",
                "        above = migration if other.id != migration.id else None\n",
            ),
        ),
    ),
)
