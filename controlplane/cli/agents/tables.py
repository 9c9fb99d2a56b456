"""What the agent commands print. Pure."""

from __future__ import annotations

from haulier.v1 import operator_pb2 as op
from rich.console import RenderableType
from rich.text import Text

from controlplane.cli.screen import pieces, wording
from controlplane.cli.screen.terminal import Look


def agent_table(listing: op.ListAgentsResponse, look: Look) -> RenderableType:
    """Agents, what they hold, when they were heard, and their hosts."""
    if not listing.agents:
        return pieces.nothing("no agent has joined; `haulier token create` makes a join token")
    columns = [
        pieces.column("name", flex=True),
        pieces.column("state", flex=True),
        pieces.column("liveness", flex=True),
        pieces.column("slots", justify="right"),
        pieces.column("heard", justify="right"),
        pieces.column("agent cpu", justify="right"),
        pieces.column("agent rss", justify="right"),
    ]
    if look.fits(110):
        columns += [pieces.column("version"), pieces.column("labels", flex=True)]
    if look.fits(140):
        columns += [pieces.column("datastores", flex=True), pieces.column("incarnation", justify="right")]
    if look.fits(200):
        columns += [
            pieces.column("host cpu", justify="right"),
            pieces.column("kinds", flex=True),
            pieces.column("agent", flex=True),
        ]
    table = pieces.table(columns)
    for agent in listing.agents:
        table.add_row(*_cells(agent)[: len(columns)])
    return table


def state_of(agent: op.AgentView) -> str:
    """The state of an agent as a person should see it: whoever is cordoned takes nothing new, whatever else it is."""
    if not agent.cordon_reason:
        return agent.state
    cordoned = f"cordoned: {agent.cordon_reason}"
    return cordoned if agent.state == "serving" else f"{agent.state}, {cordoned}"


def _cells(agent: op.AgentView) -> list[Text]:
    # A host without memory does not exist: nothing was sampled.
    sampled = agent.HasField("sample") and agent.sample.memory_total_bytes > 0
    labels = ",".join(f"{key}={agent.labels[key]}" for key in sorted(agent.labels))
    return [
        pieces.name(agent.name),
        pieces.state(state_of(agent)),
        pieces.state(agent.liveness),
        Text(f"{agent.leases}/{agent.slots}"),
        Text(wording.duration(agent.heard_ago_s)),
        Text(f"{agent.sample.agent_cpu_cores:.0%}" if agent.sample.HasField("agent_cpu_cores") else ""),
        Text(wording.size(agent.sample.agent_rss_bytes) if sampled else ""),
        pieces.quiet(agent.version),
        pieces.quiet(labels),
        pieces.quiet(",".join(agent.datastores)),
        Text(str(agent.incarnation)),
        Text(wording.percent(agent.sample.cpu_fraction) if sampled else ""),
        pieces.quiet(",".join(agent.kinds)),
        pieces.quiet(agent.agent_id),
    ]
