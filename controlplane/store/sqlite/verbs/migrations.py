"""Migrations on SQLite."""

import json
from collections.abc import Mapping, Sequence

from controlplane.core.model import Migration
from controlplane.store.rows.migrations import migration_of, summary_of
from controlplane.store.sqlite.statements import Statements
from controlplane.store.verbs.migrations import MigrationSummary, ReplannedStep, Selectable

_SHOWN_RESULTS = '["extract", "validate"]'


class SqliteMigrationVerbs(Statements):
    """See ``store.verbs.migrations``."""

    def insert_migration(self, migration: Migration) -> None:
        self.run("insert_migration", *migration)

    def migration(self, migration_id: str) -> Migration | None:
        row = self.maybe("migration", migration_id)
        return migration_of(row) if row else None

    def migration_by_name(self, name: str) -> Migration | None:
        row = self.maybe("migration_by_name", name)
        return migration_of(row) if row else None

    def iterations_of(self, name: str) -> list[Migration]:
        return [migration_of(row) for row in self.all("iterations_of", name)]

    def newest_iterations(self) -> dict[str, Migration]:
        return {migration.name: migration for migration in map(migration_of, self.all("newest_iterations"))}

    def migrations_at(self, place: str) -> list[Migration]:
        return [migration_of(row) for row in self.all("migrations_at", place)]

    def asking_at(self, place: str) -> list[Migration]:
        return [migration_of(row) for row in self.all("asking_at", place)]

    def published_fence(self, migration: Migration) -> int:
        return int(self.value("published_fence", migration.id, migration.place) or 0)

    def movable_migration_ids(self) -> list[str]:
        return self.column("movable_migration_ids")

    def migration_ids(self) -> list[str]:
        return self.column("migration_ids")

    def selectable(self) -> list[Selectable]:
        return [
            Selectable(name, migration_id, state, json.loads(labels), owner)
            for name, migration_id, state, labels, owner in self.all("selectable")
        ]

    def basis(self, migration_id: str) -> dict[str, int]:
        row = self.maybe("basis", migration_id)
        if row is None:
            return {}
        (generations,) = row
        basis: dict[str, int] = json.loads(generations)
        return basis

    def put_basis(self, migration_id: str, generations: Mapping[str, int]) -> None:
        self.run("put_basis", migration_id, json.dumps(generations, sort_keys=True))

    def replan(self, migration_id: str, source: str, steps: Sequence[ReplannedStep]) -> None:
        self.guarded("replan_source", [(source, migration_id)])
        self.guarded("replan_step", [(step.placement_class, step.step_id) for step in steps])
        self.guarded("replan_body", [(step.template, step.params, step.step_id) for step in steps])

    def discards_changes(self, migration_id: str) -> bool:
        return bool(self.value("discards_changes", migration_id))

    def discard_changes(self, migration_id: str) -> None:
        self.run("discard_changes", migration_id)

    def summaries(
        self, states: Sequence[str], after: str, limit: int, *, every_iteration: bool = False
    ) -> list[MigrationSummary]:
        wanted = json.dumps(list(states), separators=(",", ":"))
        return self._with_results(self.mappings("summaries", after, "", "", wanted, wanted, every_iteration, limit))

    def summary(self, migration_id: str) -> MigrationSummary | None:
        found = self._with_results(self.mappings("summaries", "", migration_id, migration_id, "[]", "[]", True, 1))
        return next(iter(found), None)

    def _with_results(self, rows: Sequence[Mapping[str, object]]) -> list[MigrationSummary]:
        ids = json.dumps([row["id"] for row in rows])
        results: dict[object, dict[str, bytes]] = {}
        for migration_id, kind, result in self.all("results_of_kind", ids, _SHOWN_RESULTS):
            results.setdefault(migration_id, {})[kind] = result
        return [summary_of(row, results.get(row["id"], {})) for row in rows]
