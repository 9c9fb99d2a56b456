"""The authorities of one control plane: one, or two while the authority is being changed.

At rest there is ``authority.pem``. A change makes ``next.pem`` beside it: agents' certificates are signed by the next
one from then on, the listeners still show a certificate of the present one, and both are believed. The change ends
when ``next.pem`` takes the place of ``authority.pem``, which is one rename. Whichever files a restart finds, they say
where the change stands.
"""

import contextlib
from pathlib import Path

from controlplane import durable
from controlplane.identity.authority import (
    AUTHORITY_FILE,
    CERTIFICATE_FILE,
    CertificateAuthority,
)
from controlplane.identity.peers import IdentityError

NEXT_FILE = "next.pem"


class Authorities:
    """Who signs what, and who is believed."""

    def __init__(self, directory: Path, present: CertificateAuthority, following: CertificateAuthority | None) -> None:
        self._directory = directory
        self.present = present
        self.following = following

    @classmethod
    def load(cls, directory: Path) -> "Authorities":
        """Read what is there. Raises IdentityError when it is missing, exposed or damaged."""
        present = CertificateAuthority.load(directory)
        following = CertificateAuthority.load(directory, NEXT_FILE) if (directory / NEXT_FILE).exists() else None
        return cls(directory, present, following)

    @property
    def signing(self) -> CertificateAuthority:
        """Who signs agents."""
        return self.following or self.present

    @property
    def bundle_pem(self) -> bytes:
        """Certificates of all that are believed, the one that signs the listeners first."""
        return self.present.certificate_pem + (self.following.certificate_pem if self.following else b"")

    def rotate(self, *, now: float, serial: int) -> CertificateAuthority:
        """Make the next authority, durably, and return it. Raises IdentityError while a change is under way."""
        following = CertificateAuthority.create(now=now, serial=serial)
        try:
            durable.create(self._directory / NEXT_FILE, following.whole_pem(), mode=0o600)
        except FileExistsError:
            raise IdentityError(
                "the authority is being changed already", "end that with `haulier authority retire --reason TEXT` first"
            ) from None
        except OSError as error:
            raise IdentityError(f"{self._directory} cannot be written: {error.strerror}", "make room there") from None
        self.following = following
        self._publish()
        return following

    def finish(self) -> str:
        """Retire the present authority, durably: its key is gone. Return its fingerprint.

        Whether anybody still needs it is the caller's to know. Raises IdentityError when there is no next one.
        """
        if self.following is None:
            raise IdentityError(
                "the authority is not being changed", "begin with `haulier authority rotate --reason TEXT`"
            )
        retired = self.present.fingerprint
        try:
            durable.move(self._directory / NEXT_FILE, self._directory / AUTHORITY_FILE)
        except OSError as error:
            raise IdentityError(f"{self._directory} cannot be written: {error.strerror}", "see to that disk") from None
        self.present, self.following = self.following, None
        self._publish()
        return retired

    def _publish(self) -> None:
        """Write ca.pem anew, for whoever carries it to operators by hand."""
        # Derived, and no part of the change: the next one writes it again.
        with contextlib.suppress(OSError):
            durable.replace(self._directory / CERTIFICATE_FILE, self.bundle_pem, mode=0o644)
