"""The part of a transaction that lets old history go."""

from controlplane.store.sqlite.tx_records import RecordsTx


class RetentionTx(RecordsTx):
    """Verbs for compacting migrations, bounding answers and archiving events."""

    def expired_migrations(self, ended_before: float, limit: int) -> list[str]:
        """Return migrations that ended for good before an instant and were not compacted, oldest first."""
        return [row[0] for row in self.all("expired_migrations", ended_before, limit)]

    def is_compacted(self, migration_id: str) -> bool:
        """Tell whether the attempts and parameters of a migration are gone."""
        return self.maybe("is_compacted", migration_id) is not None

    def compact_migration(self, migration_id: str, now: float) -> None:
        """Forget the attempts and parameters of a migration; its steps and what they proved stay."""
        self.run("mark_compacted", migration_id, now)
        for name in ("drop_attempts", "drop_needs", "drop_params"):
            self.run(name, migration_id)

    def drop_requests(self, before: float, limit: int) -> int:
        """Forget answers to requests made before an instant; return how many went."""
        return self.run("drop_requests", before, limit)

    def archived_position(self) -> int:
        """Return up to where events are in archive files, 0 where none are."""
        return int(self.one("archived_position")[0])

    def first_kept_position(self, since: float) -> int:
        """Return the first position that must stay: a younger event, or one of a migration that was not compacted."""
        return int(self.one("first_kept_position", since)[0])

    def mark_archived(self, up_to: int) -> None:
        """Remember that events up to a position are in archive files: from now on their rows may go."""
        self.run("set_meta", str(up_to), "archived_position")

    def drop_archived(self, limit: int) -> int:
        """Delete the oldest rows of archived events; return how many went."""
        return self.run("drop_archived", self.archived_position(), limit)

    def newest_archiving(self) -> str:
        """Return what the log itself says of the newest archive; empty where there is none."""
        row = self.maybe("newest_archiving")
        return str(row[0]) if row else ""

    def show_values(self, step_id: str, until: float) -> None:
        """Remember that the result of a step holds values of rows, and until when they may be kept."""
        self.run("show_values", step_id, until)

    def values_due(self, now: float, limit: int) -> list[str]:
        """Return steps whose values of rows are to go."""
        return [row[0] for row in self.all("values_due", now, limit)]

    def withhold_values(self, step_id: str, result: bytes) -> None:
        """Put a result without values in the place of one with them; the file keeps no copy in its free pages."""
        self.one("overwrite_freed")
        self.run("keep_result", result, step_id)
        self.run("forget_values", step_id)
        self.one("leave_freed")
