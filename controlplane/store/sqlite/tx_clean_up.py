"""The part of a transaction that knows what ended migrations leave behind."""

import json
from collections.abc import Collection

from controlplane.core.migrations.clean_up import Kept
from controlplane.core.states import MigrationState
from controlplane.store.port import Leftovers
from controlplane.store.sqlite.tx_records import RecordsTx


class CleanUpTx(RecordsTx):
    """Verbs for leftovers."""

    def kept(self, migration_id: str) -> Kept | None:
        """Return how long the leftovers of a migration are kept; None where all of them went with its history."""
        row = self.maybe("kept", migration_id)
        return Kept(*row) if row else None

    def put_kept(self, kept: Kept) -> None:
        """Keep it, new or changed."""
        self.run("put_kept", *kept)

    def clean_ups_due(
        self, states: Collection[MigrationState], default: Kept, limit_s: float, now: float, limit: int
    ) -> list[str]:
        """Return migrations in these states whose leftovers were kept long enough, longest ended first."""
        staged, former = (default.staged_s, limit_s, now), (default.former_s, limit_s, now)
        return [row[0] for row in self.all("clean_ups_due", json.dumps(list(states)), *staged, *former, limit)]

    def uncleaned_migrations(self, states: Collection[MigrationState]) -> list[str]:
        """Return migrations in these states that may have left something behind, or whose clean-up failed."""
        return [row[0] for row in self.all("uncleaned_migrations", json.dumps(list(states)))]

    def leftovers(self, default: Kept, limit_s: float, names_max: int) -> Leftovers:
        """Return how much is kept of migrations that succeeded, and which clean-ups failed."""
        staged, staged_at, former, former_at = self.one(
            "leftovers", default.staged_s, limit_s, default.former_s, limit_s
        )
        failed = [row[0] for row in self.all("failed_clean_ups", names_max)]
        return Leftovers(staged, staged_at, former, former_at, failed)
