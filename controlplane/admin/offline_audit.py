"""Verifies the audit log in a store's file, also beside a running control plane or on a copy of the file."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from controlplane.core.audit.heads import LogEra, TreeHead
from controlplane.core.audit.text import Unreadable, head_from
from controlplane.core.audit.verifying import Entry, Seal, Verification, verify
from controlplane.identity.audit_key import AuditKey, era_is_signed, head_is_signed
from controlplane.identity.peers import IdentityError
from controlplane.service.audit.entries import stored_entries
from controlplane.store.port import StoreFailed
from controlplane.store.sqlite.store import open_snapshot
from controlplane.store.sqlite.tx import SqliteTx

ROWS_AT_ONCE = 1000


def verify_store(store: Path, identity: Path, witnesses: Sequence[Path], key: str) -> Verification:
    """Verify the log in ``store``; the public key is that of ``identity``, or of any later era, and ``key`` pins it.

    Raises ``StoreFailed``, ``IdentityError`` or ``OSError``.
    """
    tx = open_snapshot(store)
    head, eras = tx.audit_head(), tx.audit_eras()
    seal = Seal(head, _public_key(identity, eras), eras)
    verdict = verify(
        seal,
        _entries(tx, head),
        [(str(path), _witness(path)) for path in witnesses],
        head_is_signed=head_is_signed,
        era_is_signed=era_is_signed,
    )
    if key and not verdict.key_id.startswith(key):
        verdict.faults.append(f"the log is signed by key {verdict.key_id}, not by {key}")
    return verdict


def _public_key(identity: Path, eras: Sequence[LogEra]) -> bytes:
    try:
        return AuditKey.load(identity).public_key
    except IdentityError:
        if eras:
            return eras[-1].public_key
        raise


def _entries(tx: SqliteTx, head: TreeHead | None) -> Iterator[Entry]:
    position = 0
    while head is not None and position < head.size:
        rows = stored_entries(tx, position, ROWS_AT_ONCE)
        if not rows:
            return
        yield from rows
        position = rows[-1][0]


def _witness(path: Path) -> TreeHead:
    try:
        return head_from(json.loads(path.read_text(encoding="utf-8")))
    except (Unreadable, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise StoreFailed(f"{path}: {error}; `haulier-agentd status -o json` prints what an agent saw") from None
