"""Operators: who a token belongs to."""

from collections.abc import Callable

from controlplane.core.events import Event
from controlplane.identity import operator_tokens
from controlplane.identity.operator_tokens import OperatorTokenRecord, Recognised, Unrecognised
from controlplane.identity.roles import Role
from controlplane.store.port import OperatorToken, Store, Tx


class Operators:
    """Makes operator tokens and recognises them."""

    def __init__(self, store: Store, clock: Callable[[], float], random_bytes: Callable[[int], bytes]) -> None:
        self._store = store
        self._clock = clock
        self._random_bytes = random_bytes

    async def create(self, name: str, role: Role) -> str:
        """Make an operator token; return its text, shown once. Raises ``IdentityError`` on a bad role."""
        secret = self._random_bytes(operator_tokens.SECRET_BYTES)
        now = self._clock()
        record = operator_tokens.record_of(secret, name=name, role=role, now=now)
        token = OperatorToken(name, role, record.secret_hash, record.expires_at)

        def keep(tx: Tx) -> None:
            tx.put_operator_token(token, now)
            tx.record([Event(now, "OperatorTokenCreated", name, detail=role)])

        await self._store.write(keep)
        return operator_tokens.mint(secret)

    async def recognise(self, authorization: str) -> Recognised | Unrecognised:
        """Tell who calls with an ``authorization`` header."""
        secret = operator_tokens.secret_in(authorization)
        if secret is None:
            return Unrecognised("the call carries no operator token; see `haulier --help` on profiles")
        stored = await self._store.read(lambda tx: tx.operator_token(operator_tokens.hashed(secret)))
        record = None
        if stored is not None:
            record = OperatorTokenRecord(
                name=stored.name, role=Role(stored.role), secret_hash=stored.hash, expires_at=stored.expires_at
            )
        return operator_tokens.verify(secret, record, self._clock())
