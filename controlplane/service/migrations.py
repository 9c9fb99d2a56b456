"""Starting, stopping, retrying and undoing migrations."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from controlplane.core import workflow_planning
from controlplane.core.changes import Changes
from controlplane.core.cleaning import Kept
from controlplane.core.events import Event, asked_by
from controlplane.core.leasing import Refused
from controlplane.core.model import Attempt, Migration, Requirements, StepPlan
from controlplane.core.placement import class_of
from controlplane.core.states import MigrationState
from controlplane.service.advancing import advance, equip_readied
from controlplane.service.errors import Precondition
from controlplane.service.fleet import Fleet, NewWork
from controlplane.service.not_found import NAMES_MAX, no_manifest, no_such
from controlplane.service.planning import CannotPlan, plan_migration
from controlplane.service.repeating import answered
from controlplane.service.way_back import require_way_back
from controlplane.store.port import Store, Tx


@dataclass(slots=True)
class Started:
    """What a start did."""

    migration_ids: list[str] = field(default_factory=list)
    already: list[str] = field(default_factory=list)


class Migrations:
    """What operators do with migrations."""

    def __init__(self, store: Store, clock: Callable[[], float], fleet: Fleet) -> None:
        self._store = store
        self._clock = clock
        self._fleet = fleet

    async def start(self, names: Sequence[str], request_id: str, by: str = "") -> Started:
        """Start the named migrations, or all that never were, as ``by`` asked; all of them or none.

        Raises ``NotFound`` or ``Precondition``. A repeat of ``request_id`` gets the first answer.
        """
        return await self._fleet.unbroken(self._start(names, request_id, by))

    async def _start(self, names: Sequence[str], request_id: str, by: str) -> Started:
        now = self._clock()

        def start(tx: Tx) -> tuple[Started, NewWork]:
            before = answered(tx, request_id, "StartMigrations")
            if before is not None:
                return Started(**json.loads(before)), NewWork()
            known = tx.started_names()
            wanted = dict.fromkeys(names or (r.name for r in tx.resources("Migration", "", 1_000_000)))
            work = start_in(tx, [name for name in wanted if name not in known], now, by)
            done = Started(work.migration_ids, [name for name in wanted if name in known] if names else [])
            answer = json.dumps({"migration_ids": done.migration_ids, "already": done.already})
            tx.keep_answer(request_id, "StartMigrations", answer, now)
            return done, work

        done, work = await self._store.write(start)
        self._fleet.take_work(work)
        return done

    async def undo(self, name_or_id: str, ask: str, reason: str, by: str = "") -> str:
        """Cancel or roll back a migration (``ask`` names the event), as ``by`` asked; return its id.

        Raises ``NotFound`` or ``Precondition``. Asking again for what is under way changes nothing.
        """
        return await self._fleet.unbroken(self._undo(name_or_id, ask, reason, by))

    async def _undo(self, name_or_id: str, ask: str, reason: str, by: str) -> str:
        now = self._clock()

        def undo(tx: Tx) -> tuple[str, dict[str, int], list[Attempt]]:
            migration = find(tx, name_or_id)
            under_way = {
                "MigrationCancelAsked": (MigrationState.CANCELLING, MigrationState.CANCELLED),
                "MigrationRollbackAsked": (MigrationState.ROLLING_BACK, MigrationState.ROLLED_BACK),
            }[ask]
            if migration.state in under_way:
                return migration.id, {}, []
            if tx.is_compacted(migration.id):
                raise Precondition(f"{migration.name} ended so long ago that what its undo takes was let go")
            require_way_back(tx, migration)
            live = tx.live_of_migration(migration.id)
            decision = workflow_planning.undo(
                migration, tx.steps_of(migration.id), live, ask=ask, reason=reason, now=now, by=by
            )
            if isinstance(decision, Refused):
                raise Precondition(f"{migration.name}: {decision.because}")
            tx.apply(decision)
            return migration.id, advance(tx, migration.id, now), list(live.values())

        migration_id, readied, stopped = await self._store.write(undo)
        self._fleet.cancel((a.agent_id, a.id, a.fence, reason) for a in stopped)
        self._fleet.offer(readied)
        self._fleet.changed.ring()
        return migration_id

    async def retry(self, name_or_id: str, by: str = "") -> str:
        """Give failed or stuck steps a fresh set of tries, as ``by`` asked; return the migration's id.

        Raises ``NotFound`` or ``Precondition``.
        """
        return await self._fleet.unbroken(self._retry(name_or_id, by))

    async def _retry(self, name_or_id: str, by: str) -> str:
        now = self._clock()

        def retry(tx: Tx) -> tuple[str, Counter[str]]:
            migration = find(tx, name_or_id)
            steps = tx.steps_of(migration.id)
            decision = workflow_planning.retry(migration, steps, now, by)
            if isinstance(decision, Refused):
                raise Precondition(f"{migration.name}: {decision.because}")
            tx.apply(decision)
            readied = equip_readied(tx, decision, steps, now)
            return migration.id, readied + advance(tx, migration.id, now)

        migration_id, readied = await self._store.write(retry)
        self._fleet.offer(readied)
        self._fleet.changed.ring()
        return migration_id


def find(tx: Tx, name_or_id: str) -> Migration:
    """Return a started migration by id or name; raise ``NotFound``."""
    migration = tx.migration(name_or_id) or tx.migration_by_name(name_or_id)
    if migration is None:
        if tx.resource("Migration", name_or_id) is not None:
            raise Precondition(f"migration {name_or_id} was not started yet: `haulier migration start {name_or_id}`")
        known = {*tx.started_names(), *(row.name for row in tx.resources("Migration", "", NAMES_MAX))}
        raise no_such("migration", name_or_id, sorted(known), "haulier migration list")
    return migration


def start_in(tx: Tx, names: Sequence[str], now: float, by: str) -> NewWork:
    """Start migrations that never were, all or none. Raises ``NotFound`` or ``Precondition``."""
    work = NewWork()
    for name in names:
        migration_id = _start_one(tx, name, now, work.classes, by)
        work.migration_ids.append(migration_id)
        work.readied += advance(tx, migration_id, now)
    return work


def _start_one(tx: Tx, name: str, now: float, classes: dict[str, Requirements], by: str) -> str:
    """Insert a migration with its steps, blocked; return its id."""
    resource = tx.resource("Migration", name)
    if resource is None:
        raise no_manifest(tx, "Migration", name)
    try:
        planned = plan_migration(tx, resource)
    except CannotPlan as error:
        raise Precondition(f"{name}: {error}") from None
    migration_id = tx.next_ids("mig_", 1)[0]
    migration = Migration(
        migration_id,
        name,
        planned.dataset,
        planned.workflow,
        planned.workflow_generation,
        planned.source,
        planned.destination,
        planned.priority,
        MigrationState.RUNNING,
        "",
        now,
        None,
    )
    tx.insert_migration(migration)
    tx.put_kept(Kept(migration_id, planned.staged_kept_s, planned.former_kept_s))
    insert_plan(tx, migration, planned.steps, classes, now, by)
    return migration_id


def insert_plan(
    tx: Tx,
    migration: Migration,
    plans: Sequence[StepPlan],
    classes: dict[str, Requirements],
    now: float,
    by: str = "",
) -> list[str]:
    """Insert the steps of a migration, blocked, with their classes and events; return their ids."""
    ids = tx.next_ids("step_", len(plans))
    placements = []
    for plan in plans:
        placement = class_of(plan.requirements)
        if placement not in classes:
            tx.put_class(placement, plan.requirements)
            classes[placement] = plan.requirements
        placements.append(placement)
    tx.insert_steps(migration, ids, plans, placements)
    changes = Changes()
    detail = asked_by(by, migration.name)
    changes.events.append(Event(now, "MigrationStarted", migration.id, migration.id, detail=detail))
    changes.events += [
        Event(now, "StepPlanned", step_id, migration.id, detail=plan.name)
        for step_id, plan in zip(ids, plans, strict=True)
    ]
    tx.record(changes.events)
    return ids
