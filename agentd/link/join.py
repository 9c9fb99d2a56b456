"""Joining: a token is traded for an identity, once, over a connection whose authority the token pins.

Only the `join` command imports this: it needs a library for certificates, which the daemon does without.
Everything
is repeatable: the key and the request id are written before the first request, so that a repeated join asks
for the
same identity.
"""

import base64
import binascii
import contextlib
import hashlib
import json
import os
import secrets
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from haulier.v1 import agent_pb2 as pb
from haulier.v1 import agent_pb2_grpc

from agentd.disk import durable
from agentd.link import clocks, identity_files, keys, proxies
from agentd.link.identity_files import CA, CANDIDATE, CERTIFICATE, IDENTITY, Enrolment, NotJoined
from agentd.link.proxies import Proxy

REQUEST = "join.json"
_PREFIX = "haulier-join."
_WAIT_S = 15.0
_TOKEN_CHARACTERS_MAX = 4096
_BUSY_PAUSES_S = (1.0, 2.0, 4.0, 8.0)


class BadToken(Exception):
    """The text is not a join token. The message never repeats it."""


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
    if text.startswith("haulier-operator."):
        raise BadToken("this is an operator token, which lets a person in: `haulier token create` makes a join token")
    head, _, pin = text.rpartition(".")
    head, _, secret = head.rpartition(".")
    host, _, port = head.removeprefix(_PREFIX).rpartition(":")
    whole = text.startswith(_PREFIX) and len(text) <= _TOKEN_CHARACTERS_MAX
    if not (whole and host and secret and port.isdigit() and 0 < int(port) < 65536):
        raise BadToken("this is not a join token (haulier-join.HOST:PORT.SECRET.PIN): copy it whole")
    try:
        base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4))
        if len(bytes.fromhex(pin)) != hashlib.sha256().digest_size:
            raise ValueError
    except (ValueError, binascii.Error):
        raise BadToken("this join token is damaged: copy it whole") from None
    return Token(text, host.strip("[]"), int(port), pin.lower())


def join(text: str, name: str, state: Path, proxy_text: str = "") -> Enrolment:
    """Trade the token for an identity in `state`. Raises BadToken, BadProxy and JoinFailed.

    Harmless to repeat. A state directory that belongs to an agent already keeps its id, its name and its journal and
    gets a new identity, where the token allows that. Without a `name` it is the known one, or else the host's."""
    token, proxy = parse(text), proxies.parse(proxy_text)
    known = _known(state)
    if known is not None and name and name != known.name:
        raise JoinFailed(f"{state} belongs to {known.name} ({known.agent_id}): use another --state for another name")
    name = known.name if known is not None else name or os.uname().nodename
    authority_pem = pinned_authority(token, proxy)
    candidate = state / CANDIDATE
    key, request_id = _key_and_request(candidate, token)
    request = pb.EnrollRequest(
        request_id=request_id, token=token.text, csr_pem=keys.signing_request(key, name), agent_name=name
    )
    response = _enrolled(token, authority_pem, request, proxy)
    bundle_pem = _check(response, key, authority_pem)
    if known is not None and known.agent_id != response.agent_id:
        identity_files.drop_candidate(state)
        raise JoinFailed(
            f"{state} belongs to {known.name} ({known.agent_id}), which the control plane does not know: it made "
            f"{response.agent_id}. Use another --state, or remove this one if the agent's attempts do not matter"
        )
    identity_files.save(candidate, CA, bundle_pem)
    identity_files.save(candidate, CERTIFICATE, response.certificate_pem)
    identity = {"agent_id": response.agent_id, "name": name, "session_address": response.session_address}
    if proxy is not None:
        identity["proxy"] = proxy.url()
    identity_files.save(candidate, IDENTITY, json.dumps(identity).encode("utf-8"))
    (candidate / REQUEST).unlink(missing_ok=True)
    identity_files.keep_candidate(state)
    return identity_files.load(state)


def _known(state: Path) -> Enrolment | None:
    try:
        return identity_files.load(state)
    except NotJoined:
        return None


def pinned_authority(token: Token, proxy: Proxy | None = None) -> bytes:
    """The authority's certificate (PEM) out of the chain that the listener shows, if it is the pinned one.

    Nothing is sent before that is clear, so an impostor learns nothing. Raises JoinFailed."""
    where = proxies.host_port(token.host, token.port)
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    try:
        with (
            proxies.connect(proxy, token.host, token.port, _WAIT_S) as plain,
            unverified.wrap_socket(plain, server_hostname=token.host) as secured,
        ):
            chain = _shown_chain(secured)
    except OSError as error:
        said = error.strerror or str(error) or type(error).__name__
        raise JoinFailed(f"the control plane at {where} cannot be reached: {said}{_way(proxy, token)}") from error
    _require_good_now(chain[0], where)
    for der in chain:
        if hashlib.sha256(der).hexdigest() == token.pin:
            return ssl.DER_cert_to_PEM_cert(der).encode("ascii")
    raise JoinFailed(
        f"the server at {where} is not the control plane that made this token (its authority is another one): "
        "ask for a new token; if that fails too, somebody may be in between"
    )


def _require_good_now(der: bytes, where: str) -> None:
    shown = x509.load_der_x509_certificate(der)
    begins_at, ends_at = shown.not_valid_before_utc.timestamp(), shown.not_valid_after_utc.timestamp()
    why = clocks.objection(begins_at, ends_at, time.time())
    if why:
        raise JoinFailed(f"the control plane at {where} is not believed yet: {why}")


def _way(proxy: Proxy | None, token: Token) -> str:
    return proxies.told(proxy, token.host, "--proxy", os.environ)


def _shown_chain(secured: ssl.SSLSocket) -> list[bytes]:
    public = getattr(secured, "get_unverified_chain", None)
    if public is not None:
        return [bytes(der) for der in public()]
    # Before Python 3.13 the same function is there, one layer down, and gives objects.
    inner: Any = getattr(secured, "_sslobj", None)
    shown = inner.get_unverified_chain() or ()
    return [ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in shown]


def _key_and_request(candidate: Path, token: Token) -> tuple[ec.EllipticCurvePrivateKey, str]:
    """The key and request id of this join: those of an earlier try with the same token, or new ones on
    disk."""
    token_digest = hashlib.sha256(token.text.encode("utf-8")).hexdigest()
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        # Otherwise there was no earlier try, or it did not get as far as a whole key.
        told = json.loads((candidate / REQUEST).read_bytes())
        key = keys.kept_key(candidate)
        if told["token_sha256"] == token_digest and key is not None:
            return key, str(told["request_id"])
    request_id = secrets.token_hex(16)
    try:
        durable.make_directory(candidate.parent)
        new_key = keys.new_key(candidate)
        # The digest only tells tries apart; the token itself is never written down.
        told = {"request_id": request_id, "token_sha256": token_digest}
        identity_files.save(candidate, REQUEST, json.dumps(told).encode("ascii"))
    except OSError as error:
        raise JoinFailed(f"{candidate.parent} cannot be written: {error.strerror}") from error
    return new_key, request_id


def _enrolled(token: Token, authority_pem: bytes, request: pb.EnrollRequest, proxy: Proxy | None) -> pb.EnrollResponse:
    credentials = grpc.ssl_channel_credentials(root_certificates=authority_pem)
    address, options = proxies.host_port(token.host, token.port), proxies.options(proxy)
    with grpc.secure_channel(address, credentials, options) as channel:
        stub = agent_pb2_grpc.AgentServiceStub(channel)
        for pause_s in (*_BUSY_PAUSES_S, None):
            try:
                answer: pb.EnrollResponse = stub.Enroll(request, timeout=_WAIT_S)
            except grpc.RpcError as error:
                # The pure-Python stub's errors are calls as well; the class does not say so.
                told: Any = error
                if told.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED or pause_s is None:
                    code, details = told.code().name.lower(), " ".join((told.details() or "").split())
                    if told.code() is grpc.StatusCode.UNAVAILABLE:
                        details += _way(proxy, token)
                    raise JoinFailed(f"the control plane did not let this agent in ({code}): {details}") from error
                # Many hosts join from one address: the same request may be made again, and not by all at once.
                time.sleep(pause_s * (0.5 + secrets.randbelow(500) / 1000))
            else:
                return answer
    raise AssertionError("the last try answers or raises")


def _check(response: pb.EnrollResponse, key: ec.EllipticCurvePrivateKey, authority_pem: bytes) -> bytes:
    """The authorities to believe (PEM). Raise JoinFailed unless the certificate is ours and one of them signed it.

    What else than the pinned authority is to be believed came over a connection that the pinned one vouches for."""
    try:
        bundle = x509.load_pem_x509_certificates(authority_pem + response.ca_pem)
        certificate = x509.load_pem_x509_certificate(response.certificate_pem)
        signer = next(each for each in bundle if _signed(each, certificate))
    except (ValueError, StopIteration) as error:
        raise JoinFailed("the control plane's answer holds no certificate of its authority") from error
    if certificate.public_key() != key.public_key():
        raise JoinFailed("the control plane's certificate is for another key")
    if not (response.agent_id and response.session_address):
        raise JoinFailed("the control plane's answer lacks this agent's id or the session address")
    believed = dict.fromkeys(each.public_bytes(serialization.Encoding.PEM) for each in (signer, *bundle))
    return b"".join(believed)


def _signed(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
