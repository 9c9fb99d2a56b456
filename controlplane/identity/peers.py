"""Who is at the other end of a connection, as its certificate says.

The TLS layer has already verified the chain; this only reads the name. It is called once per connection.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from cryptography import x509

AGENT_URI = "haulier:agent/"
CONTROLPLANE_URI = "haulier:controlplane"


class IdentityError(Exception):
    """A certificate, request, token or authority that cannot be used. Never holds a secret or a key."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(f"{message}; {hint}")
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Identity:
    """A named peer."""

    kind: Literal["agent", "controlplane"]
    # "ag_…" for an agent; empty for the control plane, of which there is one.
    id: str
    # End of the certificate: a stream outlives it unless it is ended then. Float seconds since 1970.
    not_after_at: float
    # The certificate's serial number, hex.
    serial: str = ""
    # Which authority signed it: its subject key identifier, hex.
    authority: str = ""


def identity_of(certificate_pem: bytes) -> Identity:
    """Reads the one Haulier name of a certificate. Raises IdentityError when there is none, or several."""
    hint = "join the agent again with a fresh join token"
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = alternative.get_values_for_type(x509.UniformResourceIdentifier)
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        raise IdentityError("the peer's certificate has no readable name", hint) from None
    if len(names) != 1:
        raise IdentityError("the peer's certificate does not name exactly one peer", hint)
    not_after_at = certificate.not_valid_after_utc.timestamp()
    serial = f"{certificate.serial_number:x}"
    if names[0] == CONTROLPLANE_URI:
        return Identity("controlplane", "", not_after_at, serial, _authority_of(certificate))
    if names[0].startswith(AGENT_URI + "ag_"):
        agent_id = names[0].removeprefix(AGENT_URI)
        return Identity("agent", agent_id, not_after_at, serial, _authority_of(certificate))
    raise IdentityError("the peer's certificate names nobody of this system", hint)


def _authority_of(certificate: x509.Certificate) -> str:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    except x509.ExtensionNotFound:
        return ""
    return (extension.value.key_identifier or b"").hex()


def identity_of_peer(auth_context: Mapping[str, Iterable[bytes]]) -> Identity | None:
    """The same from gRPC's `context.auth_context()`; None when the peer showed no certificate."""
    certificate_pem = next(iter(auth_context.get("x509_pem_cert", ())), None)
    return None if certificate_pem is None else identity_of(certificate_pem)
