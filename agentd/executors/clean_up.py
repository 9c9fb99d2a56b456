"""`clean_up`: remove what a step of an ended migration left behind, once nobody needs it any more."""

from haulier.v1 import kinds_pb2 as k

from agentd.datastores.port.datastore import Removed
from agentd.datastores.port.messages import bad_params
from agentd.executors import staging
from agentd.executors.context import Context
from agentd.executors.translate import decoded, location, opened
from agentd.executors.uses import Uses, datastores_at


class CleanUp:
    """Staged parts, or the former content that was kept for undo."""

    kind = "clean_up"
    PARAMS = k.CleanUpParams
    BY_DEFAULT = False
    # It removes what these leave behind.
    ALLOWED_WITH = ("extract", "transform", "load")
    SAFE_TO_REPEAT = "It removes what is there and is content to find nothing; it never touches published data."
    UNDO = "Nothing: what was removed is gone, and the control plane says so before it lets anyone roll back."

    @staticmethod
    def uses(params: k.CleanUpParams, undo: bool) -> Uses:
        """It removes staged parts, which are the migration's own, or former content, which is not."""
        del undo
        former = datastores_at(params, "former_content_at.datastore")
        return Uses(writes=datastores_at(params, "staged.datastore"), deletes=former)

    def probe(self, ctx: Context) -> bytes | None:
        """Never: a second run finds by itself what is still there."""
        del ctx
        return None

    def run(self, ctx: Context) -> bytes:
        """Remove it."""
        params = decoded(k.CleanUpParams(), ctx.params)
        what = params.WhichOneof("what")
        ctx.progress(0, stage="removing")
        if what == "staged":
            removed = staging.clean_up(ctx, params.staged.datastore, params.staged.step_id)
        elif what == "former_content_at":
            removed = self._former(ctx, params.former_content_at)
        else:
            raise bad_params("a clean-up that names nothing to remove")
        return k.CleanUpResult(removed=removed.count, freed_bytes=removed.freed_bytes).SerializeToString()

    @staticmethod
    def _former(ctx: Context, where: k.DatasetLocation) -> Removed:
        return opened(ctx, where.datastore).drop_former(location(where), ctx.writer())

    def undo(self, ctx: Context) -> None:
        """Nothing to restore."""
        del ctx
