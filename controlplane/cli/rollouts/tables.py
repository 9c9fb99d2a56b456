"""What the rollout commands print: waves as bars, states, causes, what is left to wait for. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from haulier.v1 import fleet_pb2 as fl
from rich.console import Group, RenderableType
from rich.text import Text

from controlplane.cli.screen import pieces, states, wording
from controlplane.cli.screen.terminal import Look

# In one of these a rollout moves on only by a person's decision, or not at all.
AT_REST = frozenset({"halted", "cancelled", "succeeded", "rolled_back"})
_FULL, _EMPTY = "━", "─"
_DONE = ("kept", "returned", "cancelled")
_BAD = ("failed",)
_MOVING = ("asked", "fetching", "staged", "probation", "undecided", "returning")
_ORDER = (
    "kept",
    "probation",
    "undecided",
    "staged",
    "fetching",
    "asked",
    "held",
    "returning",
    "returned",
    "failed",
    "cancelled",
)


def rollout_table(rollouts: Sequence[fl.RolloutView], look: Look) -> RenderableType:
    """Rollouts, one line each."""
    if not rollouts:
        return pieces.nothing("there was no rollout; `haulier rollout create FLEET` makes one")
    columns = [
        pieces.column("rollout"),
        pieces.column("fleet", flex=True),
        pieces.column("release"),
        pieces.column("state"),
        pieces.column("wave", justify="right"),
        pieces.column("kept", justify="right"),
        pieces.column("failed", justify="right"),
        pieces.column("age", justify="right"),
    ]
    wide = look.fits(100)
    table = pieces.table([*columns, pieces.column("why", flex=True)] if wide else columns)
    for view in rollouts:
        counts = counts_of(view)
        cells = [
            pieces.name(view.rollout_id),
            pieces.name(view.fleet),
            pieces.name(view.version),
            pieces.state(view.state),
            Text(f"{view.wave}/{len(view.waves) - 1}"),
            Text(f"{counts['kept']}/{view.hosts}"),
            Text(str(counts["failed"]), style="red" if counts["failed"] else ""),
            Text(wording.duration(view.elapsed_s)),
        ]
        table.add_row(*cells, *([pieces.quiet(why(view))] if wide else []))
    return table


def rollout_page(view: fl.RolloutView, look: Look, *, eta_s: float | None = None, trouble: str = "") -> RenderableType:
    """One rollout: its state, a bar for each wave, and what it waits for."""
    parts: list[RenderableType] = [_head(view), _waves(view, look), Text(), _foot(view, eta_s)]
    if view.halt_cause:
        parts.append(pieces.prose(f"halted in wave {view.halted_wave}: {view.halt_code}: {view.halt_cause}", "red"))
    if view.trouble and view.state not in AT_REST:
        told = (
            f"the control plane's loop {view.trouble} is behind: until it is well no host's silence is held against it"
        )
        parts.append(pieces.prose(told, "yellow"))
    if trouble:
        parts.append(pieces.prose(trouble, "yellow"))
    return Group(*parts)


def _head(view: fl.RolloutView) -> Text:
    head = Text(f"{wording.clean(view.rollout_id)}  ", no_wrap=True, overflow="ellipsis")
    head.append(f"{wording.clean(view.fleet)} to {wording.clean(view.version)}  ", style="bold")
    return head.append_text(pieces.state(view.state))


def _waves(view: fl.RolloutView, look: Look) -> RenderableType:
    columns = [
        pieces.column("wave"),
        pieces.column("hosts", justify="right"),
        pieces.column("progress"),
        pieces.column("states", flex=True),
    ]
    table = pieces.table(columns)
    width = min(max(look.width // 4, 10), 40) if look.terminal else 20
    for wave in view.waves:
        mark = "▸ " if wave.wave == view.wave and view.state not in AT_REST else "  "
        share = "canaries" if wave.wave == 0 else wording.percent(view.shares[wave.wave - 1])
        table.add_row(
            Text(f"{mark}{wave.wave} {share}"),
            Text(str(wave.hosts)),
            _bar(wave, width),
            _states(wave.states),
        )
    return table


def _bar(wave: fl.WaveView, width: int) -> Text:
    bar = Text(no_wrap=True)
    left, before = width, 0
    for names, style in ((_DONE, "green"), (_BAD, "red"), (_MOVING, "blue"), (("held",), "yellow")):
        count = sum(wave.states[name] for name in names if name in wave.states)
        if count:
            # Whoever is there is seen: one host of thousands takes a column too.
            upto = max(1, round(width * (before + count) / wave.hosts) - (width - left))
            upto = min(upto, left)
            bar.append(_FULL * upto, style=style)
            left, before = left - upto, before + count
    return bar.append(_EMPTY * left, style=pieces.QUIET)


def _states(counted: Mapping[str, int]) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    for name in (*_ORDER, *sorted(set(counted) - set(_ORDER))):
        if counted.get(name):
            looks = states.looks(name)
            text.append(f"{looks.symbol} {counted[name]} {wording.clean(name)}  ", style=looks.style)
    return text


def _foot(view: fl.RolloutView, eta_s: float | None) -> Text:
    counts = counts_of(view)
    moving = sum(counts[name] for name in _MOVING)
    text = Text(f"{counts['kept']} of {view.hosts} hosts kept, {moving} of at most {view.in_flight_max} in flight")
    if counts["failed"]:
        text.append(f", {counts['failed']} failed", style="red")
    if counts["held"]:
        text.append(f", {counts['held']} held", style="yellow")
    if view.soak_left_s > 0:
        text.append(f" · wave {view.wave} soaks for {wording.duration(view.soak_left_s)}", style=pieces.QUIET)
    if eta_s is not None and view.state not in AT_REST:
        text.append(f" · about {wording.duration(eta_s)} left", style=pieces.QUIET)
    return text


def host_table(hosts: Sequence[fl.RolloutHostView], look: Look) -> RenderableType:
    """Hosts of a rollout, one line each."""
    columns = [
        pieces.column("host", flex=True),
        pieces.column("wave", justify="right"),
        pieces.column("state"),
        pieces.column("from"),
        pieces.column("runs"),
        pieces.column("why", flex=True),
    ]
    if look.fits(140):
        columns += [pieces.column("steps", justify="right"), pieces.column("groups", flex=True)]
    table = pieces.table(columns)
    for host in hosts:
        told = f"{host.cause_code}: {host.cause}" if host.cause and host.cause_code else host.cause or host.cause_code
        cells = [
            pieces.name(host.name),
            Text(str(host.wave)),
            pieces.state(host.state),
            pieces.name(host.from_version),
            pieces.name(host.running_version),
            pieces.quiet(told),
            Text(f"{host.steps_after - host.failed_after}/{host.steps_after}" if host.steps_after else ""),
            pieces.quiet(" ".join(host.groups)),
        ]
        table.add_row(*cells[: len(columns)])
    return table


def counts_of(view: fl.RolloutView) -> Counter[str]:
    """State → hosts, over all waves."""
    counts: Counter[str] = Counter()
    for wave in view.waves:
        counts.update(dict(wave.states))
    return counts


def why(view: fl.RolloutView) -> str:
    """Why it is in its state, in one line."""
    return f"{view.halt_code}: {view.halt_cause}" if view.halt_code else view.reason


def plain_line(view: fl.RolloutView) -> str:
    """The news of a rollout as one line, for logs and pipes."""
    counts = counts_of(view)
    parts = [
        wording.clean(view.rollout_id),
        wording.clean(view.state),
        f"wave {view.wave}/{len(view.waves) - 1}",
        ", ".join(f"{counts[name]} {wording.clean(name)}" for name in sorted(counts) if counts[name]),
    ]
    told = why(view)
    return "  ".join([*parts, wording.clean(told)] if told and view.state in AT_REST else parts)


def fleet_page(status: fl.GetFleetStatusResponse, look: Look) -> RenderableType:
    """Fleets beside what is desired of them, and the work that waits."""
    columns = [
        pieces.column("fleet", flex=True),
        pieces.column("health"),
        pieces.column("ready", justify="right"),
        pieces.column("desired"),
        pieces.column("on it", justify="right"),
        pieces.column("runs", flex=True),
        pieces.column("rollout", flex=True),
    ]
    table = pieces.table(columns)
    parts: list[RenderableType] = [table]
    for fleet in status.fleets:
        runs = ", ".join(f"{count} {version}" for version, count in sorted(fleet.versions.items()))
        agents = fleet.desired_replicas if fleet.HasField("desired_replicas") else fleet.agents
        newest = f"{fleet.rollout.rollout_id} {fleet.rollout.state}" if fleet.HasField("rollout") else ""
        table.add_row(
            pieces.name(fleet.name or "every agent"),
            pieces.state("unwell" if fleet.problems else "well"),
            Text(f"{fleet.ready}/{agents}"),
            pieces.name(fleet.desired_release),
            Text(str(fleet.on_release) if fleet.desired_release else ""),
            pieces.quiet(runs),
            pieces.quiet(newest),
        )
        parts += [pieces.prose(f"{fleet.name or 'every agent'}: {problem}", "red") for problem in fleet.problems]
    if status.backlog:
        parts += [Text(), _backlog(status.backlog)]
    return Group(*parts)


def _backlog(backlog: Sequence[fl.BacklogView]) -> RenderableType:
    columns = [
        pieces.column("waiting", justify="right"),
        pieces.column("running", justify="right"),
        pieces.column("oldest", justify="right"),
        pieces.column("needs", flex=True),
    ]
    table = pieces.table(columns)
    for each in backlog:
        labels = [f"{key}={each.labels[key]}" for key in sorted(each.labels)]
        table.add_row(
            Text(str(each.ready)),
            Text(str(each.running)),
            Text(wording.duration(each.oldest_s) if each.ready else ""),
            pieces.name(" ".join([each.kind, *each.datastores, *labels])),
        )
    return table


def facts_table(listing: fl.ListHostsResponse, look: Look) -> RenderableType:
    """Hosts: what they are, what they run."""
    if not listing.hosts:
        return pieces.nothing("no agent has joined; `haulier token create` makes a join token")
    columns = [
        pieces.column("name", flex=True),
        pieces.column("system"),
        pieces.column("cores", justify="right"),
        pieces.column("memory", justify="right"),
        pieces.column("slots", justify="right"),
        pieces.column("runs"),
        pieces.column("release"),
    ]
    if look.fits(120):
        columns += [pieces.column("zone"), pieces.column("labels", flex=True), pieces.column("why", flex=True)]
    table = pieces.table(columns)
    for host in listing.hosts:
        table.add_row(*_facts(host)[: len(columns)])
    return table


def _facts(host: fl.HostView) -> list[Text]:
    from haulier.v1 import release_pb2

    from controlplane.cli.screen.as_json import enum_word

    facts, release = host.facts, host.release
    kind = release_pb2.ReleaseState.DESCRIPTOR
    state = enum_word(kind.name, kind.values_by_number, release.state) if release.state else ""
    marks = [f"pinned to {release.pin}"] if release.pin else []
    marks += ["opted out"] if release.opted_out else []
    marks += [f"cordoned: {host.cordon_reason}"] if host.cordon_reason else []
    marks += [release.cause or release.cause_code] if release.cause or release.cause_code else []
    return [
        pieces.name(host.name),
        pieces.name(" ".join(part for part in (facts.os, facts.os_version, facts.architecture) if part)),
        Text(str(facts.cores or "")),
        Text(wording.size(facts.memory_bytes) if facts.memory_bytes else ""),
        Text(f"{host.leases}/{host.slots}" + (" cordoned" if host.cordon_reason else "")),
        pieces.name(release.version),
        pieces.state(state) if state else Text(""),
        pieces.quiet(facts.time_zone),
        pieces.quiet(",".join(f"{key}={host.labels[key]}" for key in sorted(host.labels))),
        pieces.quiet("; ".join(marks)),
    ]
