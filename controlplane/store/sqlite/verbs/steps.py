"""Steps on SQLite: the queue, and the guarded writes of a decision."""

import json
from collections.abc import Sequence

from controlplane.core.changes import Changes
from controlplane.core.model import Candidate, Migration, Requirements, Step, StepPlan
from controlplane.core.states import MIGRATION_MOVING, Direction
from controlplane.core.steps.admission import Full, UnderWay
from controlplane.core.steps.placement import from_text, to_text
from controlplane.store.port import Conflict
from controlplane.store.rows.attempts import end_row, grant_rows
from controlplane.store.rows.migrations import migration_move_row
from controlplane.store.rows.steps import candidate_of, step_move_row, step_of, step_row
from controlplane.store.sqlite import library
from controlplane.store.sqlite.verbs.events import SqliteEventVerbs
from controlplane.store.verbs.steps import Backlog, Body


class SqliteStepVerbs(SqliteEventVerbs):
    """See ``store.verbs.steps``."""

    def apply(self, changes: Changes) -> None:
        if changes.ends:
            self.guarded("end_attempt", [end_row(end) for end in changes.ends])
        if changes.step_moves:
            self.guarded("move_step", [step_move_row(move) for move in changes.step_moves])
        if changes.results:
            self.guarded("keep_result", [(r.result, r.step_id) for r in changes.results])
        if changes.migration_moves:
            self.guarded("move_migration", [migration_move_row(move) for move in changes.migration_moves])
            arrived = [(m.migration_id,) for m in changes.migration_moves if m.to_state not in MIGRATION_MOVING]
            self.run_many("arrive", arrived)
        if changes.grants:
            grants = changes.grants
            self.guarded("raise_fence", [(g.attempt.target, g.attempt.fence) for g in grants])
            self.guarded("lease_step", [(g.attempt.step_id, g.queue_step_state, g.attempt.number - 1) for g in grants])
            try:
                self.guarded("insert_attempt", grant_rows(grants))
            except library.IntegrityError as error:
                raise Conflict(f"a lease on this step or target is alive: {error}") from None
            setting_out = {g.attempt.migration_id for g in grants if g.attempt.direction is Direction.FORWARD}
            self.run_many("set_out", [(migration_id,) for migration_id in setting_out])
        self.record(changes.events)

    def insert_steps(
        self,
        migration: Migration,
        ids: Sequence[str],
        plans: Sequence[StepPlan],
        classes: Sequence[str],
        first: int = 0,
    ) -> None:
        planned = list(zip(ids, plans, classes, strict=True))
        by_name = {plan.name: step_id for step_id, plan, _ in planned}
        self.run_many(
            "insert_step",
            [
                step_row(migration, step_id, ordinal, plan, placement)
                for ordinal, (step_id, plan, placement) in enumerate(planned, first)
            ],
        )
        self.run_many("insert_body", [(step_id, plan.template, plan.params) for step_id, plan, _ in planned])
        self.run_many("insert_need", [(by_name[need], step_id) for step_id, plan, _ in planned for need in plan.needs])

    def steps_of(self, migration_id: str) -> list[Step]:
        return [step_of(row) for row in self.all("steps_of", migration_id)]

    def steps(self, step_ids: Sequence[str]) -> dict[str, Step]:
        return {step.id: step for step in map(step_of, self.all("steps_in", json.dumps(step_ids)))}

    def step_named(self, migration_id: str, name: str) -> Step | None:
        row = self.maybe("step_named", migration_id, name)
        return step_of(row) if row else None

    def needs_of(self, migration_id: str) -> dict[str, list[str]]:
        needs: dict[str, list[str]] = {}
        for step_id, needs_id in self.all("needs_of", migration_id):
            needs.setdefault(step_id, []).append(needs_id)
        return needs

    def body(self, step_id: str) -> Body | None:
        row = self.maybe("body", step_id)
        return Body._make(row) if row else None

    def bodies(self, step_ids: Sequence[str]) -> dict[str, Body]:
        rows = self.all("bodies_in", json.dumps(step_ids))
        return {step_id: Body(template, params, result) for step_id, template, params, result in rows}

    def set_params(self, step_id: str, params: bytes) -> None:
        self.guarded("set_params", [(params, step_id)])

    def forget_results(self, step_ids: Sequence[str]) -> None:
        self.run("forget_results", json.dumps(step_ids))

    def moved_on_by(self, step_ids: Sequence[str]) -> list[str]:
        return self.column("moved_on_by", json.dumps(step_ids)) if step_ids else []

    def overdue_steps(self, now: float, limit: int) -> list[Step]:
        return [step_of(row) for row in self.all("overdue_steps", now, limit)]

    def wait_on(self, step_id: str, deadline_at: float) -> None:
        self.guarded("wait_on", [(deadline_at, step_id)])

    def candidates(self, placement_class: str, now: float, unseen_until: float, limit: int) -> list[Candidate]:
        return [candidate_of(row) for row in self.all("candidates", placement_class, now, unseen_until, limit)]

    def candidates_within(
        self, placement_class: str, now: float, unseen_until: float, full: Full, limit: int
    ) -> list[Candidate]:
        names = json.dumps(sorted(full.datastores))
        rows = self.all("candidates_within", placement_class, now, unseen_until, full.in_all, names, limit)
        return [candidate_of(row) for row in rows]

    def under_way(self) -> list[UnderWay]:
        return [UnderWay._make(row) for row in self.all("under_way")]

    def ready_count(self, placement_class: str, now: float, limit: int) -> int:
        return int(self.value("ready_count", placement_class, now, limit))

    def backlog(self) -> list[Backlog]:
        return [
            Backlog(name, from_text(requirements), ready, running, oldest_ready_at)
            for name, requirements, ready, running, oldest_ready_at in self.all("backlog")
        ]

    def classes(self) -> dict[str, Requirements]:
        return {name: from_text(requirements) for name, requirements in self.all("classes")}

    def put_class(self, name: str, requirements: Requirements) -> None:
        self.run("put_class", name, to_text(requirements))
