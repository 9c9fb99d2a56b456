"""What `haulier why` prints. Pure."""

from __future__ import annotations

from haulier.v1 import operator_pb2 as op
from rich.console import RenderableType
from rich.text import Text

from controlplane.cli.screen import pieces, wording


def holds(answer: op.WhyResponse) -> RenderableType:
    """Per step what holds it, in order, each with what would lift it."""
    text = Text(overflow="fold")
    if answer.migration.name:
        text.append(wording.clean(answer.migration.name), style="bold").append("  ")
        text.append_text(pieces.state(answer.migration.state)).append("\n")
    if not answer.steps:
        done = "nothing holds it: every step is done; `haulier migration get` shows how it ended"
        return text.append(done, style=pieces.QUIET)
    for index, step in enumerate(answer.steps):
        if index:
            text.append("\n")
        text.append(wording.clean(step.name), style="bold").append("  ")
        text.append_text(pieces.state(step.state)).append(f"  {wording.clean(step.step_id)}\n", style=pieces.QUIET)
        if not step.holds:
            text.append("  nothing holds it\n")
        for number, hold in enumerate(step.holds, start=1):
            text.append(f"  {number}. ").append(wording.clean(hold.code), style="yellow")
            text.append(f": {wording.clean(hold.message)}\n")
            if hold.lifted_by:
                text.append("     lifted by: ", style=pieces.QUIET).append(f"{wording.clean(hold.lifted_by)}\n")
            if hold.lifts_in_s > 0:
                text.append(f"     lifts by itself in {wording.duration(hold.lifts_in_s)}\n", style=pieces.QUIET)
    text.rstrip()
    return text
