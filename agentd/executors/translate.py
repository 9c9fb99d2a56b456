"""Contract messages ↔ the values that datastores and proof speak. Total: what is not understood is refused by name."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message
from haulier.v1 import kinds_pb2 as k

from agentd.datastores.engines import engine_of
from agentd.datastores.port.datastore import Datastore, Location
from agentd.datastores.port.definitions import KINDS, Definition, Waiver
from agentd.datastores.port.engine import Engine, Where
from agentd.datastores.port.messages import bad_params
from agentd.executors.context import Context
from agentd.executors.mounts import require_mounted
from agentd.proof.types import Column, Columns, ColumnType, UnsupportedType, arrow_type

# A result is one message of the contract; whoever has hundreds of indexes is told how many there are.
NAMES_MAX, NAME_CHARACTERS_MAX = 12, 100

M = TypeVar("M", bound=Message)


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


def opened(ctx: Context, message: k.Datastore, side: str = "", *, writes: bool = False) -> Datastore:
    """The datastore of a message, allowed by policy; one on a file system is the one that it was.

    Messages say that it is the `side` of a migration: source, or destination.
    """
    engine, found = _engine_and_place(ctx, message, side)
    if engine.where is Where.DIRECTORY:
        require_mounted(ctx, found.name, found.root, marks=writes)
    elif engine.where is Where.FILE:
        require_mounted(ctx, found.name, found.path.parent, marks=False)
    return engine.open(found, ctx.attempt_id)


def place(ctx: Context, message: k.Datastore, side: str = "") -> Any:
    """Where a datastore is, once the host's policy allows it and its secret is resolved. `side` is for messages."""
    return _engine_and_place(ctx, message, side)[1]


def _engine_and_place(ctx: Context, message: k.Datastore, side: str) -> tuple[Engine, Any]:
    engine = engine_of(message)
    ctx.allow_datastore(message)
    password = ctx.datastore_secret(message) if engine.asked_of(message).secret else ""
    return engine, engine.place(message, side, password)


def named(place: k.DatasetLocation) -> str:
    """A location as people write it: "warehouse:crew"."""
    return f"{place.datastore.name}:{place.object}"


def counted(number: int, noun: str) -> str:
    """ "1 row", "336,776 rows"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def fence(number: int) -> str:
    """A fence as GENERATION·COUNT."""
    return f"{number >> 32}·{number & 0xFFFFFFFF}"
