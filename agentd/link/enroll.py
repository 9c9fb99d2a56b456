"""Joining: a token is traded for an identity, once, over a connection whose authority the token pins.

Only the `join` command imports this: it needs a library for certificates, which the daemon does without.
Everything
is repeatable: the key and the request id are written before the first request, so that a repeated join asks
for the
same identity.
"""

import base64
import binascii
import hashlib
import json
import secrets
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from haulier.v1 import agent_pb2 as pb
from haulier.v1 import agent_pb2_grpc

from agentd.link import enrolment
from agentd.link.enrolment import CA, CERTIFICATE, IDENTITY, KEY, Enrolment

REQUEST = "join.json"
_PREFIX = "haulier-join."
_WAIT_S = 15.0
_TOKEN_CHARACTERS_MAX = 4096


class BadToken(Exception):
    """The text is no join token. The message never repeats it."""


class JoinFailed(Exception):
    """The control plane did not let us in, or could not be reached; says why."""


@dataclass(frozen=True, slots=True)
class Token:
    """A join token, taken apart. `pin` is the SHA-256 of the authority's certificate, as hex."""

    text: str
    host: str
    port: int
    pin: str


def parse(text: str) -> Token:
    """Take a token apart; raises BadToken. It is read from the right, because the address holds dots."""
    head, _, pin = text.rpartition(".")
    head, _, secret = head.rpartition(".")
    host, _, port = head.removeprefix(_PREFIX).rpartition(":")
    whole = text.startswith(_PREFIX) and len(text) <= _TOKEN_CHARACTERS_MAX
    if not (whole and host and secret and port.isdigit() and 0 < int(port) < 65536):
        raise BadToken("this is no join token (haulier-join.HOST:PORT.SECRET.PIN): copy it whole")
    try:
        base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4))
        if len(bytes.fromhex(pin)) != hashlib.sha256().digest_size:
            raise ValueError
    except (ValueError, binascii.Error):
        raise BadToken("this join token is damaged: copy it whole") from None
    return Token(text, host.strip("[]"), int(port), pin.lower())


def join(text: str, name: str, state: Path) -> Enrolment:
    """Trade the token for an identity in `state`. Raises BadToken and JoinFailed.

    Harmless to repeat; a state directory that belongs to an identity already keeps it."""
    token = parse(text)
    if (state / IDENTITY).exists():
        known = enrolment.load(state)
        raise JoinFailed(f"{state} has joined as {known.name} ({known.agent_id}) already: use another --state")
    authority_pem = pinned_authority(token)
    key, request_id = _key_and_request(state, token)
    request = pb.EnrollRequest(
        request_id=request_id, token=token.text, csr_pem=_signing_request(key, name), agent_name=name
    )
    response = _enrolled(token, authority_pem, request)
    _check(response, key, authority_pem)
    enrolment.save(state, CA, authority_pem)
    enrolment.save(state, CERTIFICATE, response.certificate_pem)
    identity = {"agent_id": response.agent_id, "name": name, "session_address": response.session_address}
    # Last, because its presence is what says that everything else is there.
    enrolment.save(state, IDENTITY, json.dumps(identity).encode("utf-8"))
    (state / REQUEST).unlink(missing_ok=True)
    return enrolment.load(state)


def pinned_authority(token: Token) -> bytes:
    """The authority's certificate (PEM) out of the chain that the door shows, if it is the pinned one.

    Nothing is sent before that is clear, so an impostor learns nothing. Raises JoinFailed."""
    where = f"{token.host}:{token.port}"
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((token.host, token.port), _WAIT_S) as plain,
            unverified.wrap_socket(plain, server_hostname=token.host) as secured,
        ):
            chain = _shown_chain(secured)
    except OSError as error:
        said = error.strerror or str(error) or type(error).__name__
        raise JoinFailed(f"the control plane at {where} cannot be reached: {said}") from error
    for der in chain:
        if hashlib.sha256(der).hexdigest() == token.pin:
            return ssl.DER_cert_to_PEM_cert(der).encode("ascii")
    raise JoinFailed(
        f"the server at {where} is not the control plane that made this token (its authority is another one): "
        "ask for a new token; if that fails too, somebody may be in between"
    )


def _shown_chain(secured: ssl.SSLSocket) -> list[bytes]:
    public = getattr(secured, "get_unverified_chain", None)
    if public is not None:
        return [bytes(der) for der in public()]
    # Before Python 3.13 the same function is there, one layer down, and gives objects.
    inner: Any = getattr(secured, "_sslobj", None)
    shown = inner.get_unverified_chain() or ()
    return [ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in shown]


def _key_and_request(state: Path, token: Token) -> tuple[ec.EllipticCurvePrivateKey, str]:
    """The key and request id of this join: those of an earlier try with the same token, or new ones on
    disk."""
    token_digest = hashlib.sha256(token.text.encode("utf-8")).hexdigest()
    try:
        told = json.loads((state / REQUEST).read_bytes())
        key = serialization.load_pem_private_key((state / KEY).read_bytes(), None)
        if told["token_sha256"] == token_digest and isinstance(key, ec.EllipticCurvePrivateKey):
            return key, str(told["request_id"])
    except (OSError, ValueError, KeyError, TypeError, UnsupportedAlgorithm):
        # There was no earlier try, or it did not get as far as a whole key.
        pass
    new_key = ec.generate_private_key(ec.SECP256R1())
    request_id = secrets.token_hex(16)
    pem = new_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        enrolment.save(state, KEY, pem)
        # The digest only tells tries apart; the token itself is never written down.
        told = {"request_id": request_id, "token_sha256": token_digest}
        enrolment.save(state, REQUEST, json.dumps(told).encode("ascii"))
    except OSError as error:
        raise JoinFailed(f"{state} cannot be written: {error.strerror}") from error
    return new_key, request_id


def _signing_request(key: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def _enrolled(token: Token, authority_pem: bytes, request: pb.EnrollRequest) -> pb.EnrollResponse:
    host = f"[{token.host}]" if ":" in token.host else token.host
    credentials = grpc.ssl_channel_credentials(root_certificates=authority_pem)
    with grpc.secure_channel(f"{host}:{token.port}", credentials) as channel:
        try:
            answer: pb.EnrollResponse = agent_pb2_grpc.AgentServiceStub(channel).Enroll(request, timeout=_WAIT_S)
        except grpc.RpcError as error:
            # The pure-Python stub's errors are calls as well; the class does not say so.
            told: Any = error
            code, details = told.code().name.lower(), " ".join((told.details() or "").split())
            raise JoinFailed(f"the control plane did not let this agent in ({code}): {details}") from error
    return answer


def _check(response: pb.EnrollResponse, key: ec.EllipticCurvePrivateKey, authority_pem: bytes) -> None:
    """Raise JoinFailed unless the certificate is ours and the pinned authority signed it."""
    try:
        certificate = x509.load_pem_x509_certificate(response.certificate_pem)
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority_pem))
    except Exception as error:
        raise JoinFailed("the control plane's answer holds no certificate of its authority") from error
    if certificate.public_key() != key.public_key():
        raise JoinFailed("the control plane's certificate is for another key")
    if not (response.agent_id and response.session_address):
        raise JoinFailed("the control plane's answer lacks this agent's id or the session address")
