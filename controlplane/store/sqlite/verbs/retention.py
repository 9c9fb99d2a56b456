"""Old history on SQLite."""

from controlplane.store.sqlite.statements import Statements


class SqliteRetentionVerbs(Statements):
    """See ``store.verbs.retention``."""

    def expired_migrations(self, ended_before: float, limit: int) -> list[str]:
        return self.column("expired_migrations", ended_before, limit)

    def is_compacted(self, migration_id: str) -> bool:
        return self.maybe("is_compacted", migration_id) is not None

    def compact_migration(self, migration_id: str, now: float) -> None:
        self.run("mark_compacted", migration_id, now)
        for name in ("drop_attempts", "drop_needs", "drop_params"):
            self.run(name, migration_id)

    def archived_position(self) -> int:
        return int(self.value("archived_position"))

    def first_kept_position(self, since: float) -> int:
        return int(self.value("first_kept_position", since))

    def mark_archived(self, up_to: int) -> None:
        self.run("set_meta", str(up_to), "archived_position")

    def drop_archived(self, limit: int) -> int:
        return self.run("drop_archived", self.archived_position(), limit)

    def newest_archiving(self) -> str:
        return next(iter(self.column("newest_archiving")), "")

    def show_values(self, step_id: str, until: float) -> None:
        self.run("show_values", step_id, until)

    def values_due(self, now: float, limit: int) -> list[str]:
        return self.column("values_due", now, limit)

    def withhold_values(self, step_id: str, result: bytes) -> None:
        # Also the file keeps no copy in its free pages.
        self.value("overwrite_freed")
        self.run("keep_result", result, step_id)
        self.run("forget_values", step_id)
        self.value("leave_freed")
