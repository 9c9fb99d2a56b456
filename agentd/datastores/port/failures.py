"""How work on data fails: one exception with a code, a sentence, and a way to mend it.

Whatever a library raises is turned into one of these at the edge where it happens, so that no traceback and no secret
travels on. Codes are stable: people's alerts and the retry policy read them.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir

from agentd.disk.free_space import free_words, is_full


class StepFailure(Exception):
    """A step cannot go on. `code` is for machines, `message` says what and where, `hint` how to mend it.

    `retryable` is True where the same step may succeed later without anybody's help, and `unreachable` where moreover
    the step could not even begin its work, or go on with it, because what it needs was away: a server that restarts, a
    name that does not resolve, a file system that is not mounted. `result` carries a serialised result message where
    there is one to show in spite of the failure (a failed `validate` still carries its checks).
    """

    def __init__(
        self,
        code: str,
        message: str,
        hint: str = "",
        *,
        retryable: bool = False,
        unreachable: bool = False,
        result: bytes = b"",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.retryable = retryable or unreachable
        self.unreachable = unreachable
        self.result = result

    def __str__(self) -> str:
        return f"{self.message} ({self.code})" + (f". {self.hint}" if self.hint else "")


class Fenced(StepFailure):
    """The destination has accepted a newer writer of this target: this one must stop and can never publish."""

    def __init__(self, target: str, fence: int, found: str) -> None:
        super().__init__(
            "fenced",
            f"target {target!r} refused fence {fence}: {found}",
            "Nothing to mend: a newer attempt, an undo or a cancel took this target over.",
        )


class Cancelled(Exception):
    """The control plane asked this attempt to stop; raised at the next check."""


def refused_type(engine: str, place: str, column: str, found: str, supported: str) -> StepFailure:
    """Failure for a column that has no exact logical type."""
    return StepFailure(
        "unsupported_type",
        f"{place}: column {column!r} has {engine} type {found}, which Haulier does not move exactly",
        f"Supported are {supported}. Cast or drop the column in a view at the source.",
    )


def failed_running(kind: str) -> StepFailure:
    """Failure for a person's SQL that failed on rows: the engine's own message may show a value of one."""
    return StepFailure(
        "bad_sql",
        f"the SQL failed while it ran: {kind}",
        "What the engine said is withheld, because it may show a value: run the SELECT on its host to see it.",
    )


# The host's own limit on a file's length, which its policy sets.
FILE_TOO_LARGE = ("file_too_large", "Raise file_bytes_max in the host's policy, or move less at a time.", False)

_OS_CODES = {
    errno.EFBIG: FILE_TOO_LARGE,
    errno.EIO: ("disk_error", "The device reports errors; check it before retrying.", False),
    errno.ENOENT: ("not_found", "Check the path in the Datastore and Dataset manifests.", False),
    errno.ENAMETOOLONG: ("bad_name", "Shorten the path in the Datastore and Dataset manifests.", False),
    errno.ENOTDIR: ("not_found", "Check the path in the Datastore and Dataset manifests.", False),
    errno.EACCES: ("permission_denied", "Give the agent's user access to this path.", False),
    errno.EPERM: ("permission_denied", "Give the agent's user access to this path.", False),
    errno.EROFS: ("permission_denied", "The file system is mounted read-only.", False),
}


# A file system that is away for the moment: a network share whose server restarts, a device or a mount that is gone.
_AWAY = frozenset(
    {
        errno.ESTALE,
        errno.ENOTCONN,
        errno.ETIMEDOUT,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.ECONNABORTED,
        errno.EREMOTEIO,
        errno.ENODEV,
        errno.ENXIO,
        errno.ENOMEDIUM,
    }
)
_AWAY_HINT = "Bring back the file system, share or device behind this path; the step is tried again by itself."

_NO_ROOM_HINT = "Free space there, or let the Datastore lie on a larger file system; then retry."
_QUOTA_HINT = "Raise the quota of the agent's user, or free space there; then retry."


def no_room(doing: str, path: Path, needed: str = "", *, quota: bool = False) -> StepFailure:
    """Failure for a write at `path` that found no room; `needed` says in words what it would have taken."""
    what = "the quota of the agent's user is used up" if quota else free_words(path)
    said = f"{doing}: no space left at {path}: {what}{'; ' if needed else ''}{needed}"
    return StepFailure("disk_full", said, _QUOTA_HINT if quota else _NO_ROOM_HINT, retryable=True)


def _nothing_known() -> str:
    return ""


@contextmanager
def naming_os_errors(doing: str, at: Path | None = None, needed: Callable[[], str] = _nothing_known) -> Iterator[None]:
    """Turn an OSError into a StepFailure that says what was being done to which path.

    `at` is where it is written: some errors name no path. Where there is no room, `needed` says what it would take."""
    try:
        yield
    except OSError as err:
        if is_full(err):
            named = Path(os.fsdecode(err.filename)) if isinstance(err.filename, str | bytes) else None
            raise no_room(doing, at or named or Path(gettempdir()), needed(), quota=err.errno == errno.EDQUOT) from err
        path = f" {err.filename}" if err.filename else ""
        said = err.strerror or str(err) or type(err).__name__
        if err.errno in _AWAY:
            raise StepFailure("unreachable", f"{doing}:{path} {said}", _AWAY_HINT, unreachable=True) from err
        code, hint, retryable = _OS_CODES.get(err.errno or 0, ("io_error", "", True))
        raise StepFailure(code, f"{doing}:{path} {said}", hint, retryable=retryable) from err


def require_file(path: Path, name: str) -> None:
    """Raise StepFailure for what is there and no file: whoever opens a pipe or a device may wait for ever."""
    if path.exists() and not path.is_file():
        raise StepFailure("bad_name", f"datastore {name!r}: {path} is not a file", "Check the Datastore's path.")
