"""Operators: whose a token is; tokens made, listed and revoked.

A token is proven once by its slow hash; from then on memory knows it by a fast one under a key of this process.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import astuple
from typing import TypeVar

from controlplane.core.events import Event, asked_by
from controlplane.identity import operator_tokens
from controlplane.identity.operator_tokens import OperatorTokenRecord, Presented, Recognised, Unrecognised
from controlplane.identity.roles import Role
from controlplane.service.access.identities import TooMany
from controlplane.service.access.watchers import Watchers
from controlplane.service.errors import Precondition
from controlplane.service.not_found import no_such
from controlplane.store.port import Store, Tx
from controlplane.store.verbs.access import AccessVerbs, OperatorToken

T = TypeVar("T")

_REMEMBERED_MAX = 4096
# Proofs that may run and wait at once: each takes memory and tens of milliseconds of a core (promise C5).
_PROVING_MAX = 2
_WAITING_MAX = 32


class Operators:
    """Proves tokens, and keeps those that were proven in memory."""

    def __init__(self, store: Store, clock: Callable[[], float], random_bytes: Callable[[int], bytes]) -> None:
        self._store = store
        self._clock = clock
        self._random_bytes = random_bytes
        self._key = random_bytes(32)
        self._proven: OrderedDict[bytes, OperatorTokenRecord] = OrderedDict()
        self._disproven: OrderedDict[bytes, None] = OrderedDict()
        self._proving = asyncio.Semaphore(_PROVING_MAX)
        self._waiting = 0
        self.streams = Watchers()

    async def create(
        self, name: str, role: Role, owners: Sequence[str] = (), ttl_s: float = 0.0, by: str = ""
    ) -> tuple[str, OperatorTokenRecord]:
        """Make a token, as ``by`` asked; return its text, shown once, and its record. Raises ``IdentityError``."""
        secret = self._random_bytes(operator_tokens.SECRET_BYTES)
        token_id = self._random_bytes(operator_tokens.ID_BYTES).hex()
        salt = self._random_bytes(operator_tokens.SALT_BYTES)
        verifier = await asyncio.to_thread(operator_tokens.verifier_of, secret, salt)
        now = self._clock()
        ttl_s = ttl_s or operator_tokens.TTL_S
        record = operator_tokens.record_of(
            token_id, verifier, name=name, role=role, now=now, owners=tuple(owners), ttl_s=ttl_s, by=by
        )
        over = f" over {', '.join(record.owners)}" if record.owners else ""

        def keep(tx: Tx) -> None:
            tx.put_operator(OperatorToken(*astuple(record)))
            detail = asked_by(by, f"{role}{over}, token {token_id}")
            tx.record([Event(now, "OperatorTokenCreated", name, detail=detail)])

        await self._store.write(keep)
        return operator_tokens.mint(token_id, secret), record

    async def tokens(self) -> list[OperatorTokenRecord]:
        """Return every token's record, also of those that have ended."""
        return [_record_of(token) for token in await self._store.read(lambda tx: tx.operators())]

    async def revoke(self, token_id: str, reason: str, by: str) -> OperatorTokenRecord:
        """Make a token good for nothing, at once. Safe to repeat. Raises ``NotFound`` or ``Precondition``."""
        now = self._clock()

        def revoke(tx: Tx) -> OperatorTokenRecord:
            record = _found(tx, token_id)
            if record is None:
                known = (each.id for each in tx.operators())
                raise no_such("operator token", token_id, known, "haulier operator list")
            if record.revoked_at is None:
                good = [t for t in tx.operators() if t.revoked_at is None and t.expires_at > now]
                if record.role is Role.ADMIN and not any(t.role == Role.ADMIN and t.id != token_id for t in good):
                    raise Precondition(f"{token_id} is the last administrator's token; make another one first")
                tx.revoke_operator(token_id, now)
                detail = asked_by(by, f"{token_id}: {reason}")
                tx.record([Event(now, "OperatorTokenRevoked", record.name, detail=detail)])
            revoked = _found(tx, token_id)
            assert revoked is not None, "tokens are never deleted"
            return revoked

        record = await self._store.write(revoke)
        for key in [key for key, known in self._proven.items() if known.id == token_id]:
            del self._proven[key]
        self.streams.end(token_id, f"the operator token of {record.name} was revoked")
        return record

    async def recognise(self, authorization: str, address: str = "") -> Recognised | Unrecognised:
        """Tell who calls from ``address`` with an ``authorization`` header. Raises ``TooMany``."""
        presented = operator_tokens.presented_in(authorization)
        if presented is None:
            return Unrecognised("the call carries no operator token; see `haulier --help` on profiles")
        said = presented.id.encode() + b"." + presented.secret
        mark = hashlib.blake2b(said, key=self._key, digest_size=32).digest()
        record = self._proven.get(mark)
        if record is None and mark not in self._disproven:
            record = await self._prove(presented, mark, address)
        return operator_tokens.recognise(record, self._clock(), is_proven=record is not None)

    async def _prove(self, presented: Presented, mark: bytes, address: str) -> OperatorTokenRecord | None:
        record = await self._store.read(lambda tx: _found(tx, presented.id))
        if record is None or record.revoked_at is not None:
            return record  # also for whoever has the right secret it is good for nothing
        if self._waiting >= _WAITING_MAX:
            raise TooMany("too many operator tokens are being proven at once; try again in a moment")
        self._waiting += 1
        try:
            async with self._proving:
                is_right = await asyncio.to_thread(operator_tokens.matches, presented.secret, record.verifier)
        finally:
            self._waiting -= 1
        if not is_right:
            _remember(self._disproven, mark, None)
            return None
        # It may have been revoked while it was being proven.
        fresh = await self._store.read(lambda tx: _found(tx, presented.id))
        if fresh is not None and fresh.revoked_at is None:
            _remember(self._proven, mark, fresh)
            detail = f"token {fresh.id}, {fresh.role}, from {address or 'somewhere'}"
            seen = Event(self._clock(), "OperatorSeen", fresh.name, detail=detail)
            await self._store.write(lambda tx: tx.record([seen]))
        return fresh


def _found(tx: AccessVerbs, token_id: str) -> OperatorTokenRecord | None:
    token = tx.operator(token_id)
    return None if token is None else _record_of(token)


def _record_of(token: OperatorToken) -> OperatorTokenRecord:
    return OperatorTokenRecord(**{**token._asdict(), "role": Role(token.role)})


def _remember(known: OrderedDict[bytes, T], mark: bytes, what: T) -> None:
    known[mark] = what
    if len(known) > _REMEMBERED_MAX:
        known.popitem(last=False)
