"""A private certificate authority, and a listener with TLS in front of a PostgreSQL that has none built in."""

import contextlib
import datetime
import select
import socket
import ssl
import struct
import threading
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_TLS_REQUEST = struct.pack("!II", 8, 80877103)


@dataclass(frozen=True)
class Signed:
    """Paths of a certificate and its key."""

    certificate: Path
    key: Path


class PrivateAuthority:
    """Signs certificates that no host trusts by itself; `path` is its own."""

    def __init__(self, directory: Path, name: str = "private CA") -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / "ca.crt"
        self._write(self.path, self._signed(self._name, self._key, x509.BasicConstraints(ca=True, path_length=0)))

    def sign(self, name: str) -> Signed:
        """A certificate for a host, or for a role, of this name."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = Signed(self._directory / f"{name}.crt", self._directory / f"{name}.key")
        self._write(made.certificate, self._signed(subject, key, x509.SubjectAlternativeName([x509.DNSName(name)])))
        form = serialization.PrivateFormat.PKCS8
        made.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        made.key.chmod(0o600)
        return made

    def _signed(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(extension, critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def _write(self, path: Path, certificate: x509.Certificate) -> None:
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


class TlsProxy:
    """Listens at 127.0.0.1 and `port`, speaks TLS as PostgreSQL does, and carries all else to the server's socket.

    With `clients`, whoever shows no certificate of that authority's is turned away.
    """

    def __init__(self, server: Path, identity: Signed, clients: PrivateAuthority | None = None) -> None:
        self._server = server
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(identity.certificate, identity.key)
        if clients is not None:
            self._context.load_verify_locations(clients.path)
            self._context.verify_mode = ssl.CERT_REQUIRED
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, name="tls listener", daemon=True).start()

    def close(self) -> None:
        """Let nobody in any more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), plain, socket.socket(socket.AF_UNIX) as server:
            if plain.recv(8, socket.MSG_WAITALL) != _TLS_REQUEST:
                return
            plain.sendall(b"S")
            with self._context.wrap_socket(plain, server_side=True) as client:
                server.connect(str(self._server))
                while True:
                    ready = [client] if client.pending() else select.select([client, server], [], [])[0]
                    if client in ready:
                        _moved(client, server)
                    if server in ready:
                        _moved(server, client)


def _moved(source: socket.socket, sink: socket.socket) -> None:
    data = source.recv(65_536)
    if not data:
        raise ConnectionError("one side hung up")
    sink.sendall(data)
