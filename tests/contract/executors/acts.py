"""What people do at a destination between a publish and its undo, with the engines' own means.

An act is SQL, its statements parted by "; ", or a function of the place. `{}` stands for the published object, KEPT for
the table or file that a publish kept.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.contract.executors.places import DuckdbPlace, FilePlace, Place, PostgresqlPlace, SqlitePlace

SqlPlace = SqlitePlace | DuckdbPlace | PostgresqlPlace
SQL = ("sqlite", "duckdb", "postgresql")
FILES = ("csv", "parquet")


def tables(place: SqlPlace) -> dict[str, str]:
    """Every table and view of the place with all its rows as text: what nobody may have destroyed. The ledger's rows
    change with every claim, and are not in it."""
    if isinstance(place, SqlitePlace):
        names = place._run("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
    elif isinstance(place, DuckdbPlace):
        names = place._run("SELECT table_name FROM information_schema.tables WHERE table_schema = 'main'")
    else:
        names = place._run(
            "SELECT relname::text FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind IN ('r', 'v')",
            (place.schema,),
        )
    ours = ("haulier_fence", "haulier_publication")
    cells = "CAST(COLUMNS(*) AS VARCHAR)" if isinstance(place, DuckdbPlace) else "*"
    return {
        name: repr(sorted(map(repr, place._run(f'SELECT {cells} FROM "{name}"'))))
        for (name,) in names
        if name not in ours
    }


def files(place: FilePlace) -> dict[str, bytes]:
    """Every file below the root with its bytes; a link to a file has its own. Entries of logs are not in it."""
    return {
        str(path.relative_to(place.root)): path.read_bytes()
        for path in sorted(place.root.rglob("*"))
        if path.is_file() and not (path.parent.parent.name == "_haulier" and path.suffix == ".json")
    }


def everything(place: Place) -> dict[str, str] | dict[str, bytes]:
    """All that is at the place, comparable with ==."""
    return files(place) if isinstance(place, FilePlace) else tables(place)  # type: ignore[arg-type]


def kept_table(place: SqlPlace) -> str:
    """Name of the one table that a publish kept."""
    (found,) = [name for name in tables(place) if name.startswith("haulier_kept_")]
    return found


def home(place: FilePlace) -> Path:
    """The directory of the object's log."""
    return place.root / "_haulier" / place.object


def kept_file(place: FilePlace) -> Path:
    """The one file that a publish kept."""
    (found,) = home(place).glob("kept-*")
    return found


def kept_name(place: Place) -> str:
    """Name of the one table or file that a publish kept."""
    return kept_file(place).name if isinstance(place, FilePlace) else kept_table(place)  # type: ignore[arg-type]


def rename_kept(place: Place, old: str, new: str) -> None:
    """Give a kept table or file another name."""
    if isinstance(place, FilePlace):
        (home(place) / old).rename(home(place) / new)
    else:
        place._run(f'ALTER TABLE "{old}" RENAME TO "{new}"')  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Act:
    """One thing that people do. `code` is how the undo stops, "" where it goes through.

    `says` is in the message. `discards` tells whether a person's consent lets the undo go through, `takes_the_name`
    whether something is at the object's name afterwards.
    """

    name: str
    engines: tuple[str, ...]
    do: str | Callable[..., None]
    code: str = "not_as_published"
    says: str = ""
    discards: bool = True
    takes_the_name: bool = True

    def happens_at(self, place: Place) -> None:
        """Do it."""
        if not isinstance(self.do, str):
            self.do(place)
            return
        assert not isinstance(place, FilePlace)
        text = self.do.replace("{}", f'"{place.object}"')
        if "KEPT" in text:
            text = text.replace("KEPT", f'"{kept_table(place)}"')  # type: ignore[arg-type]
        for statement in text.split("; "):
            place._run(statement)  # type: ignore[attr-defined]


RENAMED = "ALTER TABLE {} RENAME TO away"
THEIRS = "CREATE TABLE {} (note text); INSERT INTO {} VALUES ('secret')"
KEPT_GONE = "kept_missing"
KEPT_CHANGED = "kept_altered"
RECORDS = "records_missing"
NO_KEY = ("duckdb",)


def _dumped(place: PostgresqlPlace) -> None:
    """What a dump and its restore do: every table is another one with the same content."""
    for (name,) in place._run(
        "SELECT relname::text FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind = 'r'", (place.schema,)
    ):
        place._run(f'ALTER TABLE "{name}" RENAME TO dumped')
        place._run(f'CREATE TABLE "{name}" (LIKE dumped INCLUDING DEFAULTS)')
        place._run(f'INSERT INTO "{name}" SELECT * FROM dumped')
        keys = place._run(
            "SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'dumped'::regclass "
            "AND contype <> 'n'"
        )
        place._run("DROP TABLE dumped")
        for key, definition in keys:
            place._run(f'ALTER TABLE "{name}" ADD CONSTRAINT "{key}" {definition}')


def _vacuumed(place: PostgresqlPlace) -> None:
    with place.connect() as connection:
        connection.autocommit = True
        connection.execute(f'VACUUM FULL "{place.object}"'.encode())


SQL_ACTS = (
    Act("nothing", SQL, "SELECT 1", code=""),
    Act("readers", SQL, "SELECT count(*) FROM {}", code=""),
    Act("vacuumed", ("sqlite",), "VACUUM", code=""),
    Act("vacuumed full", ("postgresql",), _vacuumed, code=""),
    Act("granted to others", ("postgresql",), "GRANT SELECT ON {} TO PUBLIC", code=""),
    Act("restored from a dump", ("postgresql",), _dumped, code=""),
    Act("renamed", SQL, RENAMED, takes_the_name=False, says="away|not there any more"),
    Act("renamed and replaced", SQL, f"{RENAMED}; {THEIRS}", says="taken its name|column 'note' was added|is gone"),
    Act("renamed and copied", SQL, f"{RENAMED}; CREATE TABLE {{}} AS SELECT * FROM away"),
    Act("moved to another schema", ("postgresql",), "CREATE SCHEMA away; ALTER TABLE {} SET SCHEMA away",
        takes_the_name=False),
    Act("dropped", SQL, "DROP TABLE {}", takes_the_name=False, says="not there any more"),
    Act("dropped and replaced", SQL, f"DROP TABLE {{}}; {THEIRS}"),
    Act("replaced by a view", SQL, f"{RENAMED}; CREATE VIEW {{}} AS SELECT * FROM away", says="a view", discards=False),
    Act("a column added", SQL, "ALTER TABLE {} ADD COLUMN extra text", says="'extra' was added"),
    Act("a column dropped", SQL, 'ALTER TABLE {} DROP COLUMN "flag"', says="'flag' is gone"),
    Act("a column renamed", SQL, 'ALTER TABLE {} RENAME COLUMN "flag" TO banner', says="'flag' is gone"),
    Act("a type changed", ("postgresql", "duckdb"), 'ALTER TABLE {} ALTER COLUMN "flag" TYPE text', says="'flag' was"),
    Act("a default set", ("postgresql", "duckdb"), 'ALTER TABLE {} ALTER COLUMN "flag" SET DEFAULT true',
        says="with a default"),
    Act("a row added", SQL, 'INSERT INTO {} ("id") VALUES (77)', says="241 rows"),
    Act("rows deleted", SQL, 'DELETE FROM {} WHERE "id" > 1100', says="240 rows were published"),
    Act("all rows deleted", SQL, "DELETE FROM {}", says="0 rows"),
    Act("truncated", ("postgresql", "duckdb"), "TRUNCATE {}", says="0 rows"),
    Act("a value changed", SQL, 'UPDATE {} SET "Mixed Name" = \'secret\' WHERE "id" = 1', says="240 rows"),
    Act("a value made NULL", SQL, 'UPDATE {} SET "day" = NULL WHERE "id" = 0', says="240 rows"),
    Act("one row for another", SQL, 'DELETE FROM {} WHERE "id" = 1; INSERT INTO {} ("id") VALUES (77)',
        says="240 rows"),
    Act("a value of another type", ("sqlite",), 'UPDATE {} SET "day" = \'soon\' WHERE "id" = 1', says="values"),
    Act("an index made", SQL, 'CREATE INDEX theirs ON {} ("flag")', says="index theirs"),
    Act("a trigger made", ("sqlite",), "CREATE TRIGGER theirs AFTER DELETE ON {} BEGIN SELECT 1;END",
        says="trigger theirs"),
    Act("a check made", ("postgresql",), 'ALTER TABLE {} ADD CONSTRAINT theirs CHECK ("id" <> 78)',
        says="constraint theirs was added"),
    Act("row security", ("postgresql",), "ALTER TABLE {} ENABLE ROW LEVEL SECURITY", says="row security"),
    Act("inherited from", ("postgresql",), "CREATE TABLE child () INHERITS ({})", says="child", discards=False),
    Act("kept dropped", SQL, "DROP TABLE KEPT", code=KEPT_GONE, says="haulier_kept_", discards=False),
    Act("kept renamed", SQL, "ALTER TABLE KEPT RENAME TO old", code=KEPT_GONE, discards=False),
    Act("kept written", SQL, "INSERT INTO KEPT VALUES ('secret')", code=KEPT_CHANGED, says="2 rows, and had 1 row"),
    Act("kept changed", SQL, "UPDATE KEPT SET note = 'secret'", code=KEPT_CHANGED, says="1 row as before"),
    Act("kept altered", SQL, "ALTER TABLE KEPT ADD COLUMN extra text", code=KEPT_CHANGED, says="'extra' was added"),
    Act("records dropped", SQL, "DROP TABLE haulier_publication; DROP TABLE haulier_fence", code=RECORDS,
        says="with fence 1", discards=False),
    Act("publications deleted", SQL, "DELETE FROM haulier_publication", code=RECORDS, discards=False),
    Act("restored to before", SQL, "DROP TABLE {}; ALTER TABLE KEPT RENAME TO things; DROP TABLE haulier_publication; "
        "DROP TABLE haulier_fence", code=RECORDS, discards=False),
    Act("restored to an earlier undo", SQL, "UPDATE haulier_publication SET state = 'withdrawn', fence = 0",
        code=RECORDS, discards=False),
)  # fmt: skip


def _replaced(place: FilePlace) -> None:
    new = place.path.with_suffix(".new")
    new.write_bytes(b"secret\n")
    new.replace(place.path)


def _changed_in_place(place: FilePlace) -> None:
    """Same length, and the time put back: only the bytes tell."""
    before = place.path.stat()
    data = bytearray(place.path.read_bytes())
    data[len(data) // 2] ^= 1
    with place.path.open("r+b") as file:
        file.write(data)
    os.utime(place.path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _copied_back(place: FilePlace) -> None:
    copy = place.path.with_suffix(".copy")
    shutil.copyfile(place.path, copy)
    copy.replace(place.path)


def _appended(place: FilePlace) -> None:
    with place.path.open("ab") as file:
        file.write(b"more\n")


def _moved(place: FilePlace) -> None:
    place.path.rename(place.path.with_suffix(".away"))


def _moved_and_replaced(place: FilePlace) -> None:
    _moved(place)
    _replaced(place)


def _is_directory(place: FilePlace) -> None:
    _moved(place)
    place.path.mkdir()
    (place.path / "theirs").write_text("theirs")


def _is_link(place: FilePlace) -> None:
    _moved(place)
    place.path.symlink_to(place.path.with_suffix(".away").name)


def _kept_written(place: FilePlace) -> None:
    with kept_file(place).open("ab") as file:
        file.write(b"more")


def _forgotten(place: FilePlace) -> None:
    shutil.rmtree(home(place))


def _to_before(place: FilePlace) -> None:
    shutil.copyfile(kept_file(place), place.path)
    _forgotten(place)


def _last_entry_gone(place: FilePlace) -> None:
    sorted(home(place).glob("*.json"))[-1].unlink()


FILE_ACTS = (
    Act("nothing", FILES, lambda place: None, code=""),
    Act("touched", FILES, lambda place: os.utime(place.path), code=""),
    Act("copied and put back", FILES, _copied_back, code=""),
    Act("deleted", FILES, lambda place: place.path.unlink(), code=""),
    Act("moved away", FILES, _moved, code=""),
    Act("replaced", FILES, _replaced, says="not published with|rows"),
    Act("moved away and replaced", FILES, _moved_and_replaced),
    Act("emptied", FILES, lambda place: os.truncate(place.path, 0)),
    Act("written at its end", FILES, _appended),
    Act("changed in place", FILES, _changed_in_place),
    Act("replaced by a directory", FILES, _is_directory, says="directory", discards=False),
    Act("replaced by a link", FILES, _is_link, says="symbolic link"),
    Act("kept deleted", FILES, lambda place: kept_file(place).unlink(), code=KEPT_GONE, says="kept-", discards=False),
    Act("kept written", FILES, _kept_written, code=KEPT_CHANGED, says="not the same"),
    Act("log removed", FILES, _forgotten, code=RECORDS, says="with fence 1", discards=False),
    Act("restored to before", FILES, _to_before, code=RECORDS, discards=False),
    Act("last entry removed", FILES, _last_entry_gone, code=RECORDS, discards=False),
)
