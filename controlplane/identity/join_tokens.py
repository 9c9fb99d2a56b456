"""Join tokens: how a host becomes an agent without a certificate to begin with.

A token is one line that a person carries to a host. It is used once, lives 15 minutes at most, may be bound
to one agent name, and carries the pin of the certificate authority, so that the host knows whom it talks to.
Only a hash of its secret is kept. Everything here is pure: instants and secrets are arguments.
"""

import base64
import binascii
import hashlib
import math
from dataclasses import dataclass, field, replace

from controlplane.identity.peers import IdentityError

TTL_S_MAX = 900.0
SECRET_BYTES = 32

_PREFIX = "haulier-join"
_HINT = "ask for a new one with `haulier token create`, and copy the whole line"


@dataclass(frozen=True, slots=True)
class JoinTokenText:
    """What the text of a token says."""

    # host:port of the public listener.
    public_address: str
    secret: bytes = field(repr=False)
    # SHA-256 of the authority's certificate (DER), hex.
    ca_fingerprint: str


@dataclass(frozen=True, slots=True)
class JoinTokenRecord:
    """What is kept of a token."""

    secret_hash: str
    # Only an agent of this name may use it; empty means any name.
    agent_name: str
    expires_at: float
    # Set together by the first use, empty before it.
    used_request_id: str = ""
    used_key_fingerprint: str = ""
    used_agent_name: str = ""


@dataclass(frozen=True, slots=True)
class Granted:
    """The agent may join. `repeated` means that it has already: give it the answer that it was given."""

    repeated: bool


@dataclass(frozen=True, slots=True)
class TokenRefused:
    """The agent may not join, and why, fit for a person."""

    because: str


def mint(secret: bytes, ca_fingerprint: str, public_address: str) -> str:
    """The text of a token. `secret` is 32 random bytes, `public_address` is host:port."""
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"a join token's secret has {SECRET_BYTES} bytes, not {len(secret)}")
    encoded = base64.urlsafe_b64encode(secret).rstrip(b"=").decode("ascii")
    text = f"{_PREFIX}.{public_address}.{encoded}.{ca_fingerprint}"
    # Whatever was put in must come out again on the host: a bad address would show only there.
    if parse(text) != JoinTokenText(public_address, secret, ca_fingerprint):
        raise ValueError("a join token cannot carry this public address or fingerprint")
    return text


def parse(text: str) -> JoinTokenText:
    """Reads a token; the address may contain dots, so it is read from the right. Raises IdentityError."""
    rest, _, ca_fingerprint = text.strip().rpartition(".")
    rest, _, encoded = rest.rpartition(".")
    prefix, _, public_address = rest.partition(".")
    host, _, port = public_address.rpartition(":")
    is_address = bool(host) and port.isascii() and port.isdigit() and 0 < int(port) < 65536
    if prefix != _PREFIX or not is_address or not _is_sha256_hex(ca_fingerprint):
        raise IdentityError("this is not a join token", _HINT)
    try:
        secret = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise IdentityError("the join token is damaged", _HINT) from None
    if len(secret) != SECRET_BYTES:
        raise IdentityError("the join token is damaged", _HINT)
    return JoinTokenText(public_address, secret, ca_fingerprint)


def hashed(secret: bytes) -> str:
    """What is kept instead of the secret: SHA-256, hex. Nobody guesses 32 random bytes, so no slow hash."""
    return hashlib.sha256(secret).hexdigest()


def record_of(secret: bytes, *, agent_name: str, now: float, ttl_s: float = TTL_S_MAX) -> JoinTokenRecord:
    """The record of a fresh token. Raises IdentityError when `ttl_s` is not within 0 and 900 seconds."""
    if not (math.isfinite(ttl_s) and 0 < ttl_s <= TTL_S_MAX):
        raise IdentityError(
            "the life of a join token is out of bounds",
            f"choose more than 0 and at most {TTL_S_MAX:.0f} seconds",
        )
    return JoinTokenRecord(secret_hash=hashed(secret), agent_name=agent_name, expires_at=now + ttl_s)


def may_join(
    record: JoinTokenRecord | None, now: float, agent_name: str, request_id: str, key_fingerprint: str
) -> Granted | TokenRefused:
    """Decides one enrolment. `record` is the one stored under the hash of the presented secret, or None.

    A repeat with the same request id, key and name gets the same answer, even after the token's end: it hands
    out nothing that was not handed out before, and the first answer may have been lost on the wire.
    """
    if record is None:
        return TokenRefused("the join token is not known here; ask for a new one")
    if not request_id or not key_fingerprint or not agent_name:
        return TokenRefused("the request lacks a request id, a key or an agent name")
    if record.used_request_id:
        first = (record.used_request_id, record.used_key_fingerprint, record.used_agent_name)
        if first == (request_id, key_fingerprint, agent_name):
            return Granted(repeated=True)
        return TokenRefused("the join token has been used; if that was not you, find out who; ask for a new one")
    if now >= record.expires_at:
        return TokenRefused("the join token has expired; ask for a new one")
    if record.agent_name and record.agent_name != agent_name:
        # The name it was made for is not told: whoever stole a token should not learn where it fits.
        return TokenRefused("the join token was made for an agent of another name")
    return Granted(repeated=False)


def used(record: JoinTokenRecord, *, agent_name: str, request_id: str, key_fingerprint: str) -> JoinTokenRecord:
    """The record after its one use; store it in the transaction that creates the agent."""
    return replace(
        record,
        used_agent_name=agent_name,
        used_request_id=request_id,
        used_key_fingerprint=key_fingerprint,
    )


def _is_sha256_hex(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")
