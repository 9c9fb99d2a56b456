"""What `haulier status` prints. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from haulier.v1 import operator_pb2 as op
from rich.console import Group, RenderableType
from rich.text import Text

from controlplane.cli.migrations import leftovers as render_leftovers
from controlplane.cli.screen import pieces, wording


def status_page(status: op.GetStatusResponse, address: str) -> RenderableType:
    """The control plane at a glance: counts by state, then its loops."""
    head = Text("control plane ", style="bold").append(wording.clean(address), style="bold")
    head.append(
        f"  version {wording.clean(status.version)}, store generation {status.store_generation}", style=pieces.QUIET
    )
    counts = pieces.table([pieces.column(""), pieces.column("by state", fold=True)])
    counts.show_header = False
    for title, by_state in (("migrations", status.migrations), ("steps", status.steps), ("agents", status.agents)):
        counts.add_row(Text(title), _counts(by_state))
    kept = render_leftovers.kept_in_all(status.leftovers)
    if kept:
        counts.add_row(Text("kept"), pieces.prose(kept))
    loops = pieces.table(
        [
            pieces.column("loop", flex=True),
            pieces.column("last pass", justify="right"),
            pieces.column("took", justify="right"),
            pieces.column("passes", justify="right"),
            pieces.column("last error", fold=True),
        ]
    )
    for loop in status.loops:
        never = loop.last_run_ago_s < 0
        loops.add_row(
            pieces.name(loop.name),
            Text("never" if never else f"{wording.duration(loop.last_run_ago_s)} ago"),
            Text(
                ""
                if never
                else f"{loop.duration_s * 1000:.1f}ms"
                if loop.duration_s < 1
                else wording.duration(loop.duration_s)
            ),
            Text(wording.count(loop.passes)),
            pieces.prose(loop.last_error, "red") if loop.last_error else pieces.quiet("–"),  # noqa: RUF001
        )
    alarms = [pieces.prose(f"the audit log is not intact: {what}", "bold red") for what in status.audit_troubles]
    failed = render_leftovers.failed_clean_ups(status.leftovers)
    if failed:
        alarms.append(pieces.prose(failed, "red"))
    return Group(head, *alarms, Text(), counts, Text(), loops)


def _counts(by_state: Mapping[str, int]) -> Text:
    if not any(by_state.values()):
        return pieces.nothing("none")
    text = Text(overflow="fold")
    for word in sorted(by_state, key=lambda word: (-by_state[word], word)):
        if by_state[word]:
            text.append(wording.count(by_state[word]) + " ").append_text(pieces.state(word)).append("   ")
    text.rstrip()
    return text
