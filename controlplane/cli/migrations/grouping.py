"""`haulier migration list`: which states it takes, and what it groups by."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from controlplane.cli.screen.states import MIGRATION_STATES
from controlplane.cli.screen.terminal import OutputFormat, show, show_json

if TYPE_CHECKING:
    from haulier.v1 import operator_pb2 as op


class Grouping(StrEnum):
    """What `--by` takes."""

    REASON = "reason"


def show_reasons(migrations: Sequence[op.MigrationSummary], output: OutputFormat) -> None:
    """Print migrations grouped by the reason for their state."""
    from controlplane.cli.migrations.tables import by_reason, reason_table

    groups = by_reason(migrations)
    if output is OutputFormat.json:
        show_json({"groups": [{**group._asdict(), "count": len(group.names)} for group in groups]})
    else:
        show(reason_table(groups), output)


def meant(state: str) -> str:
    """The hint for a word that is not a state of a migration."""
    from controlplane.manifests.text.findings import near_miss

    near = near_miss(state.replace("-", "_"), MIGRATION_STATES)
    known = ", ".join(MIGRATION_STATES)
    return f"did you mean {near}? Known are {known}" if near else f"one of {known}"
