"""Puts a backup in the place of a store, and begins a new era of the audit log, on a control plane that is stopped.

A restored store knows less than the world: agents hold leases that it never granted, destinations remember fences that
it never gave. So its generation is raised above every earlier one: fences and ids from now on are new, whatever was
lost.
"""

import shutil
import time
from itertools import count
from pathlib import Path
from typing import NamedTuple

from controlplane import durable
from controlplane.admin.offline_audit import verify_store
from controlplane.config import Config
from controlplane.core.audit.heads import FIRST_ERA, LogEra
from controlplane.core.audit.leaves import leaf_of
from controlplane.core.audit.merkle_tiles import Place, Tiles
from controlplane.core.events import Event
from controlplane.host.state_guard import StateGuard
from controlplane.host.state_layout import IDENTITY_DIR, STORE_FILE
from controlplane.identity.audit_key import AuditKey
from controlplane.service.audit.entries import stored_entries
from controlplane.store.port import StoreFailed, Tx
from controlplane.store.sqlite.copying import check_copy
from controlplane.store.sqlite.store import SqliteStore, open_snapshot

ROWS_AT_ONCE = 2000
GENERATION_MAX = 2**31 - 1
# The first revision whose stores have an audit log.
AUDITED_SINCE = 4
# Files beside a store's own: commits that are not in it yet, and their index.
LOG_SUFFIXES = ("-wal", "-shm")


class Restored(NamedTuple):
    """What a restored store begins with."""

    generation: int
    era: int
    entries: int
    set_aside: Path | None  # where the store is that was there before


async def restore(config: Config, backup: Path, reason: str, *, replace: bool) -> Restored:
    """Put ``backup`` in place; ``replace`` sets a store that is there aside, it is never removed.

    Raises ``StateTaken`` while a control plane runs, ``StoreFailed``, ``NewerRevision``, ``IdentityError`` or
    ``OSError``; the store that was there is then as it was.
    """
    state, path = config.state_dir, config.state_dir / STORE_FILE
    guard = StateGuard(state)
    try:
        key = AuditKey.load(state / IDENTITY_DIR)
        if path.exists() and not replace:
            raise StoreFailed(f"there is a store at {path} already: add --replace to set it aside, it is not removed")
        _check(backup, state / IDENTITY_DIR)
        draft = path.with_name(f"{path.name}.restoring")
        _remove(draft)
        shutil.copyfile(backup, draft)
        draft.chmod(0o600)
        lost_generation = _generation_of(path)
        store = SqliteStore(draft)
        now = max(time.time(), store.newest_at())

        def begin(tx: Tx) -> LogEra:
            generation = max(tx.generation() + 1, lost_generation + 1, int(time.time()))
            if generation > GENERATION_MAX:
                raise StoreFailed(f"the generation {generation} is beyond what fences can hold")
            tx.begin_generation(generation)
            tx.expire_join_tokens(now)
            begun = begin_era(tx, key, reason, now)
            detail = f"generation {generation}, era {begun.era} after {begun.size} entries: {reason}"
            tx.record([Event(now, "StoreRestored", "store", detail=detail)])
            return begun

        try:
            begun = await store.write(begin)
        finally:
            store.close()
        durable.sync(draft)
        aside = _put_in_place(draft, path)
        return Restored(begun.generation, begun.era, begun.size, aside)
    finally:
        guard.release()


async def accept_log(config: Config, reason: str) -> LogEra:
    """Let the audit log go on from the store's present rows, by the administrator's signed word.

    Entries that are missing are replaced by ones that say so. Raises ``StateTaken``, ``StoreFailed`` or
    ``IdentityError``.
    """
    state = config.state_dir
    guard = StateGuard(state)
    try:
        key = AuditKey.load(state / IDENTITY_DIR)
        check_copy(state / STORE_FILE)
        store = SqliteStore(state / STORE_FILE)
        now = max(time.time(), store.newest_at())

        def begin(tx: Tx) -> LogEra:
            begun = begin_era(tx, key, reason, now)
            detail = f"era {begun.era} after {begun.size} entries: {reason}"
            tx.record([Event(now, "AuditLogAccepted", "audit", detail=detail)])
            return begun

        try:
            return await store.write(begin)
        finally:
            store.close()
    finally:
        guard.release()


def begin_era(tx: Tx, key: AuditKey, reason: str, now: float) -> LogEra:
    """Make the tree anew over all rows, and sign that a new era begins with it."""
    eras = tx.audit_eras()
    era = (eras[-1].era if eras else FIRST_ERA) + 1
    last = tx.last_position()
    tiles, changed = Tiles(), dict[Place, bytes]()
    while tiles.size < last:
        first = tiles.size
        archived = tx.archived_position()
        # A piece is of one sort: archived entries, of which the tree has the leaves, or events.
        count = min(ROWS_AT_ONCE, (archived if first < archived else last) - first)
        rows = dict(stored_entries(tx, first, count))
        missing = {n for n in range(first + 1, first + count + 1) if n not in rows}
        for position in missing:
            rows[position] = Event(now, "EntryMissing", "audit", detail=f"nobody knows what was here: {reason}")
        tx.fill_gaps({position: event for position in sorted(missing) if isinstance(event := rows[position], Event)})
        entries = ((n, rows[n]) for n in range(first + 1, first + count + 1))
        tiles, more = tiles.grown(each if isinstance(each, bytes) else leaf_of(n, each) for n, each in entries)
        changed |= more
    begun = key.begin_era(era, tiles.size, tiles.root(), tx.generation(), reason)
    tx.replace_audit_tiles(changed)
    tx.put_audit_era(begun, now)
    tx.put_audit_head(key.head(era, tiles.size, tiles.root()))
    return begun


def _check(backup: Path, identity: Path) -> None:
    """See that a backup is a whole store with an intact log of this control plane."""
    revision = check_copy(backup)
    tx = open_snapshot(backup, older_too=True)
    try:
        unsealed = revision < AUDITED_SINCE or tx.audit_head() is None
    finally:
        tx.connection.close()
    if unsealed:
        return
    verdict = verify_store(backup, identity, (), "")
    if verdict.faults:
        raise StoreFailed(f"the audit log in {backup} is not intact: {'; '.join(verdict.faults[:3])}")


def _generation_of(path: Path) -> int:
    """Return the generation of the store that is there, 0 where it cannot be read any more."""
    try:
        tx = open_snapshot(path, older_too=True)
    except (StoreFailed, RuntimeError):
        return 0
    try:
        return tx.generation()
    finally:
        tx.connection.close()


def _put_in_place(draft: Path, path: Path) -> Path | None:
    """Set aside what is there, log and all, then give the restored store its name.

    Whoever dies in between leaves no store: ``serve`` then says so, and ``restore`` does it again.
    """
    aside = None
    if path.exists():
        # Two restores may be tried within a second, and what was set aside is never replaced.
        names = (path.with_name(f"{path.name}.before-{at}") for at in count(int(time.time())))
        aside = next(name for name in names if not name.exists())
        # The log is never apart from its store: it has its second name before the store gets another one.
        for suffix in LOG_SUFFIXES:
            beside = path.with_name(path.name + suffix)
            if beside.exists():
                durable.link(beside, aside.with_name(aside.name + suffix))
        durable.move(path, aside)
    _remove(path)
    durable.move(draft, path)
    return aside


def _remove(path: Path) -> None:
    for suffix in ("", *LOG_SUFFIXES):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
