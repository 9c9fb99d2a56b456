"""How old history goes: compacted migrations, archived events, values of rows that were shown."""

from typing import Protocol


class RetentionVerbs(Protocol):
    """What may go, and its going."""

    def expired_migrations(self, ended_before: float, limit: int) -> list[str]:
        """Return at most ``limit`` migrations that may be compacted, the longest ended first.

        They ended for good before an instant, were cleaned up, have no open step, and were not compacted.
        """
        ...

    def is_compacted(self, migration_id: str) -> bool:
        """Tell whether the attempts and parameters of a migration are gone."""
        ...

    def compact_migration(self, migration_id: str, now: float) -> None:
        """Forget the attempts, edges and parameters of a migration, once; its steps and what they proved stay."""
        ...

    def archived_position(self) -> int:
        """Return up to where events are in archive files, 0 where none are."""
        ...

    def first_kept_position(self, since: float) -> int:
        """Return the first position that must stay: a younger event, or one of a migration that was not compacted."""
        ...

    def mark_archived(self, up_to: int) -> None:
        """Remember that events up to a position are in archive files: only from now on may they go."""
        ...

    def drop_archived(self, limit: int) -> int:
        """Delete at most ``limit`` archived events, the oldest first; return how many went."""
        ...

    def newest_archiving(self) -> str:
        """Return what the log itself says of the newest archive; empty where there is none."""
        ...

    def show_values(self, step_id: str, until: float) -> None:
        """Remember that the result of a step holds values of rows, and until when they may be kept."""
        ...

    def values_due(self, now: float, limit: int) -> list[str]:
        """Return at most ``limit`` steps whose values of rows are to go, the longest due first."""
        ...

    def withhold_values(self, step_id: str, result: bytes) -> None:
        """Put a result without values in the place of one with them; no copy of it stays behind."""
        ...
