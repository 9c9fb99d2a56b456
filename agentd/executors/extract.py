"""`extract`: read a source once into staged parts, with the digest of what was read."""

from dataclasses import replace

from haulier.v1 import kinds_pb2 as k

from agentd.datastores.port.failures import StepFailure
from agentd.executors import staging
from agentd.executors.context import Context
from agentd.executors.translate import columns, counted, decoded, definition_messages, location, named, opened
from agentd.executors.uses import Uses, datastores_at


def _result(ctx: Context, params: k.ExtractParams, staged: k.Staged) -> bytes:
    """What was staged, and what the source has beside its rows."""
    where = location(params.source)
    where = replace(where, columns=where.columns or columns(staged.columns))
    beside = opened(ctx, params.source.datastore).definitions(where)
    return k.ExtractResult(output=staged, definitions=definition_messages(beside)).SerializeToString()


class Extract:
    """Source → staged Parquet parts and a manifest."""

    kind = "extract"
    PARAMS = k.ExtractParams
    BY_DEFAULT = True
    SAFE_TO_REPEAT = (
        "Every attempt reads the source without changing it and writes to a directory of its own name; "
        "only a directory with a finished manifest is ever used."
    )
    UNDO = "Removes everything that any attempt of this step staged; the source was never touched."

    @staticmethod
    def uses(params: k.ExtractParams, undo: bool) -> Uses:
        """It reads the source, and writes staged parts."""
        del undo
        return Uses(reads=datastores_at(params, "source.datastore"), writes=datastores_at(params, "staging"))

    def probe(self, ctx: Context) -> bytes | None:
        """Result of this very attempt, if it finished staging and could not say so."""
        params = decoded(k.ExtractParams(), ctx.params)
        staged = staging.finished(ctx, params.staging)
        return None if staged is None else _result(ctx, params, staged)

    def run(self, ctx: Context) -> bytes:
        """Read and stage; memory is bounded by one batch and one open part."""
        params = decoded(k.ExtractParams(), ctx.params)
        source = opened(ctx, params.source.datastore, "source")
        where = location(params.source)
        ctx.progress(0, stage="reading")
        ctx.say(f"reading {named(params.source)}")
        description = source.describe(where)
        found = where.columns or description.columns
        if not found:
            raise StepFailure(
                "columns_not_declared",
                f"dataset {where.dataset!r}: {where.object!r} has no columns to read",
                "Declare the columns in the Dataset.",
            )
        staged = staging.stage(
            ctx,
            params.staging,
            found,
            source.read(where, found),
            params.part_rows_max,
            description.rows_estimate,
        )
        ctx.say(f"read {counted(staged.rows, 'row')} from {named(params.source)} into {staging.told(staged)}")
        return _result(ctx, params, staged)

    def undo(self, ctx: Context) -> None:
        """Remove the step's staged directory."""
        staging.remove_step(ctx, decoded(k.ExtractParams(), ctx.params).staging)
        ctx.say("removed what this step had staged")
