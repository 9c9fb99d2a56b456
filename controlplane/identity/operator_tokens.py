"""Operator tokens: how a person or a script proves its role to the operator service.

A token is sent as ``authorization: Bearer <token>`` over TLS. Everything here is pure: instants and
secrets are arguments.
"""

import base64
import binascii
import hashlib
import hmac
import math
from dataclasses import dataclass, field

from controlplane.identity.peers import IdentityError
from controlplane.identity.roles import OPERATOR_ROLES, Role

SECRET_BYTES = 32
TTL_S = 90 * 86_400.0
TTL_S_MAX = 400 * 86_400.0

_PREFIX = "haulier-operator."
_BEARER = "bearer "


@dataclass(frozen=True, slots=True)
class OperatorTokenRecord:
    """What is kept of a token."""

    # Who holds it, for the event log.
    name: str
    role: Role
    secret_hash: str = field(repr=False)
    expires_at: float


@dataclass(frozen=True, slots=True)
class Recognised:
    """The caller."""

    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class Unrecognised:
    """Nobody, and why, fit for a person."""

    because: str


def mint(secret: bytes) -> str:
    """The text of a token; `secret` is 32 random bytes."""
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"an operator token's secret has {SECRET_BYTES} bytes, not {len(secret)}")
    return _PREFIX + base64.urlsafe_b64encode(secret).rstrip(b"=").decode("ascii")


def hashed(secret: bytes) -> str:
    """What is kept instead of the secret: SHA-256, hex.

    A plain fast hash is right here. Slow, salted hashes exist to make guessing dear; 32 random bytes cannot
    be guessed at any price, and every call of an operator pays for the hash.
    """
    return hashlib.sha256(secret).hexdigest()


def record_of(secret: bytes, *, name: str, role: Role, now: float, ttl_s: float = TTL_S) -> OperatorTokenRecord:
    """The record of a fresh token. Raises IdentityError on a role that is no operator's, or a bad life."""
    if role not in OPERATOR_ROLES:
        allowed = ", ".join(sorted(OPERATOR_ROLES))
        raise IdentityError(f"an operator token cannot have the role {role}", f"choose one of: {allowed}")
    if not (math.isfinite(ttl_s) and 0 < ttl_s <= TTL_S_MAX):
        raise IdentityError(
            "the life of an operator token is out of bounds",
            f"choose more than 0 and at most {TTL_S_MAX:.0f} seconds",
        )
    return OperatorTokenRecord(name=name, role=role, secret_hash=hashed(secret), expires_at=now + ttl_s)


def secret_in(authorization: str) -> bytes | None:
    """The secret of an ``authorization`` header, or None when it holds no operator token."""
    if authorization[: len(_BEARER)].lower() != _BEARER:
        return None
    text = authorization[len(_BEARER) :].strip()
    if not text.startswith(_PREFIX):
        return None
    encoded = text.removeprefix(_PREFIX)
    try:
        secret = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return secret if len(secret) == SECRET_BYTES else None


def verify(secret: bytes, record: OperatorTokenRecord | None, now: float) -> Recognised | Unrecognised:
    """Decides who calls. `record` is the one stored under `hashed(secret)`, or None."""
    # Found by its hash already, so this is no search; it guards against a store that returns the wrong row.
    if record is None or not hmac.compare_digest(record.secret_hash, hashed(secret)):
        return Unrecognised("the operator token is not known here; ask an administrator for a new one")
    if now >= record.expires_at:
        return Unrecognised("the operator token has expired; ask an administrator for a new one")
    return Recognised(record.name, record.role)
