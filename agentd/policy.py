"""The host's own law: what any step may do here. No remote message can widen it.

kinds = ["extract", "load"]              # step kinds; ["*"] allows every installed one
datastores = ["warehouse"]               # Datastore manifests by name; ["*"] allows every one
roots = ["/srv/data"]                    # files and directories that steps may touch, with all below them
secrets = ["env:PG_*", "file:/etc/haulier/secrets/*"]   # references that steps may resolve
disk_free_min_bytes = 1_000_000_000      # a step does not start on a file system with less free space
file_bytes_max = 50_000_000_000          # longest file that a step may write
"""

import fnmatch
import os
import shutil
import stat
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

ANYTHING = "*"
_LISTS = ("kinds", "datastores", "roots", "secrets")
_SIZES = ("disk_free_min_bytes", "file_bytes_max")


class PolicyBroken(Exception):
    """The policy file cannot be used; says what and how to mend it."""


class PolicyRefused(Exception):
    """This host does not allow it. `hint` says what its owner could change."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Policy:
    """What this host allows. Unset lists allow nothing; unset sizes (0) limit nothing."""

    path: Path
    kinds: tuple[str, ...] = ()
    datastores: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    disk_free_min_bytes: int = 0
    file_bytes_max: int = 0

    def allowed_kinds(self, installed: Iterable[str]) -> tuple[str, ...]:
        """Those of the installed step kinds that may run here, sorted."""
        return tuple(sorted(kind for kind in installed if _is_listed(kind, self.kinds)))

    def check_kind(self, kind: str) -> None:
        """Raise PolicyRefused unless this step kind may run here."""
        if not _is_listed(kind, self.kinds):
            raise self._refused(f"step kind {kind!r} is not allowed on this host", "kinds")

    def check_datastore(self, name: str) -> None:
        """Raise PolicyRefused unless steps may reach this datastore from here."""
        if not _is_listed(name, self.datastores):
            raise self._refused(f"datastore {name!r} is not allowed on this host", "datastores")

    def check_path(self, path: str) -> Path:
        """The path with every link resolved; raises PolicyRefused unless it is a root or below one."""
        if not path.startswith("/") or "\0" in path:
            raise self._refused(f"path {path!r} is not absolute", "roots")
        real = Path(os.path.realpath(path))
        if not any(real.is_relative_to(os.path.realpath(root)) for root in self.roots):
            raise self._refused(f"path {path} is outside the roots allowed on this host", "roots")
        return real

    def check_secret(self, ref: str) -> None:
        """Raise PolicyRefused unless steps may resolve this reference here."""
        if ref and not any(fnmatch.fnmatchcase(ref, pattern) for pattern in self.secrets):
            raise self._refused(f"secret reference {ref!r} is not allowed on this host", "secrets")
        if ".." in ref.split("/"):
            raise self._refused(f"secret reference {ref!r} climbs out of its directory", "secrets")

    def check_room(self, path: Path) -> None:
        """Raise PolicyRefused when the file system that holds `path` has too little free space."""
        free_bytes = shutil.disk_usage(_existing(path)).free
        if free_bytes < self.disk_free_min_bytes:
            message = f"{path} has {free_bytes} bytes free, this host wants {self.disk_free_min_bytes} to be left"
            raise PolicyRefused(message, "free some space, or lower disk_free_min_bytes in the host's policy")

    def _refused(self, message: str, name: str) -> PolicyRefused:
        return PolicyRefused(message, f"the owner of this host can allow it under {name} in {self.path}")


def load(path: Path) -> Policy:
    """Read the policy at `path`; raises PolicyBroken, also where others than root and we could change it."""
    _check_owner(path)
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PolicyBroken(f"policy {path} cannot be read: {error}") from error
    for name in told:
        if name not in (*_LISTS, *_SIZES):
            near = get_close_matches(name, (*_LISTS, *_SIZES), 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise PolicyBroken(f"policy {path}: unknown key {name!r}{hint}")
    kinds, datastores, roots, secrets = (_strings(path, name, told.get(name, [])) for name in _LISTS)
    disk_free_min_bytes, file_bytes_max = (_size(path, name, told.get(name, 0)) for name in _SIZES)
    policy = Policy(path, kinds, datastores, roots, secrets, disk_free_min_bytes, file_bytes_max)
    for root in policy.roots:
        if not root.startswith("/"):
            raise PolicyBroken(f"policy {path}: root {root!r} is not an absolute path")
    return policy


def _check_owner(path: Path) -> None:
    for each in (path, path.resolve().parent):
        try:
            found = each.stat()
        except OSError as error:
            raise PolicyBroken(f"policy {path} cannot be read: {error.strerror}") from error
        if found.st_uid not in (0, os.geteuid()):
            raise PolicyBroken(f"{each} belongs to another user: chown it to root")
        # In a sticky directory nobody can replace somebody else's file.
        sticky_directory = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not sticky_directory:
            raise PolicyBroken(f"{each} can be changed by others: chmod go-w it")


def _is_listed(name: str, listed: tuple[str, ...]) -> bool:
    return name in listed or ANYTHING in listed


def _strings(path: Path, name: str, told: Any) -> tuple[str, ...]:
    if not isinstance(told, list) or not all(isinstance(each, str) for each in told):
        raise PolicyBroken(f"policy {path}: {name} must be a list of strings")
    return tuple(told)


def _size(path: Path, name: str, told: Any) -> int:
    if not isinstance(told, int) or isinstance(told, bool) or told < 0:
        raise PolicyBroken(f"policy {path}: {name} must be a number of bytes")
    return told


def _existing(path: Path) -> Path:
    return path if path.exists() or path == path.parent else _existing(path.parent)
