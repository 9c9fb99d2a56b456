"""`load`: publish staged parts at the destination, behind the fence."""

from haulier.v1 import kinds_pb2 as k

from agentd.datastores.port.datastore import Input, Location, Published, Undo
from agentd.datastores.port.failures import StepFailure
from agentd.executors import staging
from agentd.executors.context import Context
from agentd.executors.translate import (
    columns,
    counted,
    decoded,
    definition_messages,
    fence,
    location,
    named,
    opened,
    waivers,
)
from agentd.executors.uses import Uses, datastores_at


def _input(params: k.LoadParams) -> Input:
    replace = params.if_exists == k.IF_EXISTS_REPLACE
    return Input(bytes(params.input.digest), columns(params.input.columns), replace, waivers(params.waive))


def _result(params: k.LoadParams, published: Published) -> bytes:
    return k.LoadResult(
        rows=published.rows,
        read_bytes=0 if published.already else sum(p.size_bytes for p in params.input.parts),
        published_fence=published.fence,
        already_published=published.already,
        waived=definition_messages(published.waived),
        former_content_kept=published.former_kept,
    ).SerializeToString()


def _agreed(params: k.LoadParams) -> Location:
    """The destination, once its declared columns and key are seen to be those of the input."""
    where, found = location(params.destination), columns(params.input.columns)
    declared = {c.name: c.spelled() for c in where.columns}
    if declared and declared != {c.name: c.spelled() for c in found}:
        raise StepFailure(
            "columns_differ",
            f"dataset {where.dataset!r}: the destination declares columns {declared}, "
            f"staged are { ({c.name: c.spelled() for c in found}) }",
            "Make the declared columns agree with what the steps before yield.",
        )
    missing = sorted(set(where.key) - {c.name for c in found})
    if missing:
        raise StepFailure(
            "columns_differ",
            f"dataset {where.dataset!r}: key column {missing[0]!r} is not among the staged columns",
            "Keep the key's columns in the transform, or declare another key.",
        )
    return where


class Load:
    """Staged parts → the destination's object."""

    kind = "load"
    PARAMS = k.LoadParams
    BY_DEFAULT = True
    SAFE_TO_REPEAT = (
        "Rows go to a staging object of the attempt's own; one fenced publish makes exactly these rows the content, "
        "whatever an earlier attempt left, and a writer with a smaller fence is refused at the destination."
    )
    UNDO = (
        "Raises the fence at the destination, so that no forward attempt can publish any more, and puts back exactly "
        "what was there before this migration, or nothing where there was nothing. What is not what this migration "
        "published, as it published it, is left alone, and the undo fails."
    )

    @staticmethod
    def uses(params: k.LoadParams, undo: bool) -> Uses:
        """It reads staged parts and writes the destination; what was there goes where it replaces, and in an undo."""
        destination = datastores_at(params, "destination.datastore")
        deletes = undo or params.if_exists == k.IF_EXISTS_REPLACE
        read = datastores_at(params, "input.datastore")
        return Uses(reads=read, writes=destination, deletes=destination if deletes else ())

    def probe(self, ctx: Context) -> bytes | None:
        """Take over an earlier attempt's publish of the same input under our fence, if that is what is there."""
        params = decoded(k.LoadParams(), ctx.params)
        store = opened(ctx, params.destination.datastore, "destination", writes=True)
        published = store.adopt(_agreed(params), ctx.writer(), _input(params))
        if published is None:
            return None
        ctx.say(
            f"an earlier attempt had published these {counted(published.rows, 'row')} at {named(params.destination)}"
        )
        return _result(params, published)

    def run(self, ctx: Context) -> bytes:
        """Stage at the destination, then publish."""
        params = decoded(k.LoadParams(), ctx.params)
        store = opened(ctx, params.destination.datastore, "destination", writes=True)
        rows = int(params.input.rows)
        ctx.progress(0, rows, stage="reading")
        ctx.say(f"loading {counted(rows, 'row')} into {named(params.destination)}")
        batches = staging.rows_of(ctx, params.input)
        published = store.publish(_agreed(params), ctx.writer(rows), _input(params), batches)
        ctx.progress(published.rows, rows, stage="publishing")
        ctx.say(
            f"published {counted(published.rows, 'row')} at {named(params.destination)} under fence {fence(ctx.fence)}"
        )
        return _result(params, published)

    def undo(self, ctx: Context) -> None:
        """Withdraw at the destination."""
        params = decoded(k.LoadParams(), ctx.params)
        forward = decoded(k.LoadResult(), ctx.forward_result)
        store = opened(ctx, params.destination.datastore, "destination", writes=True)
        undo = Undo(
            columns(params.input.columns),
            int(forward.published_fence),
            ctx.discard_changes,
            ctx.migration_id,
        )
        store.withdraw(location(params.destination), ctx.writer(stage="comparing"), undo)
        ctx.say(f"put back at {named(params.destination)} what was there before, or nothing where nothing was")
