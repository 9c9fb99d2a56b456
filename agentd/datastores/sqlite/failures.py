"""SQLite's errors as StepFailures, by its words: it gives no more."""

import re
import resource
from pathlib import Path

from agentd.datastores.port.failures import FILE_TOO_LARGE, StepFailure, no_room
from agentd.datastores.sqlite.place import SqlitePlace
from agentd.datastores.sqlite.utf8 import HINT, MARK

_PAGE_BYTES_MAX = 65536
_DECODED = re.compile(r"(Could not decode to UTF-8 column .*?) with text .*", re.DOTALL)


def said_by(err: Exception) -> str:
    """What SQLite says, which quotes a value only where it cannot decode it."""
    return _DECODED.sub(r"\1", str(err))


def failed(err: Exception, place: SqlitePlace) -> StepFailure:
    """The failure that an error of SQLite's is."""
    said, name = said_by(err), place.name
    if "disk I/O error" in said:
        # SQLite does not say which error it met, so the one that a host's policy makes is recognised by its cause.
        at_limit = _is_at_limit(place.path)
        broken = ("disk_error", "The device reports errors; check it before retrying.", False)
        code, hint, retryable = FILE_TOO_LARGE if at_limit else broken
        return StepFailure(code, f"datastore {name!r} (SQLite): {said}", hint, retryable=retryable)
    if "disk is full" in said:
        return no_room(f"datastore {name!r} (SQLite)", place.path)
    for mark, code, hint, retryable in (
        ("locked", "busy", "Another process holds the file.", True),
        ("not a database", "corrupt_file", "Check the Datastore's path.", False),
        ("malformed", "corrupt_file", "Run `PRAGMA integrity_check` on the file.", False),
        ("unable to open", "permission_denied", "Give the agent's user access to file and directory.", False),
        ("readonly", "permission_denied", "Give the agent's user write access to file and directory.", False),
        ("UNIQUE constraint", "key_not_unique", "The declared key names more than one row.", False),
        (MARK, "value_does_not_fit", HINT, False),
        ("NOT NULL constraint", "value_does_not_fit", "A required or key column holds NULL.", False),
    ):
        if mark in said:
            return StepFailure(code, f"datastore {name!r} (SQLite): {said}", hint, retryable=retryable)
    return StepFailure("engine_error", f"datastore {name!r} (SQLite): {said}")


def _is_at_limit(path: Path) -> bool:
    """Whether the database or its journal has grown to where this process may write no further."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    beside = [path.with_name(path.name + suffix) for suffix in ("", "-journal", "-wal")]
    lengths = [each.stat().st_size for each in beside if each.exists()]
    return limit != resource.RLIM_INFINITY and any(length + _PAGE_BYTES_MAX > limit for length in lengths)
