"""The host's policy applied to a step: what its parameters touch, and whether that is allowed.

Used before a step's process does anything, and by `haulier-agentd check --would-run`, so that both say the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import Message
from haulier.v1 import kinds_pb2

from agentd.executors.translate import decoded
from agentd.policy.law import Policy
from agentd.policy.places import FILE_ENGINES, PlaceAsked

PARAMS: dict[str, type[Message]] = {
    "extract": kinds_pb2.ExtractParams,
    "transform": kinds_pb2.TransformParams,
    "load": kinds_pb2.LoadParams,
    "validate": kinds_pb2.ValidateParams,
    "run_program": kinds_pb2.RunProgramParams,
    "clean_up": kinds_pb2.CleanUpParams,
}


@dataclass(frozen=True, slots=True)
class Touched:
    """A place that a step uses, and how. `path` is where its files are, None for a database."""

    asked: PlaceAsked
    writes: bool
    path: Path | None


def place_asked(message: kinds_pb2.Datastore) -> PlaceAsked:
    """A datastore's definition in the policy's words."""
    engine = message.WhichOneof("engine") or ""
    if engine in FILE_ENGINES:
        found = getattr(message, engine)
        return PlaceAsked(message.name, engine, found.root if engine in ("csv", "parquet") else found.path)
    told = message.postgresql
    return PlaceAsked(
        message.name,
        engine,
        host=told.host,
        port=told.port or 5432,
        database=told.database,
        user=told.user,
        schema=told.schema,
        sslmode=told.sslmode,
        secret=told.password_ref,
        certificates=tuple(path for path in (told.sslrootcert, told.sslcert, told.sslkey) if path),
    )


def params_of(kind: str, data: bytes) -> Message | None:
    """The parameters of a built-in kind; None for a kind of somebody's own. Raises StepFailure (bad_params)."""
    made = PARAMS.get(kind)
    return None if made is None else decoded(made(), data)


def touched(policy: Policy, params: Message, undo: bool) -> list[Touched]:
    """Every place that a step of a built-in kind uses. Raises PolicyRefused for the first that is not allowed so."""
    written = _written(params)
    found = []
    for store in _datastores(params):
        asked = place_asked(store)
        writes = store == written
        deletes = writes and _deletes(params, undo)
        path = policy.check_place(asked, writes, deletes)
        policy.check_datastore_secret(asked)
        found.append(Touched(asked, writes, path))
    return found


def _deletes(params: Message, undo: bool) -> bool:
    """Whether a step may remove what is at a destination; staged parts are the step's own."""
    if isinstance(params, kinds_pb2.LoadParams):
        return undo or params.if_exists == kinds_pb2.IF_EXISTS_REPLACE
    return isinstance(params, kinds_pb2.CleanUpParams) and params.HasField("former_content_at")


def _written(params: Message) -> kinds_pb2.Datastore:
    if isinstance(params, kinds_pb2.ExtractParams):
        return params.staging
    if isinstance(params, kinds_pb2.TransformParams):
        return params.staging if params.HasField("staging") else params.input.datastore
    if isinstance(params, kinds_pb2.CleanUpParams):
        return params.former_content_at.datastore if params.HasField("former_content_at") else params.staged.datastore
    return params.destination.datastore if isinstance(params, kinds_pb2.LoadParams) else kinds_pb2.Datastore()


def _datastores(message: Message) -> Iterator[kinds_pb2.Datastore]:
    """Every datastore anywhere in a message."""
    if isinstance(message, kinds_pb2.Datastore):
        yield message
        return
    for field, value in message.ListFields():
        below = field.message_type
        if below is not None and not below.GetOptions().map_entry:
            for each in value if field.is_repeated else (value,):
                yield from _datastores(each)
