"""Cuts the wall of one step: its own directory, what it reads, what it writes, and nothing else of this host."""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from agentd.enforcement.allowing import Touched
from agentd.isolation.landlock import READ, RUN, WRITE, Opening, Rights, WallFailed, put_up, system_openings, version
from agentd.policy.beneath import Outside, is_beneath
from agentd.policy.law import Policy
from agentd.policy.places import SYSTEM
from agentd.policy.refusals import PolicyRefused

_HERE = Path(__file__).resolve().parents[1]
# Long answers of name servers come over a connection.
_NAMES_PORT = 53
# Files that the host's owner named to libraries.
_NAMED_FILES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "KRB5CCNAME")


def enclose(
    policy: Policy, places: Sequence[Touched] | None, directory: Path, further: Sequence[Opening] | None = None
) -> None:
    """Put this thread behind a wall with doors for `places` (None: every root, and programs of the system).

    `further` doors are those of a program, which may connect to any port.

    Raises PolicyRefused where a place is not where it was a moment ago, or where the host demands a wall that its
    kernel does not have.
    """
    if not version():
        if policy.wall == "required":
            raise PolicyRefused("this host demands a wall, and its kernel has no Landlock", _hint(policy))
        return
    openings = [*system_openings(_code(policy, directory)), Opening(directory, WRITE), *(further or ())]
    named = [os.environ[name] for name in _NAMED_FILES if name in os.environ]
    openings += [Opening(Path(path), READ) for path in (*policy.readable, *named)]
    ports: list[int] | None = None
    if places is None:
        openings += [Opening(Path(root), WRITE | Rights.EXECUTE) for root in policy.roots]
        openings += [Opening(Path(path), RUN) for path in ("/usr", "/bin", "/sbin", "/lib", "/lib64", sys.prefix)]
    else:
        openings += [_opening(place, policy) for place in places if place.path is not None]
        databases = [place.asked for place in places if place.path is None]
        openings += [Opening(Path(path), READ) for asked in databases for path in asked.certificates if path != SYSTEM]
        remote = [asked.port for asked in databases if not asked.host.startswith("/")]
        ports = None if further else [*remote, _NAMES_PORT] if remote else []
    try:
        put_up(openings, ports)
    except Outside as error:
        message = f"a path led to {error} when it was opened, outside the roots allowed on this host"
        raise PolicyRefused(message, "look at who changes links there") from error
    except WallFailed as error:
        raise PolicyRefused(f"no wall could be put around the step: {error}", _hint(policy)) from error


def _hint(policy: Policy) -> str:
    return f"use a kernel with Landlock (5.19 or newer, in its list of security modules), or set wall in {policy.path}"


def _opening(place: Touched, policy: Policy) -> Opening:
    """The door for a place. A database in a file has its journal and its fences beside it."""
    assert place.path is not None
    beside = place.path.parent
    needs_beside = place.asked.engine in ("sqlite", "duckdb") and is_beneath(beside, policy.roots)
    path = beside if needs_beside else place.path
    return Opening(path, WRITE if place.writes or _keeps_shared_memory(place, policy) else READ, policy.roots)


def _keeps_shared_memory(place: Touched, policy: Policy) -> bool:
    """A SQLite file with a write-ahead log is read through a file beside it, which readers make and write."""
    return place.asked.engine == "sqlite" and policy.rule_of(place.asked.name).access == "write"


def _code(policy: Policy, directory: Path) -> Iterable[str]:
    """Directories of code, except those around data: whoever may read such a one may read all that is in it."""
    data = [Path(os.path.realpath(root)) for root in policy.roots] + [directory]
    for path in (sys.prefix, sys.base_prefix, *sys.path):
        if path and not any(each.is_relative_to(os.path.realpath(path)) for each in data):
            yield path
    yield from (str(_HERE), str(_HERE.parent / "proto" / "haulier"))
