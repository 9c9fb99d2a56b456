"""Contract messages ↔ the values that datastores and proof speak. Total: what is not understood is refused by name."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from haulier.v1 import kinds_pb2 as k

from agentd.datastores.opening import open_datastore
from agentd.datastores.port.datastore import (
    LOCK_WAIT_S,
    SYSTEM,
    CsvPlace,
    Datastore,
    DuckdbPlace,
    Location,
    ParquetPlace,
    Place,
    PostgresqlPlace,
    SqlitePlace,
)
from agentd.datastores.port.definitions import KINDS, Definition, Waiver
from agentd.datastores.port.failures import StepFailure
from agentd.executors.context import Context
from agentd.executors.mounts import require_mounted
from agentd.proof.types import Column, Columns, ColumnType, UnsupportedType, arrow_type

POSTGRESQL_PORT = 5432
_FILE_MODE = re.compile(r"0?6[0246][04]")
# A result is one message of the contract; whoever has hundreds of indexes is told how many there are.
NAMES_MAX, NAME_CHARACTERS_MAX = 12, 100

M = TypeVar("M", bound=Message)


def bad_params(what: str) -> StepFailure:
    """Failure for parameters that no correct control plane sends."""
    return StepFailure("bad_params", f"step parameters: {what}", "Validate and apply the manifests again.")


def decoded(message: M, data: bytes) -> M:
    """Parse bytes into the message given; StepFailure where they are not one."""
    try:
        message.ParseFromString(data)
    except DecodeError as err:
        raise bad_params(f"not a {type(message).__name__}") from err
    return message


def column(message: k.Column) -> Column:
    """A contract column; refuses an unknown type or impossible digits."""
    if int(message.type) not in [int(kind) for kind in ColumnType]:
        raise bad_params(f"column {message.name!r} has type number {int(message.type)}")
    digits = (message.precision, message.scale) if message.type == k.COLUMN_TYPE_DECIMAL else (0, 0)
    found = Column(message.name, ColumnType(message.type), *digits, required=message.required)
    try:
        arrow_type(found)
    except UnsupportedType as err:
        raise bad_params(str(err)) from err
    return found


def columns(messages: Iterable[k.Column]) -> Columns:
    """Contract columns in order; refuses two of one name."""
    found = tuple(column(m) for m in messages)
    names = [c.name for c in found]
    for name in names:
        if not name or names.count(name) > 1:
            raise bad_params(f"column name {name!r} is empty or used twice")
    return found


def column_message(found: Column) -> k.Column:
    """The contract's form of a column."""
    return k.Column(
        name=found.name,
        type=f"COLUMN_TYPE_{found.type.name}",
        precision=found.precision,
        scale=found.scale,
        required=found.required,
    )


def definition_messages(found: Sequence[Definition]) -> list[k.Definitions]:
    """The contract's form of definitions in order: one message a kind, with its first names."""
    by_kind: dict[str, list[str]] = {}
    for each in found:
        by_kind.setdefault(each.kind, []).append(each.name)
    return [
        k.Definitions(
            kind=f"DEFINITION_KIND_{kind.upper()}",
            names=[name[:NAME_CHARACTERS_MAX] for name in names[:NAMES_MAX]],
            count=len(names),
        )
        for kind, names in by_kind.items()
    ]


def waivers(messages: Iterable[k.Waiver]) -> tuple[Waiver, ...]:
    """Contract waivers; refuses a kind that this agent does not know."""
    by_number = {number: kind for kind, number in KINDS.items()}
    for message in messages:
        if message.kind not in by_number:
            raise bad_params(f"waiver of a kind with number {int(message.kind)}")
    return tuple(Waiver(by_number[message.kind], message.name) for message in messages)


def location(message: k.DatasetLocation) -> Location:
    """A dataset at one place, without the place."""
    if not message.object:
        raise bad_params(f"dataset {message.dataset!r} names no object")
    return Location(message.dataset, message.object, columns(message.columns), tuple(message.key))


def _absolute(text: str, what: str) -> Path:
    path = Path(text)
    if not path.is_absolute() or ".." in path.parts:
        raise bad_params(f"{what} {text!r} is not an absolute path")
    return path


def _shared(files: k.CsvStore | k.ParquetStore | k.SqliteStore | k.DuckdbStore) -> tuple[int, str]:
    """Mode and group of files that are made at a place."""
    if files.file_mode and not _FILE_MODE.fullmatch(files.file_mode):
        raise bad_params(f"file mode {files.file_mode!r} is not a file mode")
    return int(files.file_mode or "0", 8), files.group


def _file(text: str, what: str) -> str:
    return str(_absolute(text, what)) if text else ""


def place(ctx: Context, message: k.Datastore, side: str = "") -> Place:
    """Where a datastore is, once the host's policy allows it and its secret is resolved. `side` is for messages."""
    ctx.allow_datastore(message)
    which = message.WhichOneof("engine")
    name = message.name
    if which == "csv":
        root = _absolute(message.csv.root, "CSV root")
        delimiter = message.csv.delimiter or ","
        if len(delimiter) != 1 or delimiter in '"\n\r' or not delimiter.isascii():
            raise bad_params(f"datastore {name!r}: delimiter {delimiter!r} is not one plain character")
        if re.search(r'["\n\r]', message.csv.null_text) or delimiter in message.csv.null_text:
            raise bad_params(f"datastore {name!r}: the NULL text holds a quote, delimiter or line end")
        return CsvPlace(name, root, delimiter, message.csv.null_text, *_shared(message.csv))
    if which == "parquet":
        return ParquetPlace(name, _absolute(message.parquet.root, "Parquet root"), *_shared(message.parquet))
    if which == "sqlite":
        path, wait_s = _absolute(message.sqlite.path, "SQLite path"), message.sqlite.lock_wait_s or LOCK_WAIT_S
        return SqlitePlace(name, path, *_shared(message.sqlite), lock_wait_s=wait_s)
    if which == "duckdb":
        path, wait_s = _absolute(message.duckdb.path, "DuckDB path"), message.duckdb.lock_wait_s or LOCK_WAIT_S
        return DuckdbPlace(name, path, *_shared(message.duckdb), lock_wait_s=wait_s)
    if which == "postgresql":
        found = message.postgresql
        return PostgresqlPlace(
            name=name,
            host=found.host,
            port=found.port or POSTGRESQL_PORT,
            database=found.database,
            user=found.user,
            password=ctx.datastore_secret(message) if found.password_ref else "",
            schema=found.schema or "public",
            sslmode=found.sslmode or "prefer",
            sslrootcert=SYSTEM if found.sslrootcert == SYSTEM else _file(found.sslrootcert, "sslrootcert"),
            sslcert=_file(found.sslcert, "sslcert"),
            sslkey=_file(found.sslkey, "sslkey"),
            side=side,
            lock_wait_s=found.lock_wait_s or LOCK_WAIT_S,
        )
    raise bad_params(f"datastore {name!r} has no engine this agent knows")


def opened(ctx: Context, message: k.Datastore, side: str = "", *, writes: bool = False) -> Datastore:
    """The datastore of a message, allowed by policy; one on a file system is the one that it was.

    Messages say that it is the `side` of a migration: source, or destination.
    """
    found = place(ctx, message, side)
    if isinstance(found, CsvPlace | ParquetPlace):
        require_mounted(ctx, found.name, found.root, marks=writes)
    elif isinstance(found, SqlitePlace | DuckdbPlace):
        require_mounted(ctx, found.name, found.path.parent, marks=False)
    return open_datastore(found, ctx.attempt_id)


def named(place: k.DatasetLocation) -> str:
    """A location as people write it: "warehouse:crew"."""
    return f"{place.datastore.name}:{place.object}"


def counted(number: int, noun: str) -> str:
    """ "1 row", "336,776 rows"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def fence(number: int) -> str:
    """A fence as GENERATION·COUNT."""
    return f"{number >> 32}·{number & 0xFFFFFFFF}"
