"""The certificate authority of one control plane: it signs agents and the control plane's own listeners.

An agent is its certificate: the URI name ``haulier:agent/<agent_id>`` in it, and nothing that a request says.
Instants are float seconds since 1970; serial numbers are positive integers below 2**159, never used twice.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from controlplane import durable
from controlplane.identity.peers import AGENT_URI, CONTROLPLANE_URI, IdentityError

CA_LIFETIME_S = 10 * 365 * 86_400.0
CONTROLPLANE_CERTIFICATE_TTL_S = 30 * 86_400.0

AUTHORITY_FILE = "authority.pem"
CERTIFICATE_FILE = "ca.pem"
# A request with the largest key we accept is under 2 KiB; parsing stays cheap for whoever sends one.
_CSR_BYTES_MAX = 16_384
_CURVES = ("secp256r1", "secp384r1")
_RSA_BITS_MIN, _RSA_BITS_MAX = 2048, 4096
_AGENT_ID = re.compile(r"ag_[A-Za-z0-9_-]{1,64}")
_AGENT_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_COMMON_NAME_MAX = 64
_ALWAYS_NAMED = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class ServerCredentials:
    """What a TLS listener needs."""

    # PKCS#8 PEM, unencrypted: keep it in memory or in a file of mode 0600. Not shown by repr.
    key_pem: bytes = field(repr=False)
    # PEM of the leaf, then of the authority, so that a client finds the authority by its pin.
    chain_pem: bytes


class CertificateAuthority:
    """A P-256 key and its self-signed certificate. Build it with `create` or `load`."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._key = key
        self._certificate = certificate
        self.certificate_pem: bytes = certificate.public_bytes(serialization.Encoding.PEM)
        self.fingerprint: str = certificate.fingerprint(hashes.SHA256()).hex()
        # What the certificates that it signs say of it.
        self.key_id: str = x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest.hex()
        self.not_after_at: float = certificate.not_valid_after_utc.timestamp()

    def __repr__(self) -> str:
        return f"CertificateAuthority(fingerprint={self.fingerprint})"

    @classmethod
    def create(cls, *, now: float, serial: int) -> "CertificateAuthority":
        """Makes a new key and certificate, valid for ten years from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        # Two authorities live side by side while one replaces the other: their names must differ.
        common_name = f"Haulier certificate authority {serial % 2**32:08x}"
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        certificate = (
            _builder(name, name, key.public_key(), serial, now, now + CA_LIFETIME_S)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(key, certificate)

    @classmethod
    def load(cls, directory: Path, name: str = AUTHORITY_FILE) -> "CertificateAuthority":
        """Reads what `save` wrote. Raises IdentityError when it is missing, exposed or damaged."""
        path = directory / name
        try:
            if path.stat().st_mode & 0o077:
                raise IdentityError(
                    f"{path} can be read by others than its owner",
                    "make a new authority if anyone may have copied it; otherwise: chmod 600 on that file",
                )
            content = path.read_bytes()
        except FileNotFoundError:
            raise IdentityError(
                f"{path} does not exist", "run `haulier-controlplane init` first, or restore it from a backup"
            ) from None
        except OSError as refused:
            raise IdentityError(f"{path} cannot be read: {refused.strerror}", "check its owner and mode") from None
        try:
            key = serialization.load_pem_private_key(content, password=None)
            certificate = x509.load_pem_x509_certificate(content)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            # The parser's own words may quote the file; they are left out on purpose.
            raise IdentityError(f"{path} is damaged", "restore it from a backup") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise IdentityError(
                f"the key and the certificate in {path} do not belong together", "restore it from a backup"
            )
        return cls(key, certificate)

    def save(self, directory: Path) -> None:
        """Writes authority.pem (key and certificate, mode 0600) and ca.pem (certificate alone, for hosts).

        Durable on return. Raises IdentityError rather than replace an authority.
        """
        try:
            durable.make_directory(directory)
            # Key and certificate share one file, so that no crash can leave one without the other.
            durable.create(directory / AUTHORITY_FILE, self.whole_pem(), mode=0o600)
            (directory / CERTIFICATE_FILE).unlink(missing_ok=True)
            durable.create(directory / CERTIFICATE_FILE, self.certificate_pem, mode=0o644)
        except FileExistsError:
            raise IdentityError(
                f"{directory} already holds a certificate authority",
                "use it, or choose an empty directory: replacing it would cut off every agent",
            ) from None
        except OSError as refused:
            raise IdentityError(
                f"the certificate authority cannot be written to {directory}: {refused.strerror}",
                "choose a directory that this user can write and that has free space",
            ) from None

    def whole_pem(self) -> bytes:
        """Key and certificate: a secret."""
        key_pem = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return key_pem + self.certificate_pem

    def issue_agent(
        self,
        csr_pem: bytes,
        *,
        agent_id: str,
        agent_name: str,
        not_before_at: float,
        not_after_at: float,
        serial: int,
    ) -> bytes:
        """Signs an agent's key: PEM of a client certificate that names `agent_id`.

        Of the request only the key counts; names, usages and lifetimes that it asks for are ignored.
        Hosts' clocks differ, so callers date `not_before_at` a few minutes back.
        Raises IdentityError on a bad request, id or name.
        """
        if not _AGENT_ID.fullmatch(agent_id):
            raise IdentityError("the agent id is malformed", "agent ids look like ag_3f9c…")
        check_agent_name(agent_name)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, agent_name[:_COMMON_NAME_MAX])])
        certificate = self._leaf(
            subject,
            _public_key_of(csr_pem),
            [x509.UniformResourceIdentifier(AGENT_URI + agent_id)],
            ExtendedKeyUsageOID.CLIENT_AUTH,
            (not_before_at, not_after_at),
            serial,
        )
        return certificate.public_bytes(serialization.Encoding.PEM)

    def issue_controlplane(
        self, names: Iterable[str], *, not_before_at: float, not_after_at: float, serial: int
    ) -> ServerCredentials:
        """Makes a key and signs it for the control plane's TLS listeners.

        `names` are the host names and IP addresses under which it is reached; localhost, 127.0.0.1 and
        ::1 are always added. Raises IdentityError on a name that is neither.
        """
        alternative: list[x509.GeneralName] = [x509.UniformResourceIdentifier(CONTROLPLANE_URI)]
        alternative += [_general_name(name) for name in dict.fromkeys((*names, *_ALWAYS_NAMED))]
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._leaf(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Haulier control plane")]),
            key.public_key(),
            alternative,
            ExtendedKeyUsageOID.SERVER_AUTH,
            (not_before_at, not_after_at),
            serial,
        )
        return ServerCredentials(
            key_pem=key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            chain_pem=certificate.public_bytes(serialization.Encoding.PEM) + self.certificate_pem,
        )

    def _leaf(
        self,
        subject: x509.Name,
        public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
        alternative: list[x509.GeneralName],
        usage: x509.ObjectIdentifier,
        validity: tuple[float, float],
        serial: int,
    ) -> x509.Certificate:
        not_before_at, not_after_at = validity
        # A leaf that seems to outlive its authority would surprise later; it says the truth instead.
        not_after_at = min(not_after_at, self._certificate.not_valid_after_utc.timestamp())
        if not not_before_at < not_after_at:
            raise IdentityError(
                "the certificate would end before it begins",
                "check this host's clock, and whether the certificate authority itself has ended",
            )
        own_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            _builder(subject, self._certificate.subject, public_key, serial, not_before_at, not_after_at)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectAlternativeName(alternative), critical=False)
            .add_extension(own_id, critical=False)
            .sign(self._key, hashes.SHA256())
        )


def check_agent_name(agent_name: str) -> None:
    """Raises IdentityError unless it can name a host: letters, digits, dot, dash, underscore; at most 253."""
    if not _AGENT_NAME.fullmatch(agent_name):
        raise IdentityError(
            "the agent name is malformed",
            "use letters, digits, '.', '-' and '_', beginning and ending with a letter or digit, at most 253",
        )


def key_fingerprint(csr_pem: bytes) -> str:
    """SHA-256, hex, of the public key in a certificate request. Raises IdentityError on a bad request."""
    return _spki_fingerprint(_public_key_of(csr_pem))


def _spki_fingerprint(public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> str:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
    return digest.finalize().hex()


def _public_key_of(csr_pem: bytes) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
    hint = "send a PEM certificate request made with an EC P-256 key"
    if len(csr_pem) > _CSR_BYTES_MAX:
        raise IdentityError(f"the certificate request is larger than {_CSR_BYTES_MAX} bytes", hint)
    try:
        request = x509.load_pem_x509_csr(csr_pem)
        public_key = request.public_key()
        is_signed = request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature):
        raise IdentityError("the certificate request cannot be read", hint) from None
    if not is_signed:
        raise IdentityError("the certificate request is not signed by its own key", hint)
    if isinstance(public_key, ec.EllipticCurvePublicKey) and public_key.curve.name in (
        "secp256r1",
        "secp384r1",
    ):
        return public_key
    if isinstance(public_key, rsa.RSAPublicKey) and _RSA_BITS_MIN <= public_key.key_size <= _RSA_BITS_MAX:
        return public_key
    raise IdentityError("the key of the certificate request is of a kind that is not accepted", hint)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    serial: int,
    not_before_at: float,
    not_after_at: float,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(datetime.fromtimestamp(not_before_at, UTC))
        .not_valid_after(datetime.fromtimestamp(not_after_at, UTC))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    if not _AGENT_NAME.fullmatch(name):
        raise IdentityError(f"{name!r} is neither a host name nor an IP address", "correct it in the configuration")
    return x509.DNSName(name)
