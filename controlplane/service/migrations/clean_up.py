"""Cleaning up after migrations: staged parts and former content go when their time has come, or when a person asks.

What goes is planned as steps of the migration that left it, so that it is leased, fenced, retried and explained as all
other work is. Such steps have the lowest priority: finished work does not hold up live work.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from controlplane.core.access import approvals as gating
from controlplane.core.access.approvals import Item, Plan
from controlplane.core.changes import Changes
from controlplane.core.events import Event, asked_by
from controlplane.core.migrations.clean_up import (
    CLEAN_UP,
    CLEAN_UP_SUFFIX,
    LEAVES_SOMETHING,
    Kept,
    Left,
    WayBack,
    due,
    to_clean,
)
from controlplane.core.migrations.resuming import ready
from controlplane.core.model import Migration, Requirements, Step, StepPlan
from controlplane.core.states import MIGRATION_ENDED, StepState
from controlplane.core.steps.placement import class_of
from controlplane.manifests.compiling.clean_up_params import clean_up_params
from controlplane.service.access.approvals import Approvals
from controlplane.service.agents.offers import NewWork
from controlplane.service.agents.sessions import Sessions
from controlplane.service.errors import Precondition
from controlplane.service.migrations.selection import find
from controlplane.service.migrations.way_back import left_nothing, was_empty, way_back_of
from controlplane.store.port import Store, Tx
from controlplane.store.verbs.clean_up import Leftovers as Leftovers

LOWEST_PRIORITY = -1000
AT_ONCE = 50
FAILED_NAMED_MAX = 20
_NO_TEMPLATE = '{"holes": [], "params": {}}'
# Nobody waits for it: an agent may be away for days, and a lock may be held for hours.
_QUEUE_S, _START_TO_FINISH_S = 7 * 86_400.0, 3600.0
_ATTEMPTS_MAX, _BACKOFF_INITIAL_S, _BACKOFF_FACTOR, _BACKOFF_MAX_S = 12, 30.0, 2.0, 3600.0


class StillKept(NamedTuple):
    """What one ended migration keeps until when (control plane's clock; None: nothing, or no longer), and what a
    rollback would do now."""

    staged_until: float | None
    former_until: float | None
    way_back: WayBack | None


@dataclass(slots=True)
class CleanUpAsked:
    """What asking for a clean-up came to: the migrations that are cleaned up now, and the names of those that were."""

    migration_ids: list[str] = field(default_factory=list)
    clean: list[str] = field(default_factory=list)


class CleanUps:
    """Plans clean-ups, by time or by request, and says what was left behind."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        sessions: Sessions,
        staged_s: float,
        former_s: float,
        history_s: float,
        approvals: Approvals | None = None,
    ) -> None:
        """Without a word in the manifest, staged parts are kept for ``staged_s`` and former content for ``former_s``;
        never longer than ``history_s``, after which nobody knows any more what was left where."""
        self._store = store
        self._clock = clock
        self._sessions = sessions
        self._default = Kept("", staged_s, former_s)
        self._history_s = history_s
        self._approvals = approvals or Approvals(store, clock)

    def terms(self, kept: Kept) -> Kept:
        """Return how long a migration's leftovers are kept, with all that its manifest leaves open filled in."""
        return kept.within(self._default, self._history_s)

    async def plan_due(self) -> None:
        """Plan what is due now, each migration in a transaction of its own."""
        now = self._clock()
        ids = await self._store.read(
            lambda tx: tx.clean_ups_due(MIGRATION_ENDED, self._default, self._history_s, now, AT_ONCE)
        )
        for migration_id in ids:
            self._sessions.offers.take_work(
                await self._store.write(lambda tx, migration_id=migration_id: self._plan_due(tx, migration_id, now))  # type: ignore[misc]
            )

    def _plan_due(self, tx: Tx, migration_id: str, now: float) -> NewWork:
        migration, kept = tx.migration(migration_id), tx.kept(migration_id)
        if migration is None or kept is None:
            return NewWork()
        return plan(tx, migration, kept, due(migration, self.terms(kept), now), now)

    async def ask(self, names: Sequence[str] | None, by: str) -> CleanUpAsked:
        """Clean up after the named migrations now (None: after every one that has ended), as ``by`` asked; all or none.

        A clean-up that failed is tried anew. Raises ``NotFound``, or ``Precondition`` for one that has not ended.
        """
        return await self._approvals.through(lambda: self._sessions.background.unbroken(self._ask(names, by)))

    async def _ask(self, names: Sequence[str] | None, by: str) -> CleanUpAsked:
        now = self._clock()

        def ask(tx: Tx) -> tuple[CleanUpAsked, NewWork]:
            asked, work = CleanUpAsked(), NewWork()
            wanted = tx.uncleaned_migrations(MIGRATION_ENDED) if names is None else dict.fromkeys(names)
            found = {migration.id: migration for migration in (find(tx, name) for name in wanted)}
            items = tuple(Item(each.name, each.id) for each in found.values())
            said = "--all" if names is None else ", ".join(sorted(wanted))
            # Which of them has anything left is asked afterwards: a list that is approved names them all.
            passed = self._approvals.pass_in(
                tx, Plan(gating.CLEAN_UP, said, items), by, is_ruled=self._approvals.lists(gating.CLEAN_UP)
            )
            for migration in (found[item.state] for item in passed.items):
                begun = _ask_one(tx, migration, now, by, work)
                (asked.migration_ids if begun else asked.clean).append(migration.id if begun else migration.name)
            return asked, work

        asked, work = await self._store.write(ask)
        self._sessions.offers.take_work(work)
        return asked

    async def left_by(self, migration_id: str) -> StillKept | None:
        """Return what a migration keeps; None while it has not ended."""

        def look(tx: Tx) -> StillKept | None:
            migration = tx.migration(migration_id)
            assert migration is not None, "the caller has found it"
            if migration.state not in MIGRATION_ENDED or migration.ended_at is None:
                return None
            steps, kept = tx.steps_of(migration.id), tx.kept(migration.id)
            if kept is None or migration.state not in LEAVES_SOMETHING:
                return StillKept(None, None, way_back_of(tx, migration, steps))
            terms, ended_at = self.terms(kept), migration.ended_at
            until = {left: terms.until(left, ended_at) for left in Left if kept.planned_at(left) is None}
            if was_empty(tx, steps):
                until.pop(Left.FORMER, None)
            return StillKept(until.get(Left.STAGED), until.get(Left.FORMER), way_back_of(tx, migration, steps))

        return await self._store.read(look)

    async def leftovers(self) -> Leftovers:
        """Return what is kept in all."""
        return await self._store.read(lambda tx: tx.leftovers(self._default, self._history_s, FAILED_NAMED_MAX))


def _ask_one(tx: Tx, migration: Migration, now: float, by: str, work: NewWork) -> bool:
    """Plan the whole clean-up after one migration; tell whether there was anything to do."""
    if migration.state not in MIGRATION_ENDED:
        raise Precondition(
            f"migration {migration.name} is {migration.state}: only what an ended one left behind can be cleaned up"
        )
    kept = tx.kept(migration.id)
    if kept is None:
        return False
    begun = plan(tx, migration, kept, [left for left in Left if kept.planned_at(left) is None], now)
    work.classes |= begun.classes
    work.readied += begun.readied
    failed = [s for s in tx.steps_of(migration.id) if s.kind == CLEAN_UP and s.state is StepState.FAILED]
    again = Changes()
    for step in failed:
        again.step_moves.append(ready(step._replace(failures=0), now))
        again.events.append(Event(now, "StepReadied", step.id, migration.id, detail="asked to clean up"))
        work.readied[step.placement_class] += 1
    if not failed and not begun.readied:
        return False
    again.events.append(Event(now, "MigrationCleanUpAsked", migration.id, migration.id, detail=asked_by(by, "")))
    tx.apply(again)
    return True


def plan(tx: Tx, migration: Migration, kept: Kept, lefts: Collection[Left], now: float) -> NewWork:
    """Plan the clean-up of what is ``lefts`` after a migration, ready at once; what was planned is remembered."""
    work = NewWork()
    if not lefts:
        return work
    tx.put_kept(kept.planned(lefts, now))
    if migration.state not in LEAVES_SOMETHING:
        return work
    steps = tx.steps_of(migration.id)
    wanted = [step for step in to_clean(steps, lefts) if not left_nothing(tx, step)]
    classes, plans = tx.classes(), []
    for step in wanted:
        params = tx.bodies([step.id])[step.id].params
        if params is not None:
            plans.append(_plan_of(step, params, classes[step.placement_class]))
    placements = [class_of(each.requirements) for each in plans]
    ids = tx.next_ids("step_", len(plans))
    for placement, each in zip(placements, plans, strict=True):
        tx.put_class(placement, each.requirements)
        work.classes[placement] = each.requirements
        work.readied[placement] += 1
    tx.insert_steps(migration._replace(priority=LOWEST_PRIORITY), ids, plans, placements, len(steps))
    changes = Changes()
    for step in tx.steps(ids).values():
        changes.events.append(Event(now, "StepPlanned", step.id, migration.id, detail=step.name))
        changes.step_moves.append(ready(step, now))
        changes.events.append(Event(now, "StepReadied", step.id, migration.id))
    tx.apply(changes)
    return work


def _plan_of(step: Step, params: bytes, requirements: Requirements) -> StepPlan:
    made, datastore = clean_up_params(step.kind, step.id, params)
    return StepPlan(
        name=step.name + CLEAN_UP_SUFFIX,
        kind=CLEAN_UP,
        needs=(),
        template=_NO_TEMPLATE,
        params=made,
        requirements=Requirements(CLEAN_UP, (datastore,), requirements.labels),
        target=step.target,
        queue_s=_QUEUE_S,
        start_to_finish_s=_START_TO_FINISH_S,
        progress_s=0.0,
        attempts_max=_ATTEMPTS_MAX,
        backoff_initial_s=_BACKOFF_INITIAL_S,
        backoff_factor=_BACKOFF_FACTOR,
        backoff_max_s=_BACKOFF_MAX_S,
        compensatable=False,
    )
