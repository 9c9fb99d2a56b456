"""Keys and certificate requests. Needs a library that the daemon does without: `join` imports this, and the daemon runs
it as a program, `python -m agentd.link.keys DIRECTORY NAME`, which makes a new key there and prints the request."""

import sys
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agentd.link import identity_files
from agentd.link.identity_files import KEY

_NAME_CHARACTERS_MAX = 64


def new_key(directory: Path) -> ec.EllipticCurvePrivateKey:
    """Make a key and write it to `directory`, closed to others. Raises OSError."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    identity_files.save(directory, KEY, pem)
    return key


def kept_key(directory: Path) -> ec.EllipticCurvePrivateKey | None:
    """The key that an earlier try left in `directory`; None where it left no whole one."""
    try:
        key = serialization.load_pem_private_key((directory / KEY).read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def signing_request(key: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    """A certificate signing request, PEM."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:_NAME_CHARACTERS_MAX])])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def main(directory: str, name: str) -> int:
    """Make a key, print its request; 1 where the key cannot be written."""
    try:
        key = new_key(Path(directory))
    except OSError as error:
        sys.stderr.write(f"{directory} cannot be written: {error.strerror}\n")
        return 1
    sys.stdout.buffer.write(signing_request(key, name))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
