"""What people wrote: manifests validated, applied all together or not at all, listed."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from controlplane.core.access import approvals as gating
from controlplane.core.access.approvals import Item, Plan
from controlplane.core.events import Event, asked_by
from controlplane.core.model import Migration
from controlplane.core.states import MIGRATION_ENDED, MigrationState
from controlplane.core.steps.admission import Limits
from controlplane.manifests.diffing import Change, FieldChange, canonical_json, change, diff, digest
from controlplane.manifests.idle_fields import warnings_of
from controlplane.manifests.kinds.documents import KINDS, Document, load_spec
from controlplane.manifests.kinds.migration import MigrationSpec
from controlplane.manifests.parsing import Parsed, parse
from controlplane.manifests.text.findings import Finding, SourceFile, shown, suggestion
from controlplane.manifests.validating import validate
from controlplane.service.access.approvals import Approvals, Asked
from controlplane.service.agents.offers import NewWork
from controlplane.service.agents.sessions import Sessions
from controlplane.service.errors import NotFound, Precondition
from controlplane.service.idempotency import answered
from controlplane.service.inventory.applied import AppliedSpecs, Key, Rows, left_places
from controlplane.service.inventory.deleting import delete_in, specs_of, to_prune, why_kept
from controlplane.service.inventory.in_use import resource_in_use, with_ready_made
from controlplane.service.migrations.generations import generations_of
from controlplane.service.migrations.migrations import start_in
from controlplane.service.migrations.planning import limits_of
from controlplane.service.not_found import no_manifest
from controlplane.store.port import Store, Tx
from controlplane.store.verbs.inventory import InventoryVerbs, Resource
from controlplane.store.verbs.migrations import MigrationVerbs

# Bounds of an answer: a person looks through the first few.
UPDATES_TOLD_MAX, FIELDS_MAX = 200, 100


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply did or would do; nothing was kept when there are findings."""

    findings: tuple[Finding, ...]
    outcomes: tuple[tuple[str, str, Change], ...] = ()
    notes: Mapping[Key, str] = field(default_factory=dict)  # (kind, name) → what follows from it, for people
    warnings: tuple[Finding, ...] = ()  # fields that are set and do not act
    asked: Asked | None = None  # the approval that migrations with ``start: auto`` wait for
    waiting: tuple[str, ...] = ()  # names of those migrations
    fields: Mapping[Key, Sequence[FieldChange]] = field(default_factory=dict)  # of updates, where it was asked


Labels = Mapping[str, str]


class Inventory:
    """Every applied manifest."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        sessions: Sessions,
        migrations_max: int | None = None,
        approvals: Approvals | None = None,
    ) -> None:
        """``migrations_max``: most migrations under way in all; None sets no limit."""
        self._approvals = approvals or Approvals(store, clock)
        self._store = store
        self._clock = clock
        self._sessions = sessions
        self._migrations_max = migrations_max

    async def validate(self, files: Sequence[SourceFile], prune: Labels | None = None) -> Applied:
        """Check files together with what is applied, and say what an apply would do; see ``apply`` for ``prune``."""
        parsed = await asyncio.to_thread(parse, files)
        rows, free = await self._store.read(lambda tx: (tx.all_specs(), left_places(tx)))
        judged = await asyncio.to_thread(_judge, parsed, rows, free)
        if judged.findings:
            return judged
        judged = replace(judged, warnings=await asyncio.to_thread(warnings_of, parsed.documents))
        updated = [(kind, name) for kind, name, what in judged.outcomes if what is Change.UPDATED]
        before = await self._store.read(lambda tx: [tx.resource(*key) for key in updated[:UPDATES_TOLD_MAX]])
        applied = {(row.kind, row.name): row for row in before if row is not None}
        judged = replace(judged, fields=await asyncio.to_thread(_fields, parsed.documents, applied))
        return await self._store.read(lambda tx: _noted(tx, _pruned(tx, parsed.documents, judged, prune)))

    async def apply(
        self, files: Sequence[SourceFile], request_id: str, by: str = "", prune: Labels | None = None
    ) -> Applied:
        """Keep all manifests of ``files``, as ``by`` asked, or none when one is wrong.

        Migrations that say ``start: auto`` start in the same transaction, once. With ``prune``, applied manifests that
        carry all these labels and are not among the files are deleted. A repeat of ``request_id`` changes nothing.
        """
        now = self._clock()
        # Thousands of manifests take seconds of a core: agents' heartbeats must not wait for them.
        parsed = await asyncio.to_thread(parse, files)
        seen = await self._store.read(lambda tx: (tx.all_specs(), left_places(tx)))
        expected = await asyncio.to_thread(_judge, parsed, *seen)
        if parsed.findings:
            return expected
        texts = await asyncio.to_thread(_texts, parsed.documents)
        warned = await asyncio.to_thread(warnings_of, parsed.documents)

        def keep(tx: Tx) -> tuple[Applied, NewWork]:
            before = answered(tx, request_id, "ApplyManifests")
            if before is not None:
                outcomes = ((kind, name, Change(what)) for kind, name, what in json.loads(before))
                return Applied((), tuple(outcomes)), NewWork()
            rows, free = tx.all_specs(), left_places(tx)
            # Nearly always nobody else has applied anything meanwhile; then leases need not wait for the judging.
            judged = expected if (rows, free) == seen else _judge(parsed, rows, free)
            if judged.findings:
                return judged, NewWork()
            _put(tx, parsed.documents, texts, rows, now, by)
            judged = _noted(tx, _pruned(tx, parsed.documents, judged, prune))
            if judged.findings:
                raise _Found(judged)
            self._delete_pruned(tx, judged, prune, now, by)
            judged, work = self._start_unstarted(tx, parsed.documents, judged, now, by)
            answer = json.dumps([[kind, name, what.value] for kind, name, what in judged.outcomes])
            tx.keep_answer(request_id, "ApplyManifests", answer, now)
            return judged, work

        try:
            applied = await self._approvals.through(lambda: self._sessions.background.unbroken(self._kept(keep)))
            return applied if applied.findings else replace(applied, warnings=warned)
        except _Found as found:
            return found.applied

    def _delete_pruned(self, tx: Tx, judged: Applied, prune: Labels | None, now: float, by: str) -> None:
        """Delete what a prune found, if that passes the gate. Raises ``NotApproved``."""
        going = [(kind, name) for kind, name, what in judged.outcomes if what is Change.DELETED]
        said = ",".join(f"{key}={value}" for key, value in sorted((prune or {}).items()))
        self._approvals.pass_in(
            tx, _deletion(tx, f"--prune {said}", going), by, is_ruled=self._approvals.lists(gating.DELETE)
        )
        for key in going:
            delete_in(tx, key, now, by)

    def _start_unstarted(
        self, tx: Tx, documents: Sequence[Document], judged: Applied, now: float, by: str
    ) -> tuple[Applied, NewWork]:
        """Start what says ``start: auto`` and passes the gate; what does not was applied, and waits."""
        names = _unstarted(tx, documents)
        plan = Plan(gating.START, "start: auto", tuple(Item(name, generations_of(tx, name)) for name in names))
        passed = self._approvals.pass_or_ask(tx, plan, by, is_ruled=self._approvals.lists(gating.START))
        if isinstance(passed, Asked):
            return replace(judged, asked=passed, waiting=tuple(names)), NewWork()
        held: dict[str, str] = {}
        work = start_in(tx, [item.name for item in passed.items], now, by, held)
        held |= dict.fromkeys(passed.left_out, "it was applied after the approval: apply it again to ask for it")
        notes = {("Migration", name): f"not started yet: {reason}" for name, reason in held.items()}
        return replace(judged, notes={**judged.notes, **notes}), work

    async def delete(self, kind: str, name: str, by: str = "") -> Resource:
        """Delete a manifest, as ``by`` asked; return it as it was. Raises ``NotFound`` or ``Precondition``."""
        now = self._clock()

        def delete(tx: Tx) -> Resource:
            row = tx.resource(kind, name)
            if row is None:
                raise no_manifest(tx, kind, name)
            why = why_kept(tx, (kind, name), specs_of(tx))
            if why:
                raise Precondition(f"{kind} {name} cannot be deleted: {why}")
            plan = _deletion(tx, f"{kind} {name}", [(kind, name)])
            self._approvals.pass_in(tx, plan, by, is_ruled=self._approvals.lists(gating.DELETE))
            delete_in(tx, (kind, name), now, by)
            return row

        return await self._approvals.through(lambda: self._sessions.background.unbroken(self._deleted(delete)))

    async def _deleted(self, delete: Callable[[Tx], Resource]) -> Resource:
        row = await self._store.write(delete)
        if row.kind == "Datastore":
            self._sessions.offers.set_limits(await self.limits())
        return row

    async def _kept(self, keep: Callable[[Tx], tuple[Applied, NewWork]]) -> Applied:
        """Write, and let the fleet know of new limits and new work."""
        applied, work = await self._store.write(keep)
        if any(kind == "Datastore" for kind, _, _ in applied.outcomes):
            self._sessions.offers.set_limits(await self.limits())
        self._sessions.offers.take_work(work)
        return applied

    async def limits(self) -> Limits:
        """Return how many steps and migrations may be under way at once, as the applied Datastores say."""
        rows = await self._store.read(lambda tx: tx.resources("Datastore", "", 1_000_000))
        return limits_of({row.name: load_spec("Datastore", row.spec) for row in rows}, self._migrations_max)

    async def get(self, kind: str, name: str) -> Resource | None:
        """Return one applied manifest."""
        return await self._store.read(lambda tx: resource_in_use(tx, kind, name))

    async def missing(self, kind: str, name: str) -> NotFound:
        """Return the error for a manifest that was not applied."""
        return await self._store.read(lambda tx: no_manifest(tx, kind, name))

    def require_kind(self, kind: str) -> None:
        """Refuse a kind that there is not. Raises ``NotFound``."""
        if kind not in KINDS:
            raise NotFound(f"there is no kind {shown(kind)}: {suggestion(kind, KINDS)}")

    async def page(self, kind: str, after: str, limit: int) -> list[Resource]:
        """Return applied manifests of a kind whose names follow ``after``."""
        rows = await self._store.read(lambda tx: tx.resources(kind, after, limit))
        return with_ready_made(kind, rows, after, limit)


class _Found(Exception):
    """Nothing of this apply is kept, for what it found inside the transaction."""

    def __init__(self, applied: Applied) -> None:
        super().__init__()
        self.applied = applied


def _judge(parsed: Parsed, rows: Rows, free: frozenset[str]) -> Applied:
    """Check documents against each other and against what is applied, and say what an apply would do."""
    found = (*parsed.findings, *validate(parsed.documents, AppliedSpecs(rows), parsed.refused, free))
    if found:
        return Applied(found)
    outcomes = []
    for document in parsed.documents:
        new = digest(canonical_json(document.metadata), canonical_json(document.spec))
        old = rows.get(document.key)
        outcomes.append((document.kind, document.name, change(old.digest if old else None, new)))
    return Applied((), tuple(outcomes))


def _deletion(tx: InventoryVerbs, asked: str, keys: Sequence[Key]) -> Plan:
    """Write a deletion as what a second person agrees to: each manifest in the generation that goes."""
    rows = [row for key in keys if (row := tx.resource(*key)) is not None]
    return Plan(gating.DELETE, asked, tuple(Item(f"{r.kind}/{r.name}", f"generation {r.generation}") for r in rows))


def _pruned(tx: Tx, documents: Sequence[Document], judged: Applied, prune: Labels | None) -> Applied:
    """Add what a prune deletes, or the findings that forbid it."""
    if not prune:
        return judged
    going, findings = to_prune(tx, documents, prune)
    if findings:
        return Applied(tuple(findings))
    return replace(judged, outcomes=(*judged.outcomes, *((r.kind, r.name, Change.DELETED) for r in going)))


def _noted(tx: MigrationVerbs, judged: Applied) -> Applied:
    """Add what an update means for migrations that were started."""
    updated = [(kind, name) for kind, name, what in judged.outcomes if what is Change.UPDATED]
    newest = tx.newest_iterations() if updated else {}
    notes = {key: note for key in updated if (note := _note(key, newest))}
    return replace(judged, notes=notes)


def _note(key: Key, newest: Mapping[str, Migration]) -> str:
    kind, name = key
    if kind == "Migration" and name in newest:
        last = newest[name]
        following = f"this is the definition of iteration {last.iteration + 1}"
        if last.state in MIGRATION_ENDED:
            return f"iteration {last.iteration} is {last.state}; {following}: `haulier migration start {name}`"
        return f"iteration {last.iteration} is {last.state} and keeps what it was started with; {following}"
    if kind in ("Dataset", "Datastore"):
        failed = [each.name for each in newest.values() if each.state is MigrationState.FAILED]
        reading = [each for each in failed if name in (newest[each].dataset, newest[each].source)]
        if reading:
            more = f" (and {len(reading) - 1} more)" if len(reading) > 1 else ""
            return f"`haulier migration retry {reading[0]}`{more} takes it, where it changes how the source is read"
    return ""


def _fields(documents: Sequence[Document], applied: Mapping[Key, Resource]) -> dict[Key, Sequence[FieldChange]]:
    """Tell field by field what these documents would change of what is applied."""
    found: dict[Key, Sequence[FieldChange]] = {}
    for document in documents:
        row = applied.get(document.key)
        if row is not None:
            changes = diff(row.metadata, canonical_json(document.metadata), "metadata")
            found[document.key] = (changes + diff(row.spec, canonical_json(document.spec), "spec"))[:FIELDS_MAX]
    return found


def _texts(documents: Sequence[Document]) -> list[tuple[str, str, str]]:
    """Write each document as it is kept: metadata, spec, digest."""
    written = [(canonical_json(document.metadata), canonical_json(document.spec)) for document in documents]
    return [(metadata, spec, digest(metadata, spec)) for metadata, spec in written]


def _put(
    tx: Tx,
    documents: Sequence[Document],
    texts: Sequence[tuple[str, str, str]],
    rows: Rows,
    now: float,
    by: str,
) -> None:
    """Keep what is new or different, each with its event."""
    resources, events = [], []
    deleted = tx.deleted_generations()
    for document, (metadata, spec, fresh) in zip(documents, texts, strict=True):
        old = rows.get(document.key)
        if old is not None and old.digest == fresh:
            continue
        generation = (old.generation if old else deleted.get(document.key, 0)) + 1
        resources.append(Resource(document.kind, document.name, generation, fresh, metadata, spec, now))
        subject = f"{document.kind}/{document.name}"
        events.append(Event(now, "ManifestApplied", subject, detail=asked_by(by, f"generation {generation}")))
    tx.put_resources(resources)
    tx.record(events)


def _unstarted(tx: MigrationVerbs, documents: Sequence[Document]) -> list[str]:
    """Name the migrations that want to start by themselves and never did."""
    wanted = [d.name for d in documents if isinstance(d.spec, MigrationSpec) and d.spec.start == "auto"]
    known = tx.newest_iterations() if wanted else {}
    return [name for name in wanted if name not in known]


# Servicers speak of these too; they come from here so that a servicer needs no further package.
__all__ = ["Applied", "AppliedSpecs", "Change", "Finding", "Inventory", "Resource", "SourceFile"]
