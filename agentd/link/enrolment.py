"""The identity that `join` left in the state directory."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

KEY, CERTIFICATE, CA, IDENTITY = "key.pem", "certificate.pem", "ca.pem", "identity.json"


class NotJoined(Exception):
    """The state directory holds no usable identity; says how to get one."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Who this agent is and where its control plane listens. `session_address` is host:port."""

    state: Path
    agent_id: str
    name: str
    session_address: str

    def key_pem(self) -> bytes:
        """The private key, read anew: it may have been renewed."""
        return _read(self.state / KEY)

    def certificate_pem(self) -> bytes:
        """The certificate chain."""
        return _read(self.state / CERTIFICATE)

    def ca_pem(self) -> bytes:
        """The authority that signs control planes."""
        return _read(self.state / CA)


def load(state: Path) -> Enrolment:
    """The enrolment in `state`; raises NotJoined."""
    try:
        told = json.loads(_read(state / IDENTITY))
        return Enrolment(state, str(told["agent_id"]), str(told["name"]), str(told["session_address"]))
    except (ValueError, KeyError, TypeError) as error:
        raise NotJoined(f"{state / IDENTITY} is damaged: join again with a new token") from error


def save(state: Path, name: str, data: bytes) -> None:
    """Write one file of the state directory (mode 0600), synced, then visible at once."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = state / f"{name}.new"
    descriptor = os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    temporary.replace(state / name)
    directory = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotJoined(
            f"{path} cannot be read ({error.strerror}): run `haulier-agentd join TOKEN --state {path.parent}`"
        ) from error
