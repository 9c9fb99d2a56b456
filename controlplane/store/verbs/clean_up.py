"""What ended migrations leave behind, and when it goes."""

from collections.abc import Collection
from typing import NamedTuple, Protocol

from controlplane.core.migrations.clean_up import Kept
from controlplane.core.states import MigrationState


class Leftovers(NamedTuple):
    """What migrations that succeeded keep, and when the next of it goes (control plane's clock)."""

    staged: int  # migrations whose staged parts are still there
    staged_next_at: float | None
    former: int  # migrations whose former content is still kept, where there was any
    former_next_at: float | None
    failed: list[str]  # names of migrations with a clean-up that failed


class CleanUpVerbs(Protocol):
    """How long leftovers are kept. ``default`` holds the terms of those without their own, ``limit_s`` the longest."""

    def kept(self, migration_id: str) -> Kept | None:
        """Return how long the leftovers of a migration are kept; None where none of them is known."""
        ...

    def put_kept(self, kept: Kept) -> None:
        """Keep the terms of a migration, in the place of those before."""
        ...

    def clean_ups_due(
        self, states: Collection[MigrationState], default: Kept, limit_s: float, now: float, limit: int
    ) -> list[str]:
        """Return at most ``limit`` migrations in these states whose leftovers are due, the longest ended first."""
        ...

    def uncleaned_migrations(self, states: Collection[MigrationState]) -> list[str]:
        """Return migrations in these states that may have left something, or whose clean-up failed, in order of id."""
        ...

    def leftovers(self, default: Kept, limit_s: float, names_max: int) -> Leftovers:
        """Return what is kept of migrations that succeeded, and the first ``names_max`` failed clean-ups by name."""
        ...
