"""The links that say which release runs, and the directories that they say it of."""

import os
import re
import shutil
from collections.abc import Collection
from pathlib import Path

from agentd.disk import durable
from agentd.updater.settings import UpdaterSettings

CURRENT, PREVIOUS, UPDATER = "current", "previous", "updater"
VERSIONS = "versions"
UNFINISHED = ".new"
_DIGEST = re.compile(r"[0-9a-f]{64}")


def digest_of(link: Path) -> str:
    """The release that a link says; empty where there is no such link."""
    try:
        name = link.readlink().name
    except OSError:
        return ""
    return name if _DIGEST.fullmatch(name) else ""


def point(link: Path, digest: str) -> None:
    """Let a link say a release, an empty digest meaning no link: at once, and durable. Nothing happens if it does."""
    if digest_of(link) == digest and (digest or not link.is_symlink()):
        return
    if digest:
        # Relative, so that the whole home can be moved or looked at from outside.
        durable.point(link, f"{VERSIONS}/{digest}")
    else:
        durable.remove(link)


def point_both(home: Path, current: str, previous: str) -> None:
    """Bring `current` and `previous` to these releases; in between each says a whole one."""
    if digest_of(home / CURRENT) == previous:
        point(home / PREVIOUS, previous)
        point(home / CURRENT, current)
    else:
        point(home / CURRENT, current)
        point(home / PREVIOUS, previous)


def settle_updater(home: Path, digest: str) -> None:
    """Let the updater be of a release that was kept: later ones, which may be bad, cannot touch it.

    A directory of that name was put there by somebody else's hand and stays."""
    link = home / UPDATER
    if link.is_symlink() or not link.exists():
        point(link, digest)


def remove_strangers(settings: UpdaterSettings, kept: Collection[str]) -> list[str]:
    """Remove every release that is neither kept nor in use by any process, and what a crash left unfinished.

    Returns the digests that were removed."""
    removed = []
    for path in sorted(settings.versions.glob("*")):
        if path.name in kept or (_DIGEST.fullmatch(path.name) and is_in_use(path)):
            continue
        if _DIGEST.fullmatch(path.name):
            removed.append(path.name)
            # Renamed first: a release of that name is whole at any moment.
            unfinished = path.with_name(f"{UNFINISHED}-{path.name}.gone")
            durable.move(path, unfinished)
            path = unfinished  # noqa: PLW2901 - the same thing under the name it goes by
        if path.name.startswith(UNFINISHED):
            shutil.rmtree(path)
    return removed


def can_see(pid: int) -> bool:
    """Whether this process may look into another one. Who cannot see the agent cannot see its steps either."""
    try:
        return bool(pid) and bool(Path(f"/proc/{pid}/environ").read_bytes())
    except OSError:
        return False


def is_in_use(tree: Path) -> bool:
    """Whether any process runs from a release: its program, its directory, a library, or what it imports from.

    Steps that were started by an older release go on from its files until they end."""
    marks = {os.fsencode(tree), os.fsencode(tree.resolve())}
    return any(process.name.isdigit() and _is_used_by(process, marks) for process in Path("/proc").iterdir())


def _is_used_by(process: Path, marks: Collection[bytes]) -> bool:
    for name in ("exe", "cwd"):
        try:
            if any(os.fsencode((process / name).readlink()).startswith(mark) for mark in marks):
                return True
        except OSError:
            continue
    for name in ("cmdline", "environ", "maps"):
        try:
            data = (process / name).read_bytes()
        except OSError:
            continue
        if any(mark in data for mark in marks):
            return True
    return False
