"""Leftovers of ended migrations on SQLite."""

import json
from collections.abc import Collection

from controlplane.core.migrations.clean_up import Kept
from controlplane.core.states import MigrationState
from controlplane.store.sqlite.statements import Statements
from controlplane.store.verbs.clean_up import Leftovers


class SqliteCleanUpVerbs(Statements):
    """See ``store.verbs.clean_up``."""

    def kept(self, migration_id: str) -> Kept | None:
        row = self.maybe("kept", migration_id)
        return Kept._make(row) if row else None

    def put_kept(self, kept: Kept) -> None:
        self.run("put_kept", *kept)

    def clean_ups_due(
        self, states: Collection[MigrationState], default: Kept, limit_s: float, now: float, limit: int
    ) -> list[str]:
        staged, former = (default.staged_s, limit_s, now), (default.former_s, limit_s, now)
        return self.column("clean_ups_due", json.dumps(list(states)), *staged, *former, limit)

    def uncleaned_migrations(self, states: Collection[MigrationState]) -> list[str]:
        return self.column("uncleaned_migrations", json.dumps(list(states)))

    def leftovers(self, default: Kept, limit_s: float, names_max: int) -> Leftovers:
        staged, staged_at, former, former_at = self.maybe(
            "leftovers", default.staged_s, limit_s, default.former_s, limit_s
        )
        return Leftovers(staged, staged_at, former, former_at, self.column("failed_clean_ups", names_max))
