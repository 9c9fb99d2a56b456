"""Core → contract for the fleet service."""

from collections.abc import Iterable

from haulier.v1 import fleet_pb2 as pb
from haulier.v1 import release_pb2

from controlplane.core.hosts import Facts, Running
from controlplane.core.model import Agent
from controlplane.core.rollouts.model import RolloutState
from controlplane.service.rollouts.hosts import FleetHealth, Waiting
from controlplane.service.rollouts.views import AT_REST, HostPart, RolloutSummary

_STATES = {
    name.removeprefix("RELEASE_STATE_").lower(): number for name, number in release_pb2.ReleaseState.items() if number
}


def rollout(summary: RolloutSummary, now: float) -> pb.RolloutView:
    """Write a rollout."""
    known = summary.rollout
    soak_left_s = 0.0
    if known.state is RolloutState.RUNNING and known.soak_healthy_s is not None:
        soak_left_s = max(0.0, known.soak_healthy_s + known.policy.soak_s - known.healthy_s)
    ended_at = known.ended_at if known.ended_at is not None and known.state in AT_REST else now
    view = pb.RolloutView(
        rollout_id=known.id,
        fleet=known.fleet,
        version=known.version,
        state=known.state,
        wave=known.wave,
        waves=[
            pb.WaveView(wave=number, hosts=sum(states.values()), states=states)
            for number, states in sorted(summary.waves.items())
        ],
        soak_left_s=soak_left_s,
        halt_code=known.halt_code,
        halt_cause=known.halt_cause,
        hosts=sum(sum(states.values()) for states in summary.waves.values()),
        asked=summary.asked,
        in_flight_max=known.policy.in_flight_max,
        elapsed_s=max(0.0, ended_at - known.created_at),
        created_by=known.created_by,
        reason=known.reason,
        healthy_s=known.healthy_s,
        trouble=summary.trouble,
        shares=known.policy.waves,
        soak_s=known.policy.soak_s,
    )
    if known.halted_wave is not None:
        view.halted_wave = known.halted_wave
    return view


def rollout_host(part: HostPart) -> pb.RolloutHostView:
    """Write a host's part in a rollout."""
    row, host = part.row, part.host
    return pb.RolloutHostView(
        name=host.name if host is not None else row.agent_id,
        agent_id=row.agent_id,
        wave=row.wave,
        state=row.state,
        from_version=row.from_version if row.asked_at is not None else "",
        running_version=host.running.version if host is not None else "",
        cause_code=row.cause_code or part.hold,
        cause=row.cause,
        groups=row.groups,
        steps_after=row.after.ended,
        failed_after=row.after.failed,
    )


def fleet(health: FleetHealth, newest: RolloutSummary | None, now: float) -> pb.FleetView:
    """Write a fleet."""
    view = pb.FleetView(
        name=health.name,
        desired_release=health.desired_release,
        agents=health.agents,
        ready=health.ready,
        on_release=health.on_release,
        versions=health.versions,
        problems=health.problems,
    )
    if health.replicas is not None:
        view.desired_replicas = health.replicas
    if newest is not None:
        view.rollout.CopyFrom(rollout(newest, now))
    return view


def backlog(known: Waiting, now: float) -> pb.BacklogView:
    """Write the work of a placement class."""
    needs = known.requirements
    oldest_s = 0.0 if known.oldest_ready_at is None else max(0.0, now - known.oldest_ready_at)
    return pb.BacklogView(
        placement_class=known.placement_class,
        kind=needs.kind,
        datastores=needs.datastores,
        labels=dict(needs.labels),
        ready=known.ready,
        running=known.running,
        oldest_s=oldest_s,
    )


def host(agent: Agent, facts: Facts, running: Running, leases: int) -> pb.HostView:
    """Write a host."""
    return pb.HostView(
        name=agent.name,
        agent_id=agent.id,
        facts=release_pb2.HostFacts(**facts._asdict()),
        release=release_pb2.ReleaseStatus(**{**running._asdict(), "state": _STATES.get(running.state, 0)}),
        labels=agent.labels,
        cordon_reason=agent.cordon_reason,
        liveness=f"{agent.liveness}: {agent.liveness_cause}" if agent.liveness_cause else agent.liveness,
        slots=agent.slots,
        leases=leases,
    )


def backlogs(known: Iterable[Waiting], now: float) -> list[pb.BacklogView]:
    """Write the placement classes that have work."""
    return [backlog(each, now) for each in known if each.ready or each.running]
