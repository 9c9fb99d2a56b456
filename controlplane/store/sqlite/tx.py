"""One transaction on SQLite: the verbs of ``store.port.Tx`` over the named queries.

Fleet, manifests and tokens are in ``tx_records``, identities in ``tx_access``, the audit log's tree in ``tx_audit``;
here are leases, migrations and the guarded writes.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from controlplane.core.changes import Changes
from controlplane.core.events import Event
from controlplane.core.model import Attempt, Candidate, Migration, Step, StepPlan
from controlplane.core.states import MIGRATION_MOVING, Direction
from controlplane.core.steps.admission import Full, UnderWay
from controlplane.store.port import Body, Conflict, Flush, LiveRow, Selectable
from controlplane.store.rows import (
    ATTEMPT_WIDTH,
    attempt_of,
    end_row,
    grant_rows,
    migration_move_row,
    migration_of,
    step_move_row,
    step_of,
    step_row,
)
from controlplane.store.sqlite import library
from controlplane.store.sqlite.tx_access import AccessTx
from controlplane.store.sqlite.tx_audit import AuditTx
from controlplane.store.sqlite.tx_clean_up import CleanUpTx
from controlplane.store.sqlite.tx_retention import RetentionTx
from controlplane.store.sqlite.tx_rollouts import RolloutsTx

_ID_BLOCK = 32  # an id is store generation · counter, so ids given after a restored backup are new


class SqliteTx(AccessTx, AuditTx, CleanUpTx, RolloutsTx, RetentionTx):
    """See ``store.port.Tx``; one object serves one connection for its whole life."""

    def generation(self) -> int:
        """Return the store generation, the high 32 bits of every fence."""
        # It changes only through begin_generation, which nobody calls under a running control plane.
        if self._generation is None:
            self._generation = int(self.one("meta", "generation")[0])
        return self._generation

    def begin_generation(self, generation: int) -> None:
        """Move the store to a generation, never back: every fence and id from now on is above all earlier ones."""
        if generation > self.generation():
            self.run("set_meta", str(generation), "generation")
            self._generation = None

    def next_ids(self, prefix: str, count: int) -> list[str]:
        """Return ``count`` new ids with ``prefix`` ("mig_"); they never repeat, also after a restore."""
        first = int(self.one("meta", "next_id")[0])
        self.run("set_meta", str(first + count), "next_id")
        base = self.generation() << _ID_BLOCK
        return [f"{prefix}{base + first + i:x}" for i in range(count)]

    def apply(self, changes: Changes) -> None:
        """Write all changes; raise ``Conflict`` when a guard finds another state than the decision saw."""
        if changes.ends:
            self.guarded("end_attempt", [end_row(end) for end in changes.ends])
        if changes.step_moves:
            self.guarded("move_step", [step_move_row(move) for move in changes.step_moves])
        if changes.results:
            self.guarded("keep_result", [(r.result, r.step_id) for r in changes.results])
        if changes.migration_moves:
            self.guarded("move_migration", [migration_move_row(move) for move in changes.migration_moves])
            arrived = [(m.migration_id,) for m in changes.migration_moves if m.to_state not in MIGRATION_MOVING]
            self.connection.executemany(self.sql["arrive"], arrived)
        if changes.grants:
            grants = changes.grants
            self.guarded("raise_fence", [(g.attempt.target, g.attempt.fence) for g in grants])
            self.guarded("lease_step", [(g.attempt.step_id, g.queue_step_state, g.attempt.number - 1) for g in grants])
            try:
                self.guarded("insert_attempt", grant_rows(grants))
            except library.IntegrityError as error:
                raise Conflict(f"a lease on this step or target is alive: {error}") from None
            setting_out = {g.attempt.migration_id for g in grants if g.attempt.direction is Direction.FORWARD}
            self.connection.executemany(self.sql["set_out"], [(migration_id,) for migration_id in setting_out])
        self.record(changes.events)

    def record(self, events: Iterable[Event]) -> None:
        """Append facts to the event log."""
        rows = list(events)
        if rows:
            self.connection.executemany(self.sql["insert_event"], rows)
            self.keep_recorded(rows)

    def guarded(self, name: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run a write that must change exactly one row per parameter set (promise L4)."""
        changed = self.connection.executemany(self.sql[name], rows).rowcount
        if changed != len(rows):
            raise Conflict(f"{name}: {changed} of {len(rows)} rows were still as the decision saw them")

    def insert_migration(self, migration: Migration) -> None:
        """Insert a started migration."""
        self.run("insert_migration", *migration)

    def insert_steps(
        self,
        migration: Migration,
        ids: Sequence[str],
        plans: Sequence[StepPlan],
        classes: Sequence[str],
        first: int = 0,
    ) -> None:
        """Insert planned steps of a migration, blocked, with their parameters and edges; ``first`` is the place of the
        first among the migration's steps."""
        by_name = {plan.name: step_id for step_id, plan in zip(ids, plans, strict=True)}
        self.connection.executemany(
            self.sql["insert_step"],
            [
                step_row(migration, step_id, ordinal, plan, placement)
                for ordinal, (step_id, plan, placement) in enumerate(zip(ids, plans, classes, strict=True), first)
            ],
        )
        self.connection.executemany(
            self.sql["insert_body"], [(i, p.template, p.params) for i, p in zip(ids, plans, strict=True)]
        )
        self.connection.executemany(
            self.sql["insert_need"],
            [(by_name[need], i) for i, p in zip(ids, plans, strict=True) for need in p.needs],
        )

    def migration(self, migration_id: str) -> Migration | None:
        """Return one migration."""
        row = self.maybe("migration", migration_id)
        return migration_of(row) if row else None

    def migration_by_name(self, name: str) -> Migration | None:
        """Return the newest iteration of a migration by its manifest's name."""
        row = self.maybe("migration_by_name", name)
        return migration_of(row) if row else None

    def iterations_of(self, name: str) -> list[Migration]:
        """Return all iterations of a name, oldest first."""
        return [migration_of(row) for row in self.all("iterations_of", name)]

    def newest_iterations(self) -> dict[str, Migration]:
        """Return name → newest iteration, of all migrations ever started."""
        return {row[1]: migration_of(row) for row in self.all("newest_iterations")}

    def migrations_at(self, place: str) -> list[Migration]:
        """Return every migration that publishes at a destination, oldest first."""
        return [migration_of(row) for row in self.all("migrations_at", place)]

    def asking_at(self, place: str) -> list[Migration]:
        """Return the failed and stuck migrations to a destination."""
        return [migration_of(row) for row in self.all("asking_at", place)]

    def published_fence(self, migration: Migration) -> int:
        """Return the fence under which a migration published at its destination; 0 where it did not, or is undone."""
        return int(self.one("published_fence", migration.id, migration.place)[0] or 0)

    def basis(self, migration_id: str) -> dict[str, int]:
        """Return "Kind/name" → generation of what an iteration was planned from; empty where nobody kept it."""
        row = self.maybe("basis", migration_id)
        return json.loads(row[0]) if row else {}

    def put_basis(self, migration_id: str, generations: Mapping[str, int]) -> None:
        """Keep the generations that an iteration was planned from."""
        self.run("put_basis", migration_id, json.dumps(generations, sort_keys=True))

    def forget_results(self, step_ids: Sequence[str]) -> None:
        """Forget what steps said of work that was undone since."""
        self.run("forget_results", json.dumps(step_ids))

    def replan(self, migration_id: str, source: str, steps: Sequence[tuple[str, str, str, bytes | None]]) -> None:
        """Plan steps anew: (step id, placement class, template, parameters where they are known already).

        Parameters that are not known yet stay those of before until the step is ready again: its undo needs them.
        """
        self.guarded("replan_source", [(source, migration_id)])
        self.guarded("replan_step", [(placement, step_id) for step_id, placement, _, _ in steps])
        self.guarded("replan_body", [(template, params, step_id) for step_id, _, template, params in steps])

    def selectable(self) -> list[Selectable]:
        """Return every Migration that was applied or started with what people select it by, in order of name."""
        rows = self.all("selectable")
        return [
            Selectable(name, migration_id, state, json.loads(labels), owner)
            for name, migration_id, state, labels, owner in rows
        ]

    def movable_migration_ids(self) -> list[str]:
        """Return the open migrations that a look may move on; those that only wait for a step to end are left out."""
        return [row[0] for row in self.all("movable_migration_ids")]

    def migration_ids(self) -> list[str]:
        """Return all migrations that were not compacted, in order of creation."""
        return [row[0] for row in self.all("migration_ids")]

    def steps_of(self, migration_id: str) -> list[Step]:
        """Return the steps of a migration in order."""
        return [step_of(row) for row in self.all("steps_of", migration_id)]

    def discards_changes(self, migration_id: str) -> bool:
        """Tell whether a person agreed that the undo of a migration may lose what others changed."""
        return bool(self.one("discards_changes", migration_id)[0])

    def discard_changes(self, migration_id: str) -> None:
        """Keep that a person agreed to it."""
        self.run("discard_changes", migration_id)

    def needs_of(self, migration_id: str) -> dict[str, list[str]]:
        """Return step id → ids of the steps it needs."""
        needs: dict[str, list[str]] = {}
        for step_id, needs_id in self.all("needs_of", migration_id):
            needs.setdefault(step_id, []).append(needs_id)
        return needs

    def steps(self, step_ids: Sequence[str]) -> dict[str, Step]:
        """Return steps by id."""
        return {row[0]: step_of(row) for row in self.all("steps_in", json.dumps(step_ids))}

    def step_named(self, migration_id: str, name: str) -> Step | None:
        """Return a step of a migration by its name in the workflow."""
        row = self.maybe("step_named", migration_id, name)
        return step_of(row) if row else None

    def body(self, step_id: str) -> Body | None:
        """Return the large half of a step."""
        row = self.maybe("body", step_id)
        return Body(*row) if row else None

    def bodies(self, step_ids: Sequence[str]) -> dict[str, Body]:
        """Return the large halves of steps by id."""
        return {row[0]: Body(*row[1:]) for row in self.all("bodies_in", json.dumps(step_ids))}

    def set_params(self, step_id: str, params: bytes) -> None:
        """Keep a step's parameters once their references could be resolved."""
        self.guarded("set_params", [(params, step_id)])

    def moved_on_by(self, step_ids: Sequence[str]) -> list[str]:
        """Return the migrations that the end of these steps may move on, each once.

        Left out, because nothing else can change: a forward step that nothing needs, while another step of its
        migration is yet to end. On the way back it is the other way round: a step frees those that it needed.
        """
        return [row[0] for row in self.all("moved_on_by", json.dumps(step_ids))] if step_ids else []

    def overdue_steps(self, now: float, limit: int) -> list[Step]:
        """Return ready steps whose queue deadline has passed."""
        return [step_of(row) for row in self.all("overdue_steps", now, limit)]

    def candidates(self, placement_class: str, now: float, unseen_until: float, limit: int) -> list[Candidate]:
        """Return ready steps of a class that may start now, best first.

        Where no fence is checked, a target waits whose last writer ended after ``unseen_until`` with nobody seeing it.
        """
        rows = self.all("candidates", placement_class, now, unseen_until, limit)
        return [Candidate(step_of(row), row[-1]) for row in rows]

    def candidates_within(
        self, placement_class: str, now: float, unseen_until: float, full: Full, limit: int
    ) -> list[Candidate]:
        """Return what ``candidates`` does, without those that may not begin a migration now."""
        names = json.dumps(sorted(full.datastores))
        rows = self.all("candidates_within", placement_class, now, unseen_until, full.in_all, names, limit)
        return [Candidate(step_of(row), row[-1]) for row in rows]

    def under_way(self) -> list[UnderWay]:
        """Return the migrations under way, in order of their start."""
        return [UnderWay(*row) for row in self.all("under_way")]

    def wait_on(self, step_id: str, deadline_at: float) -> None:
        """Give a ready step a new deadline by which an agent must have taken it."""
        self.guarded("wait_on", [(deadline_at, step_id)])

    def ready_count(self, placement_class: str, now: float, limit: int) -> int:
        """Count the ready steps of a class that may start now, no further than ``limit``."""
        return int(self.one("ready_count", placement_class, now, limit)[0])

    def live_count(self, agent_id: str) -> int:
        """Return the leases that an agent holds."""
        return int(self.one("live_count", agent_id)[0])

    def live_counts(self) -> dict[str, int]:
        """Return the leases that each agent holds."""
        return dict(self.all("live_counts"))

    def live_classes(self) -> list[str]:
        """Return the placement class of each live lease."""
        return [row[0] for row in self.all("live_classes")]

    def live_rows(self) -> list[LiveRow]:
        """Return every live lease with its limits."""
        return [LiveRow(attempt_of(row), *row[13:]) for row in self.all("live_rows")]

    def live_of_agent(self, agent_id: str) -> list[Attempt]:
        """Return the live leases of one agent, oldest first."""
        return [attempt_of(row) for row in self.all("live_of_agent", agent_id)]

    def live_of_migration(self, migration_id: str) -> dict[str, Attempt]:
        """Return step id → its live lease."""
        return {row[1]: attempt_of(row) for row in self.all("live_of_migration", migration_id)}

    def live_on_target(self, target: str) -> Attempt | None:
        """Return the live writer of a target."""
        row = self.maybe("live_on_target", target)
        return attempt_of(row) if row else None

    def attempts(self, attempt_ids: Sequence[str]) -> dict[str, Attempt]:
        """Return attempts by id."""
        return {row[0]: attempt_of(row) for row in self.all("attempts_in", json.dumps(attempt_ids))}

    def attempts_with_steps(self, attempt_ids: Sequence[str]) -> dict[str, tuple[Attempt, Step]]:
        """Return attempts by id, each with its step."""
        rows = self.all("attempts_with_steps", json.dumps(attempt_ids))
        return {row[0]: (attempt_of(row), step_of(row[ATTEMPT_WIDTH:])) for row in rows}

    def attempts_of_migration(self, migration_id: str) -> list[Attempt]:
        """Return every attempt of a migration, oldest first."""
        return [attempt_of(row) for row in self.all("attempts_of_migration", migration_id)]

    def all_attempts(self) -> Iterator[Attempt]:
        """Stream every attempt in the order of their grants, as the event log has them."""
        return (attempt_of(row) for row in self.connection.execute(self.sql["all_attempts"]))

    def fences(self) -> dict[str, int]:
        """Return target → its highest fence."""
        return dict(self.all("fences"))

    def attempts_of_steps(self, migration_id: str) -> list[Mapping[str, Any]]:
        """Return every attempt of a migration with all it reported, as mappings."""
        return self.mappings("attempts_of_steps", migration_id)

    def unseen_end(self, target: str) -> float | None:
        """Return when the newest attempt on a target ended whose end nobody saw; None when there is none."""
        ended_at: float | None = self.one("unseen_end", target)[0]
        return ended_at

    def unconfirmed(self, target: str, limit: int) -> list[str]:
        """Return attempts on a target whose end nobody saw, newest first."""
        return [row[0] for row in self.all("unconfirmed", target, limit)]

    def flush(self, rows: Sequence[Flush], heard: Mapping[str, tuple[float, str]]) -> None:
        """Make durable what heartbeats renewed; rows that ended meanwhile are passed over on purpose."""
        self.connection.executemany(
            self.sql["flush_attempt"],
            [
                (
                    r.expires_at,
                    r.moved_at,
                    r.watermark,
                    r.total,
                    r.done_bytes,
                    r.stage,
                    r.started_at,
                    r.attempt_id,
                    r.fence,
                )
                for r in rows
            ],
        )
        self.connection.executemany(
            self.sql["heard"], [(at, sample, agent_id) for agent_id, (at, sample) in heard.items()]
        )

    def adopt(self, attempt_id: str, incarnation: int) -> None:
        """Record that a newer life of the agent has taken over an attempt."""
        self.run("adopt_attempt", incarnation, attempt_id, incarnation)

    def extend_all(self, expires_at: float) -> None:
        """Give every live lease at least until ``expires_at``."""
        self.run("extend_all", expires_at)
