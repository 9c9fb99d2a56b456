"""Entries of the audit log as a store has them: events, or the leaf hashes that are left of archived ones."""

from controlplane.core.audit.merkle import HASH_BYTES
from controlplane.core.audit.merkle_tiles import TILE_HASHES
from controlplane.core.audit.verifying import Entry
from controlplane.store.port import Tx
from controlplane.store.verbs.audit import AuditVerbs


def stored_entries(tx: Tx, after: int, limit: int) -> list[Entry]:
    """Return at most ``limit`` entries after a position, in order; fewer only where the log ends or one is missing."""
    archived = tx.archived_position()
    if after >= archived:
        return list(tx.events_after(after, "", limit))
    last = min(archived, after + limit)
    return [(position, leaf) for position, leaf in enumerate(leaves(tx, after, last - after), after + 1) if leaf]


def leaves(tx: AuditVerbs, first: int, count: int) -> list[bytes]:
    """Return the leaf hashes of ``count`` entries after ``first``, as the tree has them; empty where it has none."""
    if count <= 0:
        return []
    begin = first // TILE_HASHES
    numbers = range(begin, (first + count - 1) // TILE_HASHES + 1)
    tiles = tx.audit_tiles((0, number) for number in numbers)
    found = []
    for nth in range(first, first + count):
        tile, at = tiles.get((0, nth // TILE_HASHES), b""), nth % TILE_HASHES * HASH_BYTES
        found.append(tile[at : at + HASH_BYTES])
    return found
