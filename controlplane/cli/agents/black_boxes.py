"""`haulier agent black-box`: why an upgrade of a host failed, as the host saw it."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from controlplane.cli.asking import completing
from controlplane.cli.asking.options import OutputOption, ProfileOption
from controlplane.cli.screen.problems import Problem
from controlplane.cli.screen.terminal import OutputFormat, show_json, write

LOG_LINES = 20
AgentArgument = Annotated[
    str, typer.Argument(metavar="AGENT", help="Name or ag_… id.", autocompletion=completing.agents)
]


def black_box(agent: AgentArgument, profile: ProfileOption = None, output: OutputOption = OutputFormat.table) -> None:
    """Show what an agent's host kept of its last failed upgrade; `-o json` shows all of it."""
    from haulier.v1 import black_box_pb2 as pb

    from controlplane.cli.asking.connection import connect
    from controlplane.cli.screen import wording

    with connect(profile) as operator:
        pieces = operator.stream(pb.GetBlackBoxRequest(agent=agent), pb.GetBlackBoxResponse)
        data = b"".join(piece.data for piece in pieces)
    try:
        told: dict[str, Any] = json.loads(data)
        if output is OutputFormat.json:
            show_json(told)
        else:
            write("".join(f"{wording.clean(line)}\n" for line in _lines(told)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Problem(f"the black box of {agent} is damaged: {error}") from None


def _lines(told: dict[str, Any]) -> list[str]:
    """The cause, what the self-test said, the timeline, and the end of the log."""
    tested = (told.get("probation") or {}).get("tested") or {}
    figures = told.get("figures") or {}
    lines = [
        f"release   {told['version']} ({str(told['digest'])[:12]}), back to {told['back_to']}",
        f"cause     {told['cause_code']}: {told['cause']}",
    ]
    if tested:
        verdict = "passed" if tested.get("passed") else f"failed: {', '.join(tested.get('failed', ()))}"
        lines.append(f"selftest  {verdict}  {tested.get('detail', '')}".rstrip())
    lines.append(f"memory    {int(figures.get('agent_rss_bytes', 0)) / 1e6:.0f} MB, load {figures.get('load')}")
    lines.append(f"running   {len(told.get('held_attempts', ()))} attempts, which went on")
    lines += [f"  {each.get('at', 0):.1f}  {each.get('what')}" for each in told.get("timeline", ())[-12:]]
    lines.append("log")
    lines += [f"  {line}" for line in told.get("log", ())[-LOG_LINES:]]
    return lines
