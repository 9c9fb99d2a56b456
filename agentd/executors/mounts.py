"""Whether a directory is still the one that it was: a mount point that is not mounted looks like an empty directory.

At the first write below a root the agent leaves a marker there, and remembers the marker and the mount point in its own
state directory. Where a known marker is gone, or the root lies on another mount point further up, nothing is written or
removed: it would be hidden as soon as the file system is mounted, or be taken for all that there is.
"""

import hashlib
import json
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from agentd.datastores.port.failures import StepFailure, naming_os_errors
from agentd.disk import durable
from agentd.executors.context import Context

MARKER = ".haulier-root"
PLACES = "places"


@dataclass(frozen=True, slots=True)
class Known:
    """What an agent remembers of a root: its path, the mount point that held it, and the marker's text, if any."""

    root: str
    mount_point: str
    marker: str


def require_mounted(ctx: Context, name: str, root: Path, *, marks: bool) -> None:
    """Raise StepFailure where the root of a datastore is not there, or is not what it was.

    With `marks` a root that has no marker yet gets one; a root that is only read is left as it is."""
    with naming_os_errors(f"datastore {name!r}, looking at its root", root):
        remembered = _file_of(ctx.places, root) if ctx.places is not None else None
        known = None if remembered is None else ctx.outside(lambda: _remembered(remembered))
        if not root.is_dir():
            if known is not None:
                raise _not_mounted(name, root, "it is not there")
            raise StepFailure(
                "not_found",
                f"datastore {name!r}: its root {root} is not there",
                "Create it, or mount what belongs there.",
            )
        if remembered is None:
            return
        found = Known(str(root), str(mount_point(root)), _marker(root))
        if known is not None and (said := _objection(known, found)):
            raise _not_mounted(name, root, said)
        if marks and not found.marker:
            found = Known(found.root, found.mount_point, _mark(root))
        if found != known:
            ctx.outside(lambda: _remember(remembered, found))


def _objection(known: Known, found: Known) -> str:
    """What says that this is not the root that was known; empty where nothing does."""
    deeper = len(Path(found.mount_point).parts) > len(Path(known.mount_point).parts)
    if known.marker and found.marker != known.marker:
        if deeper:
            # What was known was the directory beneath: since then a file system was mounted over it.
            return ""
        return f"its marker {MARKER} is {'another one' if found.marker else 'gone'}"
    if len(Path(found.mount_point).parts) < len(Path(known.mount_point).parts):
        return f"{known.mount_point} was a mount point, and is none now"
    return ""


def _not_mounted(name: str, root: Path, said: str) -> StepFailure:
    return StepFailure(
        "not_mounted",
        f"datastore {name!r}: {root} is not what it was when this agent last used it: {said}",
        "Mount the file system again; the step is tried again by itself. If the root was emptied or replaced on "
        f"purpose, say so on the agent's host: `haulier-agentd forget-place {root}`",
        unreachable=True,
    )


def mount_point(path: Path) -> Path:
    """The mount point that holds an existing path."""
    at = path.resolve()
    while not at.is_mount():
        at = at.parent
    return at


def _marker(root: Path) -> str:
    try:
        return (root / MARKER).read_text(encoding="ascii", errors="replace").strip()
    except (FileNotFoundError, PermissionError):
        return ""


def _mark(root: Path) -> str:
    """Leave a marker, unless another agent was faster; returns what is there, "" where nothing may be written."""
    with suppress(PermissionError, FileExistsError):
        durable.create(root / MARKER, f"{secrets.token_hex(16)}\n".encode("ascii"), mode=0o644)
    return _marker(root)


def _remembered(path: Path) -> Known | None:
    try:
        return Known(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _remember(path: Path, known: Known) -> None:
    durable.make_directory(path.parent)
    durable.replace(path, json.dumps(asdict(known)).encode("utf-8"))


def _file_of(places: Path, root: Path) -> Path:
    return places / f"{hashlib.sha256(bytes(root)).hexdigest()[:32]}.json"


def forget(state: Path, root: Path) -> bool:
    """Forget what was known of a root, in an agent's state directory; False where nothing was."""
    path = _file_of(state / PLACES, root)
    if not path.exists():
        return False
    path.unlink()
    return True
