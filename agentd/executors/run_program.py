"""`run_program`: a program that the agent's host names in its policy, with values that the policy allows."""

from haulier.v1 import kinds_pb2 as k

from agentd.datastores.port.messages import bad_params
from agentd.executors.context import Context
from agentd.executors.translate import decoded
from agentd.executors.uses import HostProgram, Uses


def _params(ctx: Context) -> k.RunProgramParams:
    params = decoded(k.RunProgramParams(), ctx.params)
    if not params.program:
        raise bad_params("run_program names no program")
    return params


class RunProgram:
    """Name and values → the program's output."""

    kind = "run_program"
    PARAMS = k.RunProgramParams
    BY_DEFAULT = False
    NEEDS_PROGRAMS = True
    SAFE_TO_REPEAT = (
        "The host that names a program says in its policy why running it twice is harmless; one of which it does not "
        "say so is not run."
    )
    UNDO = "Runs the program that the host names for it, with the same values; nothing where the host says so."

    @staticmethod
    def uses(params: k.RunProgramParams, undo: bool) -> Uses:
        """It is the program: what that touches is in the policy that names it."""
        del undo
        return Uses(host_program=HostProgram(params.program, dict(params.values)))

    def probe(self, ctx: Context) -> bytes | None:
        """Never done already: only the program could tell, and it may be run again."""
        del ctx
        return None

    def run(self, ctx: Context) -> bytes:
        """Run it; no fence holds it back at a destination, so it starts only under a renewed lease."""
        params = _params(ctx)
        ctx.before_destructive()
        ctx.say(f"running the host's program {params.program}")
        ended = ctx.run_program(params.program, dict(params.values), False)
        output, is_cut = ("", False) if ended is None else (ended.output, ended.is_cut)
        return k.RunProgramResult(output=output, output_cut=is_cut).SerializeToString()

    def undo(self, ctx: Context) -> None:
        """Run the undo that the host names."""
        params = _params(ctx)
        ctx.before_destructive()
        ctx.run_program(params.program, dict(params.values), True)
