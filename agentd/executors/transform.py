"""`transform`: one SELECT over staged parts, run in a locked DuckDB, into new staged parts."""

from collections.abc import Iterator

import pyarrow as pa
from haulier.v1 import kinds_pb2 as k

from agentd.datastores.forms.arrow_form import conformed
from agentd.datastores.port.failures import StepFailure
from agentd.datastores.sql.locked_sql import select_from_parts
from agentd.executors import staging
from agentd.executors.context import Context
from agentd.executors.translate import columns, counted, decoded
from agentd.executors.uses import Uses, datastores_at
from agentd.proof.types import Columns

OUTPUT = "the transform's output"


def selected(
    ctx: Context, source: k.Staged, sql: str, wanted: Columns = ()
) -> tuple[Columns, Iterator[pa.RecordBatch]]:
    """Columns and rows of the SELECT over the view `input`; refuses output types that are not moved exactly.

    With `wanted` the output must have exactly these columns, by name and type.
    """
    files = staging.files_of(ctx, source)
    output, found = select_from_parts(files, columns(source.columns), sql, ctx.directory)
    names = [c.name for c in output]
    doubled = sorted({n for n in names if names.count(n) > 1})
    if doubled:
        raise StepFailure("bad_sql", f"{OUTPUT} has column {doubled[0]!r} twice", "Name it with AS.")
    chosen = wanted or output
    return chosen, conformed(found, chosen, OUTPUT)


def _staging(params: k.TransformParams) -> k.Datastore:
    return params.staging if params.HasField("staging") else params.input.datastore


class Transform:
    """Staged parts → staged parts."""

    kind = "transform"
    PARAMS = k.TransformParams
    BY_DEFAULT = True
    SAFE_TO_REPEAT = (
        "It reads staged parts that nobody changes and writes to a directory of the attempt's own name; "
        "the SQL runs in one thread and can reach nothing else, so it gives the same rows again."
    )
    UNDO = "Removes everything that any attempt of this step staged; its input stays."

    @staticmethod
    def uses(params: k.TransformParams, undo: bool) -> Uses:
        """It reads staged parts, and writes others."""
        del undo
        read = datastores_at(params, "input.datastore")
        return Uses(reads=read, writes=datastores_at(params, "staging") or read)

    def probe(self, ctx: Context) -> bytes | None:
        """Result of this very attempt, if it finished staging and could not say so."""
        staged = staging.finished(ctx, _staging(decoded(k.TransformParams(), ctx.params)))
        return None if staged is None else k.TransformResult(output=staged).SerializeToString()

    def run(self, ctx: Context) -> bytes:
        """Run the SELECT and stage what it yields."""
        params = decoded(k.TransformParams(), ctx.params)
        ctx.progress(0, int(params.input.rows), stage="reading")
        found, batches = selected(ctx, params.input, params.sql, columns(params.columns))
        ctx.say(f"running the SELECT over {counted(params.input.rows, 'row')}")
        staged = staging.stage(ctx, _staging(params), found, batches)
        ctx.say(f"it gave {counted(staged.rows, 'row')}, in {staging.told(staged)}")
        return k.TransformResult(output=staged).SerializeToString()

    def undo(self, ctx: Context) -> None:
        """Remove the step's staged directory."""
        staging.remove_step(ctx, _staging(decoded(k.TransformParams(), ctx.params)))
        ctx.say("removed what this step had staged")
