"""Operator tokens: how a person or a script proves its role to the operator service.

A token is sent as ``authorization: Bearer haulier-operator.ID.SECRET`` over TLS. The id finds the record and is no
secret; of the secret an Argon2id hash is kept. Everything here is pure: instants, salts and secrets are arguments.
"""

import base64
import binascii
import hashlib
import hmac
import math
import re
from dataclasses import dataclass, field

from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type, hash_secret, verify_secret

from controlplane.identity.peers import IdentityError
from controlplane.identity.roles import OPERATOR_ROLES, OWNER_ROLES, Role

SECRET_BYTES = 32
SALT_BYTES = 16
ID_BYTES = 8
TTL_S = 90 * 86_400.0
TTL_S_MAX = 400 * 86_400.0
OWNERS_MAX = 100

# Passes, memory in KiB, lanes: some 30 ms of a core and 19 MiB for each first use of a token.
_ARGON2 = (2, 19_456, 1)
_PREFIX = "haulier-operator."
_BEARER = "bearer "
# Tokens from before ids: found by the beginning of their hash, which is kept instead of an Argon2 one.
_OLD = "sha256:"
_OLD_ID_DIGITS = 16
_NAME = re.compile(r"[\w@.+-][\w@.+ -]{0,126}[\w@.+-]|[\w@.+-]")


@dataclass(frozen=True, slots=True)
class OperatorTokenRecord:
    """What is kept of a token."""

    id: str
    # Who holds it, for the event log and for the rule of two persons.
    name: str
    role: Role
    # The role is over the datasets of these owners, and their migrations; empty means over everything.
    owners: tuple[str, ...]
    verifier: str = field(repr=False)
    expires_at: float
    created_at: float
    created_by: str = ""  # empty for the control plane's own host
    revoked_at: float | None = None


@dataclass(frozen=True, slots=True)
class Presented:
    """What a header says, not yet believed."""

    id: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Recognised:
    """The caller."""

    name: str
    role: Role
    owners: frozenset[str] = frozenset()
    token_id: str = ""
    ends_in_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Unrecognised:
    """Nobody, and why, fit for a person."""

    because: str


def mint(token_id: str, secret: bytes) -> str:
    """The text of a token; `secret` is 32 random bytes."""
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"an operator token's secret has {SECRET_BYTES} bytes, not {len(secret)}")
    return f"{_PREFIX}{token_id}." + base64.urlsafe_b64encode(secret).rstrip(b"=").decode("ascii")


def verifier_of(secret: bytes, salt: bytes) -> str:
    """What is kept instead of the secret. Takes tens of milliseconds."""
    passes, memory_kib, lanes = _ARGON2
    return hash_secret(secret, salt, passes, memory_kib, lanes, 32, Type.ID).decode("ascii")


def matches(secret: bytes, verifier: str) -> bool:
    """Whether a secret is the one that was kept. Takes tens of milliseconds."""
    if verifier.startswith(_OLD):
        return hmac.compare_digest(verifier.removeprefix(_OLD), hashlib.sha256(secret).hexdigest())
    try:
        return verify_secret(verifier.encode("ascii"), secret, Type.ID)
    except (VerificationError, InvalidHashError):
        return False


def record_of(
    token_id: str,
    verifier: str,
    *,
    name: str,
    role: Role,
    now: float,
    owners: tuple[str, ...] = (),
    ttl_s: float = TTL_S,
    by: str = "",
) -> OperatorTokenRecord:
    """The record of a fresh token. Raises IdentityError on a role that is not an operator's, or a bad name or life."""
    if role not in OPERATOR_ROLES:
        allowed = ", ".join(sorted(OPERATOR_ROLES))
        raise IdentityError(f"an operator token cannot have the role {role}", f"choose one of: {allowed}")
    if owners and role not in OWNER_ROLES:
        allowed = " and ".join(sorted(OWNER_ROLES))
        raise IdentityError(f"the role {role} is over everything", f"only {allowed} can be over the data of owners")
    if len(owners) > OWNERS_MAX or not all(owners):
        raise IdentityError("the owners cannot be used", f"name at most {OWNERS_MAX}, each as Datasets write it")
    if not _NAME.fullmatch(name):
        raise IdentityError("the name of an operator cannot be used", "a person or a script, at most 128 characters")
    if not (math.isfinite(ttl_s) and 0 < ttl_s <= TTL_S_MAX):
        raise IdentityError(
            "the life of an operator token is out of bounds",
            f"choose more than 0 and at most {TTL_S_MAX:.0f} seconds",
        )
    return OperatorTokenRecord(
        id=token_id,
        name=name,
        role=role,
        owners=tuple(sorted(set(owners))),
        verifier=verifier,
        expires_at=now + ttl_s,
        created_at=now,
        created_by=by,
    )


def presented_in(authorization: str) -> Presented | None:
    """What an ``authorization`` header shows, or None when it holds no operator token."""
    if authorization[: len(_BEARER)].lower() != _BEARER:
        return None
    text = authorization[len(_BEARER) :].strip()
    if not text.startswith(_PREFIX):
        return None
    token_id, _, encoded = text.removeprefix(_PREFIX).rpartition(".")
    try:
        secret = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(secret) != SECRET_BYTES:
        return None
    return Presented(token_id or hashlib.sha256(secret).hexdigest()[:_OLD_ID_DIGITS], secret)


def recognise(record: OperatorTokenRecord | None, now: float, *, is_proven: bool) -> Recognised | Unrecognised:
    """Decides who calls. `record` is the one stored under the id shown, or None."""
    if record is None or not is_proven:
        return Unrecognised("the operator token is not known here; ask an administrator for a new one")
    if record.revoked_at is not None:
        return Unrecognised("the operator token was revoked; ask an administrator for a new one")
    if now >= record.expires_at:
        return Unrecognised("the operator token has expired; ask an administrator for a new one")
    return Recognised(record.name, record.role, frozenset(record.owners), record.id, record.expires_at - now)
