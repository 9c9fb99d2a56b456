"""The certificate authority: what it signs, what it refuses, what it leaves on disk; real TLS handshakes."""

import contextlib
import ipaddress
import os
import ssl
import stat
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from controlplane.identity.authority import CA_LIFETIME_S, CertificateAuthority, key_fingerprint
from controlplane.identity.peers import Identity, IdentityError, identity_of, identity_of_peer

# OpenSSL judges the handshakes below by the real clock, so the certificates span all plausible ones.
NOW = 1_700_000_000.0
DAY_S = 86_400.0
LATER = NOW + 9 * 365 * DAY_S


@pytest.fixture(scope="module")
def authority() -> CertificateAuthority:
    return CertificateAuthority.create(now=NOW, serial=1)


def make_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def csr_for(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, *extensions: tuple[x509.ExtensionType, bool]) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "whatever it wants")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def issue(
    authority: CertificateAuthority,
    csr_pem: bytes,
    *,
    agent_id: str = "ag_1",
    agent_name: str = "host-1.example",
    not_before_at: float = NOW,
    not_after_at: float = LATER,
    serial: int = 2,
) -> bytes:
    return authority.issue_agent(
        csr_pem,
        agent_id=agent_id,
        agent_name=agent_name,
        not_before_at=not_before_at,
        not_after_at=not_after_at,
        serial=serial,
    )


def test_the_authority_is_one_self_signed_certificate_for_ten_years(authority: CertificateAuthority) -> None:
    certificate = x509.load_pem_x509_certificate(authority.certificate_pem)

    certificate.verify_directly_issued_by(certificate)
    assert certificate.not_valid_before_utc.timestamp() == NOW
    assert certificate.not_valid_after_utc.timestamp() == NOW + CA_LIFETIME_S
    assert authority.fingerprint == certificate.fingerprint(hashes.SHA256()).hex()
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert (constraints.value.ca, constraints.value.path_length) == (True, 0)


def test_an_agent_certificate_names_the_agent_and_nothing_else(authority: CertificateAuthority) -> None:
    key = make_key()
    pem = issue(authority, csr_for(key), agent_id="ag_3f9c", serial=77)
    certificate = x509.load_pem_x509_certificate(pem)

    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate_pem))
    assert certificate.public_key() == key.public_key()
    assert certificate.serial_number == 77
    alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(alternative) == [x509.UniformResourceIdentifier("haulier:agent/ag_3f9c")]
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert certificate.subject.rfc4514_string() == "CN=host-1.example"


def test_whatever_else_a_request_asks_for_is_ignored(authority: CertificateAuthority) -> None:
    greedy = csr_for(
        make_key(),
        (x509.BasicConstraints(ca=True, path_length=None), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectAlternativeName([x509.UniformResourceIdentifier("haulier:controlplane")]), False),
    )
    pem = issue(authority, greedy, agent_id="ag_7")

    assert identity_of(pem) == Identity("agent", "ag_7", LATER, "2", authority.key_id)
    certificate = x509.load_pem_x509_certificate(pem)
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_a_request_signed_by_another_key_is_refused(authority: CertificateAuthority) -> None:
    request = x509.load_pem_x509_csr(csr_for(make_key()))
    der = bytearray(request.public_bytes(serialization.Encoding.DER))
    der[der.index(b"whatever it wants")] ^= 0x20
    forged = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM)

    with pytest.raises(IdentityError, match="not signed by its own key"):
        issue(authority, forged)


@pytest.mark.parametrize(
    "csr_pem",
    [b"", b"hello", b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"],
)
def test_an_unreadable_request_is_refused(authority: CertificateAuthority, csr_pem: bytes) -> None:
    with pytest.raises(IdentityError, match="cannot be read"):
        issue(authority, csr_pem)


def test_an_oversized_request_is_refused_unparsed(authority: CertificateAuthority) -> None:
    with pytest.raises(IdentityError, match="larger than 16384 bytes"):
        issue(authority, csr_for(make_key()) + b"\n" * 16_384)


def test_keys_of_other_kinds_are_refused(authority: CertificateAuthority) -> None:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject)
    odd = request.sign(ed25519.Ed25519PrivateKey.generate(), None).public_bytes(serialization.Encoding.PEM)
    short = csr_for(rsa.generate_private_key(public_exponent=65537, key_size=1024))

    for csr_pem in (odd, short):
        with pytest.raises(IdentityError, match="kind that is not accepted"):
            issue(authority, csr_pem)


@pytest.mark.parametrize("agent_id", ["", "host", "ag_", "ag_a/b", "ag_a\n", "mig_1", "ag_" + "x" * 65])
def test_a_malformed_agent_id_is_never_signed(authority: CertificateAuthority, agent_id: str) -> None:
    with pytest.raises(IdentityError, match="agent id is malformed"):
        issue(authority, csr_for(make_key()), agent_id=agent_id)


@pytest.mark.parametrize("agent_name", ["", "-host", "a b", "a\n", "ä", "x" * 254])
def test_a_malformed_agent_name_is_never_signed(authority: CertificateAuthority, agent_name: str) -> None:
    with pytest.raises(IdentityError, match="agent name is malformed"):
        issue(authority, csr_for(make_key()), agent_name=agent_name)


def test_the_longest_agent_name_fits(authority: CertificateAuthority) -> None:
    assert identity_of(issue(authority, csr_for(make_key()), agent_name="x" * 253)).id == "ag_1"


def test_a_leaf_ends_with_its_authority_at_the_latest(authority: CertificateAuthority) -> None:
    pem = issue(authority, csr_for(make_key()), not_after_at=NOW + 2 * CA_LIFETIME_S)
    assert identity_of(pem).not_after_at == NOW + CA_LIFETIME_S


@pytest.mark.parametrize("not_before_at", [LATER, LATER + 1, float("nan")])
def test_a_leaf_that_ends_before_it_begins_is_refused(authority: CertificateAuthority, not_before_at: float) -> None:
    with pytest.raises(IdentityError, match="end before it begins"):
        issue(authority, csr_for(make_key()), not_before_at=not_before_at)


def test_the_control_plane_is_named_by_every_way_to_reach_it(authority: CertificateAuthority) -> None:
    credentials = authority.issue_controlplane(
        ["cp.example", "10.1.2.3", "localhost"], not_before_at=NOW, not_after_at=LATER, serial=3
    )
    leaf, issuer = x509.load_pem_x509_certificates(credentials.chain_pem)

    assert issuer.fingerprint(hashes.SHA256()).hex() == authority.fingerprint
    alternative = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert alternative.get_values_for_type(x509.DNSName) == ["cp.example", "localhost"]
    assert alternative.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address(each) for each in ("10.1.2.3", "127.0.0.1", "::1")
    ]
    assert identity_of(credentials.chain_pem).kind == "controlplane"
    assert b"PRIVATE" not in repr(credentials).encode()


@pytest.mark.parametrize("name", ["", "no spaces", "http://cp", "*"])
def test_a_name_that_reaches_nothing_is_refused(authority: CertificateAuthority, name: str) -> None:
    with pytest.raises(IdentityError, match="neither a host name nor an IP address"):
        authority.issue_controlplane([name], not_before_at=NOW, not_after_at=LATER, serial=3)


def test_save_and_load_keep_the_authority(authority: CertificateAuthority, tmp_path: Path) -> None:
    authority.save(tmp_path / "state")
    again = CertificateAuthority.load(tmp_path / "state")

    assert again.fingerprint == authority.fingerprint
    assert (tmp_path / "state" / "ca.pem").read_bytes() == authority.certificate_pem
    assert stat.S_IMODE((tmp_path / "state" / "authority.pem").stat().st_mode) == 0o600
    assert sorted(each.name for each in (tmp_path / "state").iterdir()) == ["authority.pem", "ca.pem"]
    # Signed by the loaded one, accepted by the first one's certificate.
    signed = x509.load_pem_x509_certificate(issue(again, csr_for(make_key())))
    signed.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate_pem))


def test_an_authority_is_never_replaced(authority: CertificateAuthority, tmp_path: Path) -> None:
    authority.save(tmp_path)
    with pytest.raises(IdentityError, match="already holds a certificate authority"):
        CertificateAuthority.create(now=NOW, serial=9).save(tmp_path)
    assert CertificateAuthority.load(tmp_path).fingerprint == authority.fingerprint


def test_an_interrupted_save_can_be_done_again(authority: CertificateAuthority, tmp_path: Path) -> None:
    (tmp_path / f".authority.pem.{os.getpid()}-{threading.get_native_id()}.new").write_bytes(b"half a k")
    (tmp_path / "ca.pem").write_bytes(b"of an authority whose key was never written")
    authority.save(tmp_path)
    assert CertificateAuthority.load(tmp_path).fingerprint == authority.fingerprint
    assert (tmp_path / "ca.pem").read_bytes() == authority.certificate_pem


def test_a_missing_authority_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match="haulier-controlplane init"):
        CertificateAuthority.load(tmp_path)


def test_an_exposed_key_is_refused(authority: CertificateAuthority, tmp_path: Path) -> None:
    authority.save(tmp_path)
    (tmp_path / "authority.pem").chmod(0o640)
    with pytest.raises(IdentityError, match="chmod 600"):
        CertificateAuthority.load(tmp_path)


def test_a_damaged_authority_is_refused_without_quoting_it(authority: CertificateAuthority, tmp_path: Path) -> None:
    authority.save(tmp_path)
    path = tmp_path / "authority.pem"
    whole = path.read_bytes()
    for damaged in (b"", whole[: len(whole) // 4], whole.replace(b"BEGIN CERTIFICATE", b"BEGIN CERT")):
        path.write_bytes(damaged)
        with pytest.raises(IdentityError, match="is damaged; restore") as caught:
            CertificateAuthority.load(tmp_path)
        assert whole.splitlines()[1].decode() not in str(caught.value)


def test_a_key_of_another_authority_is_refused(authority: CertificateAuthority, tmp_path: Path) -> None:
    authority.save(tmp_path)
    path = tmp_path / "authority.pem"
    path.write_bytes(pem_of(make_key()) + authority.certificate_pem)
    with pytest.raises(IdentityError, match="do not belong together"):
        CertificateAuthority.load(tmp_path)


def test_a_directory_that_cannot_be_written_is_one_clear_error(authority: CertificateAuthority, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(IdentityError, match="cannot be written"):
        authority.save(tmp_path / "file" / "state")


def test_a_directory_in_place_of_the_authority_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "authority.pem").mkdir(mode=0o700)
    with pytest.raises(IdentityError, match="cannot be read"):
        CertificateAuthority.load(tmp_path)


def test_the_fingerprint_is_of_the_key_not_of_the_request() -> None:
    key, other = make_key(), make_key()
    again = csr_for(key, (x509.BasicConstraints(ca=False, path_length=None), False))
    assert key_fingerprint(csr_for(key)) == key_fingerprint(again)
    assert key_fingerprint(csr_for(key)) != key_fingerprint(csr_for(other))


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, server_hostname: str) -> ssl.SSLObject:
    """Runs a TLS handshake in memory and returns the server's side. Raises what either side raises."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=server_hostname)
    far = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (near, far):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    return far


class Ends:
    """TLS contexts of one agent and one control plane."""

    def __init__(self, authority: CertificateAuthority, directory: Path) -> None:
        self.directory = directory
        self.key = make_key()
        self.agent_pem = issue(authority, csr_for(self.key), agent_id="ag_tls")
        issued = authority.issue_controlplane([], not_before_at=NOW, not_after_at=LATER, serial=5)
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.verify_mode = ssl.CERT_REQUIRED
        self.client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for context in (self.server, self.client):
            context.load_verify_locations(cadata=authority.certificate_pem.decode())
        self.give(self.server, issued.chain_pem, issued.key_pem)

    def give(self, context: ssl.SSLContext, chain_pem: bytes, key_pem: bytes) -> None:
        (self.directory / "chain.pem").write_bytes(chain_pem)
        (self.directory / "key.pem").write_bytes(key_pem)
        context.load_cert_chain(self.directory / "chain.pem", self.directory / "key.pem")


@pytest.mark.parametrize("server_hostname", ["localhost", "127.0.0.1", "::1"])
def test_agent_and_control_plane_trust_each_other(
    authority: CertificateAuthority, tmp_path: Path, server_hostname: str
) -> None:
    ends = Ends(authority, tmp_path)
    ends.give(ends.client, ends.agent_pem, pem_of(ends.key))

    der = handshake(ends.client, ends.server, server_hostname).getpeercert(binary_form=True)

    assert der is not None
    assert identity_of(ssl.DER_cert_to_PEM_cert(der).encode()).id == "ag_tls"


def test_an_agent_without_a_certificate_is_not_let_in(authority: CertificateAuthority, tmp_path: Path) -> None:
    ends = Ends(authority, tmp_path)
    with pytest.raises(ssl.SSLError, match=r"(?i)peer did not return a certificate"):
        handshake(ends.client, ends.server, "localhost")


def test_an_agent_of_another_authority_is_not_let_in(authority: CertificateAuthority, tmp_path: Path) -> None:
    ends = Ends(authority, tmp_path)
    stranger = CertificateAuthority.create(now=NOW, serial=1)
    ends.give(ends.client, issue(stranger, csr_for(ends.key)), pem_of(ends.key))
    with pytest.raises(ssl.SSLError, match=r"(?i)certificate verify failed"):
        handshake(ends.client, ends.server, "localhost")


def test_an_agent_cannot_pass_for_a_control_plane(authority: CertificateAuthority, tmp_path: Path) -> None:
    ends = Ends(authority, tmp_path)
    ends.give(ends.client, ends.agent_pem, pem_of(ends.key))
    ends.give(ends.server, ends.agent_pem, pem_of(ends.key))
    # Even where a caller forgot to check the host name, the certificate's usage gives it away.
    ends.client.check_hostname = False
    with pytest.raises(ssl.SSLError, match=r"(?i)unsuitable certificate purpose|unsupported certificate"):
        handshake(ends.client, ends.server, "localhost")


def test_a_peer_without_a_certificate_is_nobody() -> None:
    assert identity_of_peer({"transport_security_type": [b"ssl"]}) is None


def test_a_peer_is_read_from_the_connection(authority: CertificateAuthority) -> None:
    pem = issue(authority, csr_for(make_key()), agent_id="ag_9")
    assert identity_of_peer({"x509_pem_cert": [pem]}) == Identity("agent", "ag_9", LATER, "2", authority.key_id)


def self_signed(*names: x509.GeneralName) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    key = make_key()
    start = x509.load_pem_x509_certificate(
        CertificateAuthority.create(now=NOW, serial=1).certificate_pem
    ).not_valid_before_utc
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(4)
        .not_valid_before(start)
        .not_valid_after(start.replace(year=start.year + 1))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


URI = x509.UniformResourceIdentifier


@pytest.mark.parametrize(
    ("names", "because"),
    [
        ([], "no readable name"),
        ([x509.DNSName("haulier.example")], "exactly one peer"),
        ([URI("haulier:agent/ag_1"), URI("haulier:agent/ag_2")], "exactly one peer"),
        ([URI("haulier:agent/")], "nobody of this system"),
        ([URI("haulier:controlplane/x")], "nobody of this system"),
        ([URI("other:agent/ag_1")], "nobody of this system"),
    ],
)
def test_a_certificate_without_one_clear_name_is_nobody(names: list[x509.GeneralName], because: str) -> None:
    with pytest.raises(IdentityError, match=because):
        identity_of(self_signed(*names))


def test_something_that_is_no_certificate_is_nobody() -> None:
    with pytest.raises(IdentityError, match="no readable name"):
        identity_of(b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")
