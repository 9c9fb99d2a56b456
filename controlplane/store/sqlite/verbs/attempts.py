"""Attempts and leases on SQLite."""

import json
from collections.abc import Iterator, Mapping, Sequence

from controlplane.core.model import Attempt
from controlplane.store.rows.attempts import ATTEMPT_COLUMNS, attempt_of, flush_rows, report_of
from controlplane.store.rows.steps import step_of
from controlplane.store.sqlite.statements import Statements
from controlplane.store.verbs.attempts import AttemptedStep, AttemptReport, Flush, Heard, LiveRow

_WIDTH = len(ATTEMPT_COLUMNS)


class SqliteAttemptVerbs(Statements):
    """See ``store.verbs.attempts``."""

    def attempts(self, attempt_ids: Sequence[str]) -> dict[str, Attempt]:
        return {attempt.id: attempt for attempt in map(attempt_of, self.all("attempts_in", json.dumps(attempt_ids)))}

    def attempts_with_steps(self, attempt_ids: Sequence[str]) -> dict[str, AttemptedStep]:
        found = {}
        for row in self.all("attempts_with_steps", json.dumps(attempt_ids)):
            attempt = attempt_of(row[:_WIDTH])
            found[attempt.id] = AttemptedStep(attempt, step_of(row[_WIDTH:]))
        return found

    def attempts_of_migration(self, migration_id: str) -> list[Attempt]:
        return [attempt_of(row) for row in self.all("attempts_of_migration", migration_id)]

    def attempt_reports(self, migration_id: str) -> list[AttemptReport]:
        return [report_of(row) for row in self.all("attempt_reports", migration_id)]

    def all_attempts(self) -> Iterator[Attempt]:
        return (attempt_of(row) for row in self.connection.execute(self.sql["all_attempts"]))

    def live_count(self, agent_id: str) -> int:
        return int(self.value("live_count", agent_id))

    def live_counts(self) -> dict[str, int]:
        return dict(self.all("live_counts"))

    def live_classes(self) -> list[str]:
        return self.column("live_classes")

    def live_rows(self) -> list[LiveRow]:
        return [
            LiveRow(attempt_of(attempt), moved_at, watermark, start_to_finish_s, progress_s)
            for *attempt, moved_at, watermark, start_to_finish_s, progress_s in self.all("live_rows")
        ]

    def live_of_agent(self, agent_id: str) -> list[Attempt]:
        return [attempt_of(row) for row in self.all("live_of_agent", agent_id)]

    def live_of_migration(self, migration_id: str) -> dict[str, Attempt]:
        return {each.step_id: each for each in map(attempt_of, self.all("live_of_migration", migration_id))}

    def live_on_target(self, target: str) -> Attempt | None:
        row = self.maybe("live_on_target", target)
        return attempt_of(row) if row else None

    def fences(self) -> dict[str, int]:
        return dict(self.all("fences"))

    def unseen_end(self, target: str) -> float | None:
        ended_at: float | None = self.value("unseen_end", target)
        return ended_at

    def unconfirmed(self, target: str, limit: int) -> list[str]:
        return self.column("unconfirmed", target, limit)

    def flush(self, rows: Sequence[Flush], heard: Mapping[str, Heard]) -> None:
        self.run_many("flush_attempt", flush_rows(rows))
        self.run_many("heard", [(at, sample, agent_id) for agent_id, (at, sample) in heard.items()])

    def adopt(self, attempt_id: str, incarnation: int) -> None:
        self.run("adopt_attempt", incarnation, attempt_id, incarnation)

    def extend_all(self, expires_at: float) -> None:
        self.run("extend_all", expires_at)
