"""Starting, stopping, retrying and undoing migrations."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from controlplane.core import deciding, workflow_planning
from controlplane.core.changes import Changes
from controlplane.core.cleaning import Kept
from controlplane.core.events import Event, asked_by
from controlplane.core.leasing import Refused
from controlplane.core.model import Attempt, Migration, Requirements, StepPlan
from controlplane.core.states import MIGRATION_ENDED, MIGRATION_LEFT_PLACE, MigrationState
from controlplane.manifests.validating import place_taken
from controlplane.service.advancing import advance
from controlplane.service.applied import AppliedSpecs, left_places
from controlplane.service.errors import NotFound, Precondition
from controlplane.service.fleet import Fleet, NewWork
from controlplane.service.not_found import NAMES_MAX, no_manifest, no_such
from controlplane.service.places import PlaceTaken, called, published_over, require_free, superseded_at_last
from controlplane.service.planning import CannotPlan, keep_class, plan_migration
from controlplane.service.repeating import answered
from controlplane.service.retrying import Retried, retry_in
from controlplane.service.way_back import require_way_back
from controlplane.store.port import Store, Tx


@dataclass(slots=True)
class Started:
    """What a start did."""

    migration_ids: list[str] = field(default_factory=list)
    already: list[str] = field(default_factory=list)  # under way before
    held: dict[str, str] = field(default_factory=dict)  # name → what keeps it, when all were asked for


class Migrations:
    """What operators do with migrations."""

    def __init__(self, store: Store, clock: Callable[[], float], fleet: Fleet) -> None:
        self._store = store
        self._clock = clock
        self._fleet = fleet

    async def start(self, names: Sequence[str], request_id: str, by: str = "") -> Started:
        """Start the named migrations, as ``by`` asked, all of them or none; without names, all that never were and can.

        What has ended starts again, as its next iteration; what is under way goes on. Raises ``NotFound`` or
        ``Precondition``. A repeat of ``request_id`` gets the first answer.
        """
        return await self._fleet.unbroken(self._start(names, request_id, by))

    async def _start(self, names: Sequence[str], request_id: str, by: str) -> Started:
        now = self._clock()

        def start(tx: Tx) -> tuple[Started, NewWork]:
            before = answered(tx, request_id, "StartMigrations")
            if before is not None:
                return Started(**json.loads(before)), NewWork()
            wanted, already = _to_start(tx, names)
            held: dict[str, str] = {}
            work = start_in(tx, wanted, now, by, None if names else held)
            done = Started(work.migration_ids, already, held)
            answer = json.dumps({"migration_ids": done.migration_ids, "already": done.already, "held": held})
            tx.keep_answer(request_id, "StartMigrations", answer, now)
            return done, work

        done, work = await self._store.write(start)
        self._fleet.take_work(work)
        return done

    async def undo(self, name_or_id: str, ask: str, reason: str, by: str = "") -> str:
        """Cancel or roll back a migration (``ask`` names the event), as ``by`` asked; return its id.

        One over which another has published ends as superseded instead. Raises ``NotFound`` or ``Precondition``.
        Asking again for what is under way changes nothing.
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
            if migration.state in under_way or superseded_at_last(tx, migration, now):
                return migration.id, {}, []
            _require_undoable(tx, migration)
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

    async def retry(self, name_or_id: str, by: str = "") -> Retried:
        """Let a failed or stuck migration go on, as ``by`` asked; see ``retrying.retry_in``.

        Raises ``NotFound`` or ``Precondition``.
        """
        return await self._fleet.unbroken(self._retry(name_or_id, by))

    async def _retry(self, name_or_id: str, by: str) -> Retried:
        now = self._clock()

        def retry(tx: Tx) -> tuple[Retried, NewWork]:
            return retry_in(tx, find(tx, name_or_id), now, by)

        retried, work = await self._store.write(retry)
        self._fleet.take_work(work)
        return retried

    async def decide(self, name_or_id: str, event: str, reason: str, by: str = "") -> str:
        """End a failed or stuck migration as it is (``event`` is of ``core.deciding``); return its id.

        Raises ``NotFound`` or ``Precondition``. Asking again for what is so changes nothing.
        """
        return await self._fleet.unbroken(self._decide(name_or_id, event, reason, by))

    async def _decide(self, name_or_id: str, event: str, reason: str, by: str) -> str:
        now = self._clock()

        def decide(tx: Tx) -> str:
            migration = find(tx, name_or_id)
            if migration.state is _DECIDED[event]:
                return migration.id
            decision = deciding.decide(migration, event, reason, now, by)
            if isinstance(decision, Refused):
                raise Precondition(f"{migration.name}: {decision.because}")
            tx.apply(decision)
            return migration.id

        migration_id = await self._store.write(decide)
        self._fleet.changed.ring()
        return migration_id


_DECIDED = {deciding.ACCEPT: MigrationState.ACCEPTED, deciding.ABANDON: MigrationState.ABANDONED}


def _to_start(tx: Tx, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split the wanted names into those to start and those under way. Raises ``Precondition``."""
    newest = tx.newest_iterations() if not names else {}
    if not names:
        return [r.name for r in tx.resources("Migration", "", 1_000_000) if r.name not in newest], []
    to_start, already = [], []
    for name in dict.fromkeys(names):
        known = tx.migration_by_name(name)
        if known is None or known.state in MIGRATION_ENDED:
            to_start.append(name)
        elif known.state is MigrationState.RUNNING:
            already.append(name)
        else:
            raise Precondition(f"{name} is {known.state}: {_INSTEAD[known.state]}".replace("NAME", name))
    return to_start, already


_ON_ITS_WAY_BACK = "wait for its end with `haulier migration watch NAME`, then start it again"
_INSTEAD = {
    MigrationState.FAILED: "`haulier migration retry NAME` goes on with it; to start anew, end it first with "
    "`haulier migration cancel NAME --reason …`",
    MigrationState.STUCK: "`haulier migration retry NAME` undoes it again; `haulier migration accept NAME --reason …` "
    "or `abandon` end it as it is",
    MigrationState.RESTORING: "its proof failed, and the former content is being put back: " + _ON_ITS_WAY_BACK,
    MigrationState.CANCELLING: _ON_ITS_WAY_BACK,
    MigrationState.ROLLING_BACK: _ON_ITS_WAY_BACK,
}


def _require_undoable(tx: Tx, migration: Migration) -> None:
    """Refuse to undo what lies below, what another iteration is busy with, or what was let go of."""
    if tx.is_compacted(migration.id):
        raise Precondition(f"{migration.name} ended so long ago that what its undo takes was let go")
    if migration.state not in MIGRATION_ENDED:
        return
    above = published_over(tx, migration)
    if above is not None:
        raise Precondition(
            f"{migration.name}: the migration {called(above)} has published over it: roll that back first with "
            f"`haulier migration rollback {above.name if above.name != migration.name else above.id}`"
        )
    newest = tx.migration_by_name(migration.name)
    if newest is not None and newest.id != migration.id and newest.state not in MIGRATION_ENDED:
        raise Precondition(
            f"{migration.name}: its iteration {newest.iteration} is {newest.state}: end that first, "
            f"then iteration {migration.iteration} can be undone"
        )


def find(tx: Tx, name_or_id: str) -> Migration:
    """Return a started migration by id or name; raise ``NotFound``."""
    migration = tx.migration(name_or_id) or tx.migration_by_name(name_or_id)
    if migration is None:
        if tx.resource("Migration", name_or_id) is not None:
            raise Precondition(f"migration {name_or_id} was not started yet: `haulier migration start {name_or_id}`")
        known = {*tx.newest_iterations(), *(row.name for row in tx.resources("Migration", "", NAMES_MAX))}
        raise no_such("migration", name_or_id, sorted(known), "haulier migration list")
    return migration


def find_iteration(tx: Tx, name_or_id: str, iteration: int) -> Migration:
    """Return one iteration of a started migration, its newest for 0. Raises ``NotFound`` or ``Precondition``."""
    migration = find(tx, name_or_id)
    if iteration in (0, migration.iteration):
        return migration
    for each in tx.iterations_of(migration.name):
        if each.iteration == iteration:
            return each
    newest = tx.iterations_of(migration.name)[-1].iteration
    raise NotFound(f"{migration.name} has no iteration {iteration}: its iterations are 1 to {newest}")


def start_in(tx: Tx, names: Sequence[str], now: float, by: str, held: dict[str, str] | None = None) -> NewWork:
    """Start migrations of which no iteration is open, all or none. Raises ``NotFound`` or ``Precondition``.

    With ``held``, those whose destination is not free are put there, with what keeps them, and the others start.
    """
    work = NewWork()
    for name in names:
        try:
            migration_id = _start_one(tx, name, now, work.classes, by)
        except PlaceTaken as error:
            if held is None:
                raise
            held[name] = str(error)
            continue
        work.migration_ids.append(migration_id)
        work.readied += advance(tx, migration_id, now)
    return work


def _start_one(tx: Tx, name: str, now: float, classes: dict[str, Requirements], by: str) -> str:
    """Insert the next iteration of a migration with its steps, blocked; return its id."""
    resource = tx.resource("Migration", name)
    before = tx.migration_by_name(name)
    if resource is None:
        if before is not None:
            raise NotFound(f"there is no Migration manifest {name} any more: it was deleted; apply it again")
        raise no_manifest(tx, "Migration", name)
    try:
        planned = plan_migration(tx, resource)
    except CannotPlan as error:
        raise Precondition(f"{name}: {error}") from None
    require_free(tx, name, planned.dataset, planned.place)
    if before is not None and before.state in MIGRATION_LEFT_PLACE:
        # Its destination was free for others meanwhile, also under another name.
        taken = place_taken(name, AppliedSpecs(tx.all_specs()), left_places(tx))
        if taken:
            raise PlaceTaken(f"{name}: {taken}")
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
        before.iteration + 1 if before is not None else 1,
        planned.place,
    )
    tx.insert_migration(migration)
    tx.put_kept(Kept(migration_id, planned.staged_kept_s, planned.former_kept_s))
    tx.put_basis(migration_id, planned.basis)
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
    tx.insert_steps(migration, ids, plans, [keep_class(tx, plan, classes) for plan in plans])
    changes = Changes()
    detail = asked_by(by, called(migration))
    changes.events.append(Event(now, "MigrationStarted", migration.id, migration.id, detail=detail))
    changes.events += [
        Event(now, "StepPlanned", step_id, migration.id, detail=plan.name)
        for step_id, plan in zip(ids, plans, strict=True)
    ]
    tx.record(changes.events)
    return ids
