"""An engine and a step kind that nobody has: each declared once on each side, as a new one would be.

The engine keeps lines of fields with a bar between them. The kind counts them, and notes the number in a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from haulier.v1 import kinds_pb2
from pydantic import Field

from agentd.datastores import engines
from agentd.datastores.port import engine as of_agent
from agentd.datastores.port.messages import absolute, sharing_of
from agentd.executors import registry
from agentd.executors.uses import Uses, datastores_at
from controlplane.manifests.compiling import step_kinds
from controlplane.manifests.engines import engine as of_control_plane
from controlplane.manifests.engines.spec import AbsolutePath, FilesSpec, labels_of, sharing
from controlplane.manifests.kinds import datastore

if TYPE_CHECKING:
    from agentd.datastores.files.places import CsvPlace
    from agentd.executors.context import Context

# The generated modules of the made-up contract have no stubs.
k: Any = kinds_pb2
BAR = "|"


# ---- The engine, on the agent's side


def _place(message: Any, side: str, password: str) -> CsvPlace:
    from agentd.datastores.files.places import CsvPlace

    del side, password
    return CsvPlace(message.name, absolute(message.lines.root, "root"), BAR, "", *sharing_of(message.lines))


def _open(place: Any, attempt_id: str) -> Any:
    from agentd.datastores.files.csv import CsvDatastore

    class LinesDatastore(CsvDatastore):
        engine = "lines"
        suffixes = (".lines", ".lns", ".ln")

    del attempt_id
    return LinesDatastore(place)


def _propose(where: str, table: str, failed: of_agent.Failed) -> Iterator[Any]:
    from agentd.datastores.inspection.text import Proposal, Store
    from agentd.proof.types import Column, ColumnType

    del table, failed
    path = Path(where)
    names = path.read_text().splitlines()[0].split(BAR)
    columns = tuple(Column(name.strip('"'), ColumnType.TEXT) for name in names)
    yield Proposal(path.name, columns, store=Store("lines", (("root", str(path.parent)),)))


LINES = of_agent.Engine(
    name="lines",
    where=of_agent.Where.DIRECTORY,
    place=_place,
    open=_open,
    inspection=of_agent.Inspection(_propose, is_it=lambda start: BAR.encode() in start),
    example=("", "moved.lines"),
)


# ---- The engine, on the control plane's side


class LinesSpec(FilesSpec):
    """Lines below one directory."""

    engine: Literal["lines"]
    root: AbsolutePath = Field(description="Absolute directory on the host.")


def _store(spec: LinesSpec) -> Any:
    return k.LinesStore(root=spec.root, **sharing(spec))


THEIR_LINES = of_control_plane.Engine(
    name="lines",
    title="files of lines",
    spec=LinesSpec,
    store=_store,
    place_key=lambda spec, name: ("lines", spec.root, name, *labels_of(spec)),
    declares_columns=True,
)


# ---- The step kind, on both sides


class CountLines:
    """Lines → their number, in its result and in a file."""

    kind = "count_lines"
    PARAMS: Any = getattr(k, "CountLinesParams", None)
    BY_DEFAULT = False
    SAFE_TO_REPEAT = "It counts again, and notes the same number."
    UNDO = "Removes the note."

    @staticmethod
    def uses(params: Any, undo: bool) -> Uses:
        """It reads lines, and writes a note beside them."""
        del undo
        return Uses(writes=datastores_at(params, "where.datastore"))

    def probe(self, ctx: Context) -> bytes | None:
        """Never done already."""
        del ctx
        return None

    def run(self, ctx: Context) -> bytes:
        """Count, and note."""
        from agentd.executors.translate import decoded, location, opened

        params = decoded(self.PARAMS(), ctx.params)
        where = location(params.where)
        store = opened(ctx, params.where.datastore)
        rows = sum(batch.num_rows for batch in store.read(where, where.columns))
        Path(params.where.datastore.lines.root, "count.lines").write_text(f"rows{BAR}\n{rows}{BAR}\n")
        return bytes(k.CountLinesResult(rows=rows).SerializeToString())

    def undo(self, ctx: Context) -> None:
        """Remove the note."""
        Path(self.PARAMS.FromString(ctx.params).where.datastore.lines.root, "count.lines").unlink(missing_ok=True)


def declare_on_agent() -> None:
    """The one place of each on the agent's side."""
    engines.ENGINES["lines"] = LINES
    registry.BUILT_IN["count_lines"] = registry.declared(CountLines, is_built_in=True)


def declare_on_control_plane() -> None:
    """The one place of each on the control plane's side."""
    datastore.ENGINES["lines"] = THEIR_LINES
    step_kinds.BUILT_IN["count_lines"] = step_kinds.BuiltInKind(k.CountLinesParams, k.CountLinesResult, ("where",))
