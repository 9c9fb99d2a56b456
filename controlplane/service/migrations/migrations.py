"""Starting, stopping, retrying and undoing migrations."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

from controlplane.core.access import approvals as gating
from controlplane.core.access.approvals import Plan
from controlplane.core.changes import Changes
from controlplane.core.events import Event, asked_by
from controlplane.core.migrations import deciding, workflow_planning
from controlplane.core.migrations.clean_up import Kept
from controlplane.core.model import Attempt, Migration, Requirements, StepPlan
from controlplane.core.states import MIGRATION_ENDED, MIGRATION_LEFT_PLACE, MIGRATION_MOVING, MigrationState
from controlplane.core.steps.leasing import Refused
from controlplane.manifests.idle_fields import warnings_about
from controlplane.manifests.kinds.documents import FINDINGS_MAX, load_spec
from controlplane.manifests.text.findings import Finding
from controlplane.manifests.validating import place_taken
from controlplane.service.access.approvals import Approvals
from controlplane.service.agents.offers import NewWork
from controlplane.service.agents.sessions import Sessions
from controlplane.service.errors import NotFound, Precondition
from controlplane.service.idempotency import answered
from controlplane.service.inventory.applied import AppliedSpecs, left_places
from controlplane.service.migrations.discarding import agree_to_discard, with_consent
from controlplane.service.migrations.planning import CannotPlan, keep_class, plan_migration
from controlplane.service.migrations.retrying import Retried, Taken, retry_in
from controlplane.service.migrations.selection import Owners, Resolved, Selection, find, resolve
from controlplane.service.migrations.way_back import require_way_back
from controlplane.service.not_found import no_manifest
from controlplane.service.steps.advancing import advance
from controlplane.service.steps.destinations import (
    PlaceTaken,
    called,
    published_over,
    require_free,
    require_still,
    superseded_at_last,
)
from controlplane.store.port import Store, Tx
from controlplane.store.verbs.inventory import InventoryVerbs


@dataclass(frozen=True, slots=True)
class Call:
    """What somebody asks to be done with migrations, all of them in one transaction."""

    method: str  # of ``core.access.approvals``
    selection: Selection
    by: str = ""
    reason: str = ""
    within: Owners = frozenset()  # only over data of these owners; empty means over everything
    request_id: str = ""
    dry_run: bool = False  # say what would be done, and do nothing
    plan_digest: str = ""  # do it only if the selection still means this list; empty does not ask
    discard_changes: bool = False  # of a rollback: what others changed at the destination may be lost


@dataclass(slots=True)
class Acted:
    """What a call did, or would do."""

    migration_ids: list[str] = field(default_factory=list)
    already: list[str] = field(default_factory=list)  # where it was so, or under way, before
    held: dict[str, str] = field(default_factory=dict)  # name → why it was left out, where filters chose
    not_approved: list[str] = field(default_factory=list)  # what came to match after the approval
    names: list[str] = field(default_factory=list)  # of ``migration_ids``, or of what a dry run would touch
    plan_digest: str = ""
    needs_approval: bool = False  # only told by a dry run
    warnings: tuple[Finding, ...] = ()  # of a start: fields that are set and do not act
    again: str = ""  # of a retry of one: see ``Retried``
    taken: tuple[Taken, ...] = ()


@dataclass(slots=True)
class _Effects:
    """What a transaction did that the fleet must learn of once it is durable."""

    work: NewWork = field(default_factory=NewWork)
    stopped: list[Attempt] = field(default_factory=list)


class _DryRun(Exception):
    """Nothing of this transaction is kept."""

    def __init__(self, acted: Acted) -> None:
        super().__init__()
        self.acted = acted


class Migrations:
    """What operators do with migrations."""

    def __init__(
        self, store: Store, clock: Callable[[], float], sessions: Sessions, approvals: Approvals | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._sessions = sessions
        self._approvals = approvals or Approvals(store, clock)

    async def start(self, names: Sequence[str], request_id: str, by: str = "") -> Acted:
        """Start the named migrations, as ``by`` asked, all of them or none; without names, all that never were and can.

        What has ended starts again, as its next iteration; what is under way goes on. Raises ``NotFound`` or
        ``Precondition``. A repeat of ``request_id`` gets the first answer.
        """
        selection = Selection(tuple(names), every=not names)
        return await self.act(Call(gating.START, selection, by, request_id=request_id))

    async def undo(self, name_or_id: str, ask: str, reason: str, by: str = "", *, discard_changes: bool = False) -> str:
        """Cancel or roll back a migration (``ask`` names the event), as ``by`` asked; return its id.

        One over which another has published ends as superseded instead. Raises ``NotFound`` or ``Precondition``.
        Asking again for what is under way changes nothing.

        With ``discard_changes``, what others changed at the destination may be lost; a stuck one is then tried again.
        """
        method = gating.CANCEL if ask == "MigrationCancelAsked" else gating.ROLLBACK
        return await self._act_on(name_or_id, method, reason, by, discard_changes=discard_changes)

    async def retry(self, name_or_id: str, by: str = "") -> Retried:
        """Let a failed or stuck migration go on, as ``by`` asked; see ``retrying.retry_in``.

        Raises ``NotFound`` or ``Precondition``.
        """
        acted = await self.act(Call(gating.RETRY, Selection((name_or_id,)), by))
        return Retried(acted.migration_ids[0], acted.again, acted.taken)

    async def decide(self, name_or_id: str, event: str, reason: str, by: str = "") -> str:
        """End a failed or stuck migration as it is (``event`` is of ``core.migrations.deciding``); return its id.

        Raises ``NotFound`` or ``Precondition``. Asking again for what is so changes nothing.
        """
        method = gating.ACCEPT if event == deciding.ACCEPT else gating.ABANDON
        return await self._act_on(name_or_id, method, reason, by)

    async def id_of(self, name_or_id: str) -> str:
        """Return the id of a started migration. Raises ``NotFound`` or ``Precondition``."""
        return (await self._store.read(lambda tx: find(tx, name_or_id))).id

    async def _act_on(
        self, name_or_id: str, method: str, reason: str, by: str, *, discard_changes: bool = False
    ) -> str:
        acted = await self.act(Call(method, Selection((name_or_id,)), by, reason, discard_changes=discard_changes))
        return acted.migration_ids[0] if acted.migration_ids else await self.id_of(name_or_id)

    async def act(self, call: Call) -> Acted:
        """Do what is asked: for names, all or none; for what filters find, each that can be, and why not of the others.

        Raises ``NotFound`` or ``Precondition``, also where a second person must agree first. A repeat of a request id
        gets the first answer.
        """
        return await self._approvals.through(lambda: self._sessions.background.unbroken(self._act(call)))

    async def _act(self, call: Call) -> Acted:
        now = self._clock()

        def work(tx: Tx) -> tuple[Acted, _Effects]:
            before = answered(tx, call.request_id, call.method) if call.request_id else None
            if before is not None:
                return _acted_from(before), _Effects()
            resolved = resolve(tx, call.method, call.selection, call.within, call.reason)
            if call.discard_changes:
                resolved.plan = with_consent(resolved.plan)
            if call.plan_digest and call.plan_digest != resolved.plan.digest:
                raise Precondition(f"{resolved.plan.asked}: what this means has changed since it was shown: look again")
            acted = Acted(already=resolved.already, held=resolved.left_out, plan_digest=resolved.plan.digest)
            effects = _Effects()
            self._do(tx, call, resolved, acted, effects, now)
            if call.method == gating.START:
                acted.warnings = _warnings(tx, acted.names)
            if call.dry_run:
                raise _DryRun(acted)
            if call.request_id:
                tx.keep_answer(call.request_id, call.method, _text_of(acted), now)
            return acted, effects

        try:
            acted, effects = await self._store.write(work)
        except _DryRun as dry:
            return dry.acted
        self._sessions.cancel((a.agent_id, a.id, a.fence, call.reason) for a in effects.stopped)
        self._sessions.offers.take_work(effects.work)
        return acted

    def _do(self, tx: Tx, call: Call, resolved: Resolved, acted: Acted, effects: _Effects, now: float) -> None:
        """Pass the gate, then do it with one after the other."""
        if call.dry_run:
            items = resolved.plan.items
            acted.needs_approval = bool(items) and self._is_ruled(call)
        else:
            passed = self._approvals.pass_in(tx, resolved.plan, call.by, is_ruled=self._is_ruled(call))
            if call.method == gating.RETRY and not passed.approval_id:
                self._require_takes_approved(tx, resolved, call)
            items, acted.not_approved = passed.items, list(passed.left_out)
        refused: list[str] = []
        for name, _ in items:
            migration = resolved.migrations[name]
            try:
                acted.migration_ids.append(_do_one(tx, call, name, migration, acted, effects, now))
                acted.names.append(name)
            except Precondition as error:
                # A refusal comes before the first write, so that the others can go on.
                refused.append(str(error))
                acted.held[name] = str(error)
        if refused and not call.selection.is_open:
            raise Precondition("; ".join(refused))

    def _is_ruled(self, call: Call) -> bool:
        return self._approvals.concerns(call.method, lambda field: field == "names" and bool(call.selection.names))

    def _require_takes_approved(self, tx: Tx, resolved: Resolved, call: Call) -> None:
        """A retry that reads from elsewhere than what was started is a start as far as the second person goes."""
        takes = tuple(item for item in resolved.plan.items if " with " in item.state)
        plan = Plan(gating.START, f"retry of {resolved.plan.asked}", takes)
        self._approvals.pass_in(tx, plan, call.by, is_ruled=self._approvals.lists(gating.START))


def _do_one(
    tx: Tx, call: Call, name: str, migration: Migration | None, acted: Acted, effects: _Effects, now: float
) -> str:
    """Do it with one migration; return its id. Raises ``Precondition`` before anything is written."""
    if call.method == gating.START:
        work = start_in(tx, [name], now, call.by)
        effects.work.classes |= work.classes
        effects.work.readied += work.readied
        return work.migration_ids[0]
    assert migration is not None, "it was started"
    if call.method == gating.RETRY:
        retried, work = retry_in(tx, migration, now, call.by)
        effects.work.classes |= work.classes
        effects.work.readied += work.readied
        acted.again, acted.taken = retried.again, retried.taken
    elif call.method in _UNDOING:
        readied, stopped = _undo_in(tx, migration, _UNDOING[call.method], call, now)
        effects.work.readied += readied
        effects.stopped += stopped
    else:
        decision = deciding.decide(migration, _DECIDING[call.method], call.reason, now, call.by)
        if isinstance(decision, Refused):
            raise Precondition(f"{migration.name}: {decision.because}")
        tx.apply(decision)
    return migration.id


_UNDOING = {gating.CANCEL: "MigrationCancelAsked", gating.ROLLBACK: "MigrationRollbackAsked"}
_DECIDING = {gating.ACCEPT: deciding.ACCEPT, gating.ABANDON: deciding.ABANDON}


def _undo_in(tx: Tx, migration: Migration, ask: str, call: Call, now: float) -> tuple[Counter[str], list[Attempt]]:
    """Set out on the way back; return how many steps became ready per class, and the attempts to stop."""
    if superseded_at_last(tx, migration, now):
        return Counter(), []
    if call.discard_changes and migration.state is MigrationState.STUCK:
        readied = retry_in(tx, migration, now, call.by)[1].readied
        agree_to_discard(tx, migration, call.reason, now, call.by)
        return readied, []
    _require_undoable(tx, migration)
    require_way_back(tx, migration)
    live = tx.live_of_migration(migration.id)
    steps = tx.steps_of(migration.id)
    decision = workflow_planning.undo(migration, steps, live, ask=ask, reason=call.reason, now=now, by=call.by)
    if isinstance(decision, Refused):
        raise Precondition(f"{migration.name}: {decision.because}")
    if call.discard_changes:
        agree_to_discard(tx, migration, call.reason, now, call.by)
    tx.apply(decision)
    return advance(tx, migration.id, now), list(live.values())


def _warnings(tx: InventoryVerbs, names: Sequence[str]) -> tuple[Finding, ...]:
    """Warn about the fields of the datasets that are set and do not act, each dataset once."""
    migrations = (tx.resource("Migration", name) for name in names)
    datasets = dict.fromkeys(str(json.loads(row.spec)["dataset"]) for row in migrations if row is not None)
    found: list[Finding] = []
    for dataset in datasets:
        row = tx.resource("Dataset", dataset)
        if row is not None:
            found += warnings_about("Dataset", dataset, load_spec("Dataset", row.spec))
    return tuple(found[:FINDINGS_MAX])


def _text_of(acted: Acted) -> str:
    return json.dumps(asdict(acted))


def _acted_from(text: str) -> Acted:
    said = json.loads(text)
    said["taken"] = tuple(Taken(**each) for each in said.get("taken", ()))
    said["warnings"] = tuple(Finding(**each) for each in said.get("warnings", ()))
    return Acted(**said)


def _require_undoable(tx: Tx, migration: Migration) -> None:
    """Refuse to undo what lies below, what another iteration is busy with, or what was let go of."""
    if tx.is_compacted(migration.id):
        raise Precondition(f"{migration.name} ended so long ago that what its undo takes was let go")
    if migration.state not in MIGRATION_MOVING:
        require_still(tx, migration)
    if migration.state not in MIGRATION_ENDED:
        return
    above = published_over(tx, migration)
    if above is not None:
        raise Precondition(
            f"{migration.name}: the migration {called(above)} has published over it: roll that back first with "
            f"`haulier migration rollback {above.name if above.name != migration.name else above.id} --reason TEXT`"
        )
    newest = tx.migration_by_name(migration.name)
    if newest is not None and newest.id != migration.id and newest.state not in MIGRATION_ENDED:
        raise Precondition(
            f"{migration.name}: its iteration {newest.iteration} is {newest.state}: end that first, "
            f"then iteration {migration.iteration} can be undone"
        )


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
        id=migration_id,
        name=name,
        dataset=planned.dataset,
        workflow=planned.workflow,
        workflow_generation=planned.workflow_generation,
        source=planned.source,
        destination=planned.destination,
        priority=planned.priority,
        state=MigrationState.RUNNING,
        reason="",
        created_at=now,
        ended_at=None,
        iteration=before.iteration + 1 if before is not None else 1,
        place=planned.place,
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
