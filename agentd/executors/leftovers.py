"""What killed attempts left in a staging root: removed by whoever stages there next, whatever its step.

While an attempt stages, a record beside the parts says which process of which host does. Where that process is provably
gone, nobody will ever finish what it began, and the room is wanted.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from agentd.datastores.fences.eviction import boot_of_host, start_time
from agentd.disk import durable
from agentd.executors.context import Context

RECORDS = ".haulier-staging"
# MIGRATION/STEP/ATTEMPT: whoever could write other names here could have other directories removed.
_DIRECTORY = re.compile(r"mig_[A-Za-z0-9_-]{1,120}/step_[A-Za-z0-9_-]{1,120}/att_[A-Za-z0-9_-]{1,120}")
_RECORD_BYTES_MAX = 4096


@contextmanager
def recorded(ctx: Context, root: Path, directory: str) -> Iterator[None]:
    """Say, until the block ends, that this process stages into `directory`, a path below the root."""
    records = root / RECORDS
    durable.make_directory(records, mode=0o777)
    path = records / f"{ctx.attempt_id}.json"
    record = {"directory": directory, **ctx.outside(lambda: _process(os.getpid()))}
    durable.replace(path, json.dumps(record).encode("utf-8"), mode=None)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def remove_dead(ctx: Context, root: Path, remove: Callable[[Path], None]) -> None:
    """Have the directory of each attempt removed whose process is gone from this host; leave all others alone."""
    for path in sorted((root / RECORDS).glob("*.json")):
        record = _read(path)
        if record is None or not ctx.outside(partial(_is_gone, record)):
            continue
        remove(root / str(record["directory"]))
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _process(pid: int) -> dict[str, object]:
    return {"pid": pid, "start_time": start_time(pid), "machine": _machine(), **boot_of_host()}


def _machine() -> str:
    """This machine's own id, the same after each boot; "" where it has none."""
    try:
        return Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _read(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb") as file:
            record = json.loads(file.read(_RECORD_BYTES_MAX))
        is_whole = _DIRECTORY.fullmatch(str(record["directory"])) and record["directory"].endswith(f"/{path.stem}")
        return record if is_whole and isinstance(record["pid"], int) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _is_gone(record: dict[str, Any]) -> bool:
    """Whether the process of a record cannot live any more, as far as this host can tell."""
    here = boot_of_host()
    if record.get("boot_id") != here["boot_id"]:
        # Another boot of this very machine; of another machine nothing is known here.
        return bool(_machine()) and record.get("machine") == _machine()
    if record.get("pid_namespace") != here["pid_namespace"]:
        return False
    return start_time(record["pid"]) != record.get("start_time")
