"""Migrations as rows."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.core.changes import MoveMigration
from controlplane.core.model import Migration
from controlplane.core.states import MigrationState
from controlplane.store.verbs.migrations import MigrationSummary, Progress

MIGRATION_COLUMNS = Migration._fields

_AT_STATE = MIGRATION_COLUMNS.index("state")


def migration_of(row: Sequence[Any]) -> Migration:
    """Build a migration from ``MIGRATION_COLUMNS``."""
    values = list(row)
    values[_AT_STATE] = MigrationState(values[_AT_STATE])
    return Migration._make(values)


def migration_move_row(move: MoveMigration) -> tuple[Any, ...]:
    """Lay out the guarded move of a migration."""
    return (move.to_state, move.reason, move.ended_at, move.migration_id, move.from_state)


def summary_of(columns: Mapping[str, Any], results: Mapping[str, bytes]) -> MigrationSummary:
    """Build a summary from columns with its names; ``labels`` and ``progress`` are JSON, what is unknown is NULL."""
    progress = columns["progress"]
    return MigrationSummary(
        **{
            **columns,
            "state": MigrationState(columns["state"]),
            "reason_code": columns["reason_code"] or "",
            "labels": json.loads(columns["labels"] or "{}"),
            "owner": columns["owner"] or "",
            "current_step": columns["current_step"] or "",
            "progress": Progress(*json.loads(progress)) if progress else None,
            "results": results,
        }
    )
