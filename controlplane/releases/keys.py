"""Files of signing keys: one key a file, in OpenSSH's format, encrypted by a passphrase, readable by their owner only.

`root` and `targets` say what exists and are kept offline. `snapshot` and `timestamp` say that it is still so, and may
lie where a machine can use them, because neither can make a host run anything.
"""

import re
import stat
from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PrivateFormat,
    load_pem_private_key,
    load_ssh_private_key,
)
from securesystemslib.signer import CryptoSigner

from controlplane import durable
from controlplane.releases.problems import ReleaseProblem

OFFLINE = ("root", "targets")
ONLINE = ("snapshot", "timestamp")
ROLES = (*OFFLINE, *ONLINE)
PASSPHRASE_LENGTH_MIN = 12
# Rounds of bcrypt between a passphrase and the key that it protects: about half a second of a core for each guess.
KDF_ROUNDS = 64
_FILE = re.compile(r"(root|targets|snapshot|timestamp)-(\d+)\.pem")


class KeyRing:
    """The keys of one directory under one passphrase. Keys that are elsewhere are simply not in it."""

    def __init__(self, directory: Path, passphrase: str, kdf_rounds: int | None = None) -> None:
        """Raises ReleaseProblem when the passphrase is too short to protect anything."""
        _check_length(passphrase)
        self.directory = directory
        self._passphrase = passphrase.encode()
        self._kdf_rounds = kdf_rounds or KDF_ROUNDS
        self._opened: dict[Path, CryptoSigner] = {}

    def make(self, role: str) -> CryptoSigner:
        """Make a key for `role` and keep it. Raises OSError."""
        durable.make_directory(self.directory)
        signer = CryptoSigner.generate_ed25519()
        number = 1 + max((self._number(path) for path in self._files(role)), default=0)
        path = self.directory / f"{role}-{number}.pem"
        durable.create(path, self._locked(signer, self._passphrase))
        self._opened[path] = signer
        return signer

    def signers(self, role: str) -> list[CryptoSigner]:
        """The keys for `role` that are here, oldest first. Raises ReleaseProblem, OSError."""
        return [self._load(path) for path in sorted(self._files(role), key=self._number)]

    def holding(self, role: str, key_ids: Iterable[str]) -> list[CryptoSigner]:
        """Those of the keys for `role` that are here and have one of these ids."""
        wanted = set(key_ids)
        return [signer for signer in self.signers(role) if signer.public_key.keyid in wanted]

    def forget(self, key_ids: Iterable[str]) -> None:
        """Rename the files of keys that no longer count, so that nobody signs with them."""
        gone = set(key_ids)
        for path in [path for role in ROLES for path in self._files(role)]:
            if self._load(path).public_key.keyid in gone:
                durable.move(path, path.with_suffix(".revoked"))
                del self._opened[path]

    def protect(self, passphrase: str) -> int:
        """Put every key that is here behind another passphrase; returns how many. Raises ReleaseProblem, OSError."""
        _check_length(passphrase)
        files = [path for role in ROLES for path in self._files(role)]
        signers = [self._load(path) for path in files]
        for path, signer in zip(files, signers, strict=True):
            durable.replace(path, self._locked(signer, passphrase.encode()))
        return len(files)

    def _files(self, role: str) -> list[Path]:
        if not self.directory.is_dir():
            return []
        found = [path for path in self.directory.iterdir() if _FILE.fullmatch(path.name)]
        return [path for path in found if path.name.startswith(role + "-")]

    @staticmethod
    def _number(path: Path) -> int:
        return int(path.stem.rpartition("-")[2])

    def _load(self, path: Path) -> CryptoSigner:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ReleaseProblem(f"{path}: others may read this key", f"chmod 600 {path}")
        if path not in self._opened:
            try:
                key = load_ssh_private_key(path.read_bytes(), self._passphrase)
            except (ValueError, TypeError):
                hint = "is it the right passphrase for this directory?"
                raise ReleaseProblem(f"{path}: cannot be opened", hint) from None
            self._opened[path] = CryptoSigner(key)
        return self._opened[path]

    def _locked(self, signer: CryptoSigner, passphrase: bytes) -> bytes:
        """The private key, encrypted by the passphrase."""
        locked = PrivateFormat.OpenSSH.encryption_builder().kdf_rounds(self._kdf_rounds).build(passphrase)
        key = load_pem_private_key(signer.private_bytes, None)
        return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, locked)


def _check_length(passphrase: str) -> None:
    if len(passphrase) < PASSPHRASE_LENGTH_MIN:
        raise ReleaseProblem(
            f"the passphrase has fewer than {PASSPHRASE_LENGTH_MIN} characters",
            "whoever gets the files can guess short ones: take five or six random words",
        )
