"""What people wrote: manifests validated, applied all together or not at all, listed."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from controlplane.core.admitting import Limits
from controlplane.core.events import Event, asked_by
from controlplane.manifests.diffing import Change, canonical_json, change, digest
from controlplane.manifests.documents import KINDS, Document, Spec, load_spec
from controlplane.manifests.findings import Finding, SourceFile, shown, suggestion
from controlplane.manifests.migration import MigrationSpec
from controlplane.manifests.parsing import Parsed, parse
from controlplane.manifests.validating import validate
from controlplane.service.errors import NotFound
from controlplane.service.fleet import Fleet, NewWork
from controlplane.service.migrations import start_in
from controlplane.service.not_found import no_manifest
from controlplane.service.planning import limits_of
from controlplane.service.repeating import answered
from controlplane.store.port import Resource, Store, Tx

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply did or would do; nothing was kept when there are findings."""

    findings: tuple[Finding, ...]
    outcomes: tuple[tuple[str, str, Change], ...] = ()


class AppliedSpecs(Mapping[Key, Spec]):
    """The applied manifests as ``validate`` wants them; a spec is read only when it is asked for."""

    def __init__(self, rows: Mapping[Key, tuple[int, str, str]]) -> None:
        self._rows = rows

    def __getitem__(self, key: Key) -> Spec:
        return load_spec(key[0], self._rows[key][2])

    def __iter__(self) -> Iterator[Key]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


class Inventory:
    """Every applied manifest."""

    def __init__(
        self, store: Store, clock: Callable[[], float], fleet: Fleet, migrations_max: int | None = None
    ) -> None:
        """``migrations_max``: most migrations under way in all; None sets no limit."""
        self._store = store
        self._clock = clock
        self._fleet = fleet
        self._migrations_max = migrations_max

    async def validate(self, files: Sequence[SourceFile]) -> Applied:
        """Check files together with what is applied, and say what an apply would do."""
        parsed = await asyncio.to_thread(parse, files)
        rows = await self._store.read(lambda tx: tx.all_specs())
        return await asyncio.to_thread(_judge, parsed, rows)

    async def apply(self, files: Sequence[SourceFile], request_id: str, by: str = "") -> Applied:
        """Keep all manifests of ``files``, as ``by`` asked, or none when one is wrong.

        Migrations that say ``start: auto`` start in the same transaction, once. A repeat of ``request_id`` changes
        nothing.
        """
        now = self._clock()
        # Thousands of manifests take seconds of a core: agents' heartbeats must not wait for them.
        parsed = await asyncio.to_thread(parse, files)
        seen = await self._store.read(lambda tx: tx.all_specs())
        expected = await asyncio.to_thread(_judge, parsed, seen)
        if parsed.findings:
            return expected
        texts = await asyncio.to_thread(_texts, parsed.documents)

        def keep(tx: Tx) -> tuple[Applied, NewWork]:
            before = answered(tx, request_id, "ApplyManifests")
            if before is not None:
                outcomes = ((kind, name, Change(what)) for kind, name, what in json.loads(before))
                return Applied((), tuple(outcomes)), NewWork()
            rows = tx.all_specs()
            # Nearly always nobody else has applied anything meanwhile; then leases need not wait for the judging.
            judged = expected if rows == seen else _judge(parsed, rows)
            if judged.findings:
                return judged, NewWork()
            _put(tx, parsed.documents, texts, rows, now, by)
            work = start_in(tx, _unstarted(tx, parsed.documents), now, by)
            answer = json.dumps([[kind, name, what.value] for kind, name, what in judged.outcomes])
            tx.keep_answer(request_id, "ApplyManifests", answer, now)
            return judged, work

        return await self._fleet.unbroken(self._kept(keep))

    async def _kept(self, keep: Callable[[Tx], tuple[Applied, NewWork]]) -> Applied:
        """Write, and let the fleet know of new limits and new work."""
        applied, work = await self._store.write(keep)
        if any(kind == "Datastore" for kind, _, _ in applied.outcomes):
            self._fleet.set_limits(await self.limits())
        self._fleet.take_work(work)
        return applied

    async def limits(self) -> Limits:
        """Return how many steps and migrations may be under way at once, as the applied Datastores say."""
        rows = await self._store.read(lambda tx: tx.resources("Datastore", "", 1_000_000))
        return limits_of({row.name: load_spec("Datastore", row.spec) for row in rows}, self._migrations_max)

    async def get(self, kind: str, name: str) -> Resource | None:
        """Return one applied manifest."""
        return await self._store.read(lambda tx: tx.resource(kind, name))

    async def missing(self, kind: str, name: str) -> NotFound:
        """Return the error for a manifest that was not applied."""
        return await self._store.read(lambda tx: no_manifest(tx, kind, name))

    def require_kind(self, kind: str) -> None:
        """Refuse a kind that there is not. Raises ``NotFound``."""
        if kind not in KINDS:
            raise NotFound(f"there is no kind {shown(kind)}: {suggestion(kind, KINDS)}")

    async def page(self, kind: str, after: str, limit: int) -> list[Resource]:
        """Return applied manifests of a kind whose names follow ``after``."""
        return await self._store.read(lambda tx: tx.resources(kind, after, limit))


def _judge(parsed: Parsed, rows: Mapping[Key, tuple[int, str, str]]) -> Applied:
    """Check documents against each other and against what is applied, and say what an apply would do."""
    found = (*parsed.findings, *validate(parsed.documents, AppliedSpecs(rows), parsed.refused))
    if found:
        return Applied(found)
    outcomes = []
    for document in parsed.documents:
        new = digest(canonical_json(document.metadata), canonical_json(document.spec))
        old = rows.get(document.key)
        outcomes.append((document.kind, document.name, change(old[1] if old else None, new)))
    return Applied((), tuple(outcomes))


def _texts(documents: Sequence[Document]) -> list[tuple[str, str, str]]:
    """Write each document as it is kept: metadata, spec, digest."""
    written = [(canonical_json(document.metadata), canonical_json(document.spec)) for document in documents]
    return [(metadata, spec, digest(metadata, spec)) for metadata, spec in written]


def _put(
    tx: Tx,
    documents: Sequence[Document],
    texts: Sequence[tuple[str, str, str]],
    rows: Mapping[Key, tuple[int, str, str]],
    now: float,
    by: str,
) -> None:
    """Keep what is new or different, each with its event."""
    resources, events = [], []
    for document, (metadata, spec, fresh) in zip(documents, texts, strict=True):
        old = rows.get(document.key)
        if old is not None and old[1] == fresh:
            continue
        generation = old[0] + 1 if old else 1
        resources.append(Resource(document.kind, document.name, generation, fresh, metadata, spec, now))
        subject = f"{document.kind}/{document.name}"
        events.append(Event(now, "ManifestApplied", subject, detail=asked_by(by, f"generation {generation}")))
    tx.put_resources(resources)
    tx.record(events)


def _unstarted(tx: Tx, documents: Sequence[Document]) -> list[str]:
    """Name the migrations that want to start by themselves and never did."""
    wanted = [d.name for d in documents if isinstance(d.spec, MigrationSpec) and d.spec.start == "auto"]
    known = tx.started_names() if wanted else set()
    return [name for name in wanted if name not in known]


# The doors speak of these too; they come from here so that a door needs no further room.
__all__ = ["Applied", "AppliedSpecs", "Change", "Finding", "Inventory", "Resource", "SourceFile"]
