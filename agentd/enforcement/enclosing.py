"""Builds the sandbox of one step: its own directory, what it reads, what it writes, and nothing else of this host."""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from agentd.datastores.engines import ENGINES
from agentd.datastores.port.engine import PlaceAsked, Where
from agentd.enforcement.allowing import Touched
from agentd.executors.uses import NOTHING, Uses
from agentd.isolation.landlock import READ, RUN, WRITE, Opening, SandboxFailed, put_up, system_openings, version
from agentd.policy.beneath import Outside, is_beneath
from agentd.policy.host_policy import Policy
from agentd.policy.places import SYSTEM
from agentd.policy.refusals import PolicyRefused

_HERE = Path(__file__).resolve().parents[1]
# Long answers of name servers come over a connection.
_NAMES_PORT = 53
_PROGRAMS = ("/usr", "/bin", "/sbin", "/lib", "/lib64")
# Files that the host's owner named to libraries.
_NAMED_FILES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "KRB5CCNAME")


def enclose(
    policy: Policy,
    places: Sequence[Touched],
    directory: Path,
    uses: Uses = NOTHING,
    program: Sequence[Opening] | None = None,
) -> None:
    """Put this thread into a sandbox that opens `places`, and for the programs and the network that it `uses`.

    `program` are the openings of a program of the host's, which may connect to any port.

    Raises PolicyRefused where a place is not where it was a moment ago, or where the host demands a sandbox that its
    kernel does not have.
    """
    if not version():
        if policy.sandbox == "required":
            raise PolicyRefused("this host demands a sandbox, and its kernel has no Landlock", _hint(policy))
        return
    openings = [*system_openings(_code(policy, directory)), Opening(directory, WRITE), *(program or ())]
    named = [os.environ[name] for name in _NAMED_FILES if name in os.environ]
    openings += [Opening(Path(path), READ) for path in (*policy.readable, *named)]
    openings += [Opening(Path(path), RUN) for path in (*_PROGRAMS, sys.prefix) if uses.programs]
    openings += [_opening(place, policy) for place in places if place.path is not None]
    servers = [place.asked for place in places if place.path is None and place.asked is not None]
    openings += [Opening(Path(path), READ) for asked in servers for path in asked.certificates if path != SYSTEM]
    try:
        put_up(openings, None if program is not None else _ports(servers, uses))
    except Outside as error:
        message = f"a path led to {error} when it was opened, outside the roots allowed on this host"
        raise PolicyRefused(message, "look at who changes links there") from error
    except SandboxFailed as error:
        raise PolicyRefused(f"no sandbox could be put around the step: {error}", _hint(policy)) from error


def _ports(servers: Sequence[PlaceAsked], uses: Uses) -> list[int] | None:
    """The ports to which the step may connect; None for any."""
    if uses.network is True:
        return None
    named = () if uses.network is False else uses.network
    ports = [*(asked.port for asked in servers if not asked.host.startswith("/")), *named]
    return [*ports, _NAMES_PORT] if ports else []


def _hint(policy: Policy) -> str:
    return (
        f"use a kernel with Landlock (5.19 or newer, in its list of security modules), or set sandbox in {policy.path}"
    )


def _opening(place: Touched, policy: Policy) -> Opening:
    """The servicer for a place. A database in a file has its journal and its fences beside it."""
    assert place.path is not None
    engine = None if place.asked is None else ENGINES[place.asked.engine]
    beside = place.path.parent
    needs_beside = engine is not None and engine.where is Where.FILE and is_beneath(beside, policy.roots)
    path = beside if needs_beside else place.path
    return Opening(path, WRITE if place.writes or _writes_to_read(place, policy) else READ, policy.roots)


def _writes_to_read(place: Touched, policy: Policy) -> bool:
    """Whether a reader too writes beside the file, where the host lets this datastore be written."""
    if place.asked is None or not ENGINES[place.asked.engine].readers_write:
        return False
    return policy.rule_of(place.asked.name).access == "write"


def _code(policy: Policy, directory: Path) -> Iterable[str]:
    """Directories of code, except those around data: whoever may read such a one may read all that is in it."""
    data = [Path(os.path.realpath(root)) for root in policy.roots] + [directory]
    for path in (sys.prefix, sys.base_prefix, *sys.path):
        if path and not any(each.is_relative_to(os.path.realpath(path)) for each in data):
            yield path
    yield from (str(_HERE), str(_HERE.parent / "proto" / "haulier"))
