"""The identity in the state directory: what `join` left, and what takes its place.

A new identity is laid into a directory beside the one in use. One rename of that directory decides that it takes over;
moving its files to their places may then be cut short, and whoever looks next goes on with it.
"""

import contextlib
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from agentd.disk import durable
from agentd.link import proxies
from agentd.link.proxies import Proxy

CANDIDATE, SWITCHING = "candidate", "switching"
KEY, CERTIFICATE, CA, IDENTITY = "key.pem", "certificate.pem", "ca.pem", "identity.json"


class NotJoined(Exception):
    """The state directory holds no usable identity; says how to get one."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Who this agent is and where its control plane listens. `session_address` is host:port, `proxy` the web proxy on
    the way there, None for a direct one."""

    state: Path
    agent_id: str
    name: str
    session_address: str
    proxy: Proxy | None = None

    @property
    def session_host(self) -> str:
        """The host of the session's address, without brackets."""
        return self.session_address.rpartition(":")[0].strip("[]")

    def through(self, proxy: Proxy | None) -> "Enrolment":
        """The same, by way of the host's own choice of a proxy, where it makes one."""
        return self if proxy is None else replace(self, proxy=proxy)

    def pair(self, candidate: bool = False) -> tuple[bytes, bytes, bytes]:
        """PEM of the believed authorities, the private key and the certificate, read anew: they are renewed."""
        if not candidate:
            _finish_switch(self.state)
        place = self.state / CANDIDATE if candidate else self.state
        return _read(place / CA), _read(place / KEY), _read(place / CERTIFICATE)


def load(state: Path) -> Enrolment:
    """The enrolment in `state`; raises NotJoined."""
    _finish_switch(state)
    try:
        told = json.loads(_read(state / IDENTITY))
        return Enrolment(
            state,
            str(told["agent_id"]),
            str(told["name"]),
            str(told["session_address"]),
            proxies.parse(str(told.get("proxy", ""))),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise NotJoined(f"{state / IDENTITY} is damaged: join again with a new token") from error


def keep_candidate(state: Path) -> None:
    """Put the candidate in place of what is in use. Raises OSError."""
    durable.move(state / CANDIDATE, state / SWITCHING)
    _finish_switch(state)


def drop_candidate(state: Path) -> None:
    """Forget the candidate, if there is one."""
    shutil.rmtree(state / CANDIDATE, ignore_errors=True)


def _finish_switch(state: Path) -> None:
    switching = state / SWITCHING
    if not switching.is_dir():
        return
    # The identity last: it says that all of it is there.
    for name in (KEY, CERTIFICATE, CA, IDENTITY):
        with contextlib.suppress(FileNotFoundError):
            durable.move(switching / name, state / name)
    shutil.rmtree(switching, ignore_errors=True)


def save(state: Path, name: str, data: bytes) -> None:
    """Write one file of the state directory (mode 0600), synced, then visible at once."""
    durable.make_directory(state)
    durable.replace(state / name, data)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotJoined(
            f"{path} cannot be read ({error.strerror}): run `haulier-agentd join TOKEN --state {path.parent}`"
        ) from error
