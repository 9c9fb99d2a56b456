"""The key that signs heads of the audit log: Ed25519, used for nothing else.

It is not the authority's key, so that a stolen database or a stolen certificate cannot make heads, and so that whoever
checks a log needs to know nothing about certificates.
"""

from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from controlplane import durable
from controlplane.core.audit.heads import LogEra, TreeHead, era_bytes, head_bytes, key_id_of
from controlplane.identity.peers import IdentityError

AUDIT_KEY_FILE = "audit.pem"


class AuditKey:
    """Build it with ``create`` or ``load``."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public_key: bytes = key.public_key().public_bytes_raw()
        self.key_id: str = key_id_of(self.public_key)

    def __repr__(self) -> str:
        return f"AuditKey(key_id={self.key_id})"

    @classmethod
    def create(cls) -> "AuditKey":
        """Make a new key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, directory: Path) -> "AuditKey":
        """Read what ``save`` wrote. Raises ``IdentityError`` when it is missing, exposed or damaged."""
        path = directory / AUDIT_KEY_FILE
        try:
            if path.stat().st_mode & 0o077:
                raise IdentityError(
                    f"{path} can be read by others than its owner",
                    "whoever copied it can sign heads of the audit log; if nobody did: chmod 600 on that file",
                )
            content = path.read_bytes()
        except FileNotFoundError:
            raise IdentityError(
                f"{path} does not exist", "restore it from a backup, or run `haulier-controlplane init`"
            ) from None
        except OSError as refused:
            raise IdentityError(f"{path} cannot be read: {refused.strerror}", "check its owner and mode") from None
        try:
            key = serialization.load_pem_private_key(content, password=None)
        except (ValueError, TypeError):
            # The parser's own words may quote the file; they are left out on purpose.
            raise IdentityError(f"{path} is damaged", "restore it from a backup") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise IdentityError(f"{path} holds no Ed25519 key", "restore it from a backup")
        return cls(key)

    def save(self, directory: Path) -> None:
        """Write the key, mode 0600; durable on return. Raises ``FileExistsError`` rather than replace one."""
        content = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        durable.make_directory(directory)
        durable.create(directory / AUDIT_KEY_FILE, content, mode=0o600)

    def head(self, era: int, size: int, root: bytes) -> TreeHead:
        """Sign a head."""
        return TreeHead(era, size, root, self._key.sign(head_bytes(era, size, root)), self.key_id)

    def begin_era(self, era: int, size: int, root: bytes, generation: int, reason: str) -> LogEra:
        """Sign the beginning of an era."""
        signature = self._key.sign(era_bytes(era, size, root, generation, reason))
        return LogEra(era, size, root, generation, reason, signature, self.public_key)


def head_is_signed(head: TreeHead, public_key: bytes) -> bool:
    """Tell whether a head was signed by the owner of ``public_key``."""
    signed = head_bytes(head.era, head.size, head.root)
    return head.key_id == key_id_of(public_key) and _is_signed(public_key, head.signature, signed)


def era_is_signed(begun: LogEra, public_key: bytes) -> bool:
    """Tell whether the beginning of an era was signed by the owner of ``public_key``."""
    return _is_signed(public_key, begun.signature, era_bytes(*begun[:5]))


def _is_signed(public_key: bytes, signature: bytes, signed: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True
