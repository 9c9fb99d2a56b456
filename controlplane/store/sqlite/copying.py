"""Whole copies of a store's file: made beside a running control plane, and looked at before anything trusts them."""

import contextlib
import os
from pathlib import Path

from controlplane import durable
from controlplane.store.port import StoreFailed
from controlplane.store.sqlite import library
from controlplane.store.sqlite.revisions import check_known


def copy_store(source: Path, target: Path) -> None:
    """Copy a store as it is at one moment; whole and durable under its name, or not there at all.

    Writers go on meanwhile. Raises ``StoreFailed`` when there is no source, a target already, or no room.
    """
    if not source.exists():
        raise StoreFailed(f"there is no store at {source}: check --state")
    if target.exists():
        raise StoreFailed(f"{target} exists: a backup never replaces another, choose another name")
    draft = target.with_name(f"{target.name}.draft")
    draft.unlink(missing_ok=True)
    try:
        # Made here, so that nobody else can read it from its first byte on.
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with (
            contextlib.closing(library.connect(str(source), writing=False)) as reader,
            contextlib.closing(library.plain(str(draft))) as writer,
        ):
            # All pages in one step: a writer in another process would make a copy by steps begin anew each time.
            reader.backup(writer, pages=-1)
            # One file, without a log beside it.
            writer.execute("PRAGMA journal_mode=DELETE")
        check_copy(draft)
        durable.sync(draft)
        durable.move(draft, target)
    except (library.Error, OSError) as error:
        draft.unlink(missing_ok=True)
        raise StoreFailed(f"the store could not be copied to {target}: {error}; no backup was made") from None


def check_copy(path: Path) -> int:
    """Return the revision of a file that is a whole store of this program or of an older one.

    Raises ``StoreFailed`` when it is damaged or something else, ``NewerRevision`` when it is ahead of this program.
    """
    if not path.exists():
        raise StoreFailed(f"there is no file {path}")
    try:
        with contextlib.closing(library.plain(f"file:{path}?mode=ro")) as reader:
            revision = check_known(reader)
            found = [problem for (problem,) in reader.execute("PRAGMA integrity_check(3)")]
            tables = {name for (name,) in reader.execute("SELECT name FROM sqlite_master")}
    except library.Error as error:
        raise StoreFailed(f"{path} cannot be read as a store: {error}") from None
    if found != ["ok"]:
        raise StoreFailed(f"{path} is damaged: {'; '.join(found)}")
    if revision < 1 or not {"meta", "event", "migration"} <= tables:
        raise StoreFailed(f"{path} is a database, but not a store of Haulier")
    return revision
