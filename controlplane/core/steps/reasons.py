"""Why a step does not run: everything that holds it, in order, each with what would lift it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from controlplane.core.model import Agent, Attempt, Requirements, Step
from controlplane.core.states import AGENT_BARRED, AgentState, Direction, Liveness, StepState
from controlplane.core.steps.admission import Reached
from controlplane.core.steps.placement import lacks

# Migrations that a message names; the rest are counted.
_HOLDERS_NAMED = 5

# How an attempt's stage begins while others hold what it needs.
WAITING = "waiting for "


@dataclass(frozen=True, slots=True)
class Hold:
    """One thing that holds a step; ``lifts_in_s`` is 0 when it does not lift by itself."""

    code: str
    message: str
    lifted_by: str
    lifts_in_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What ``holds`` must know besides the step: plain values loaded by the service."""

    waits_for: Sequence[Step]  # the steps it needs (or, for undo, those that need it) that have not passed
    requirements: Requirements
    agents: Sequence[Agent]
    leases_of_agent: Mapping[str, int]
    budgets: Mapping[str, int]  # datastore → concurrencyMax, where one is set
    in_use: Mapping[str, int]  # datastore → live leases
    target_holder: Attempt | None  # live attempt of another step on the same target
    live_attempt: Attempt | None
    reached: Sequence[Reached] = ()  # limits of migrations that keep its migration from beginning
    stage: str = ""  # what the live attempt last said that it is doing
    migration: str = "NAME"  # the name of its migration
    holder_migration: str = "NAME"  # the name of the migration of ``target_holder``
    lock_delay_ends_at: float = 0.0  # until then a target without a fence waits for a writer whose end nobody saw


def holds(step: Step, around: Surroundings, now: float) -> list[Hold]:
    """Name everything that holds ``step``; an empty list means that nothing does and a grant is due."""
    if step.state is StepState.LEASED:
        return [_running(step, around)]
    if step.state not in (StepState.BLOCKED, StepState.READY):
        return [_ended(step, around)]
    if step.state is StepState.BLOCKED:
        return [_earlier(step, other, around) for other in around.waits_for]
    found: list[Hold] = []
    if step.ready_at > now:
        found.append(_pause(step, around, now))
    found += _lock_delay(step, around, now)
    found += [_reached(limit) for limit in around.reached]
    found += _no_agent(around)
    found += _budget(around)
    if around.target_holder is not None:
        who, name = f"attempt {around.target_holder.id}", around.holder_migration
        told = f"{who} of migration {name} is writing {step.target}, and a target has one writer"
        found.append(Hold("target_busy", told, f"its end, or `haulier migration cancel {name} --reason TEXT`"))
    return found


def _pause(step: Step, around: Surroundings, now: float) -> Hold:
    """The wait after a try that did not succeed: of the work, or because what it needs is away."""
    wait_s = step.ready_at - now
    told = f"({step.reason_code}: {step.reason}); the next is due in {wait_s:.0f} s"
    if step.unreachable_since is None:
        lifted_by = f"wait, or start afresh with `haulier migration retry {around.migration}` once it has failed"
        return Hold("retry_backoff", f"try {step.attempts} did not succeed {told}", lifted_by, wait_s)
    away_s = now - step.unreachable_since
    left_s = step.unreachable_for_s - away_s
    until = (
        f"for {left_s:.0f} s more this uses up none of its {step.attempts_max} tries"
        if left_s > 0
        else f"that is longer than retry.unreachableFor, so tries count: {step.failures} of {step.attempts_max}"
    )
    return Hold(
        "unreachable",
        f"what it needs has been away for {away_s:.0f} s, and {until}: try {step.attempts} did not succeed {told}",
        "its return; then the step goes on by itself",
        wait_s,
    )


def _lock_delay(step: Step, around: Surroundings, now: float) -> list[Hold]:
    wait_s = around.lock_delay_ends_at - now
    if wait_s <= 0:
        return []
    return [
        Hold(
            "lock_delay",
            f"{step.target} can check no fence, and nobody saw its last writer end: it is left alone for "
            f"{wait_s:.0f} s more",
            "wait",
            wait_s,
        )
    ]


def _reached(limit: Reached) -> Hold:
    """Say which limit of migrations is used up, and by whom."""
    named = ", ".join(limit.holders[:_HOLDERS_NAMED])
    more = len(limit.holders) - _HOLDERS_NAMED
    who = f"{named} and {more} more" if more > 0 else named
    if limit.datastore:
        where = f"from or to datastore {limit.datastore}"
        larger = f"a larger migrationsMax of datastore {limit.datastore}"
    else:
        where, larger = "in all", "a larger migrations_max in the control plane's configuration"
    return Hold(
        "migrations_limit",
        f"waiting: {len(limit.holders)} migrations {where} are under way ({who}), and the limit is {limit.most}",
        f"the end of one of them, or {larger}",
    )


def _running(step: Step, around: Surroundings) -> Hold:
    attempt = around.live_attempt
    who = f"attempt {attempt.id} on {attempt.agent_id}" if attempt else "an attempt"
    if around.stage.startswith(WAITING):
        return Hold(
            "destination_held", f"{who} is {around.stage}", "the end of what holds it, or `lockWait` running out"
        )
    return Hold("running", f"nothing: {who} is running it", "its end")


def _ended(step: Step, around: Surroundings) -> Hold:
    reason = f": {step.reason}" if step.reason else ""
    again = f"haulier migration retry {around.migration}"
    lifted_by = {
        StepState.FAILED: f"mend the cause, then `{again}`; or go back with "
        f"`haulier migration rollback {around.migration} --reason TEXT`",
        StepState.STUCK: f"mend the cause, then `{again}` to undo it again",
    }.get(step.state, "nothing: it is over")
    return Hold("ended", f"the step is {step.state}{reason}", lifted_by)


def _earlier(step: Step, other: Step, around: Surroundings) -> Hold:
    if step.direction is Direction.UNDO:
        return Hold(
            "earlier_step",
            f"step {other.name} must be undone before it and is {other.state}",
            f"the undo of step {other.name}",
        )
    if other.state is StepState.FAILED:
        return Hold(
            "earlier_step",
            f"it needs step {other.name}, which has failed: {other.reason}",
            f"`haulier migration retry {around.migration}` after mending the cause",
        )
    return Hold(
        "earlier_step",
        f"it needs step {other.name}, which is {other.state}",
        f"the success of step {other.name}",
    )


def _no_agent(around: Surroundings) -> list[Hold]:
    """Explain why no agent takes it: nobody fits, or those that fit are drained, silent or full."""
    fitting = [agent for agent in around.agents if not lacks(agent, around.requirements)]
    if not fitting:
        if not around.agents:
            return [Hold("no_agent", "no agent has joined", "`haulier token create` prints the command that joins one")]
        nearest = min(around.agents, key=lambda agent: len(lacks(agent, around.requirements)))
        missing = ", ".join(lacks(nearest, around.requirements))
        return [
            Hold(
                "no_agent",
                f"none of {len(around.agents)} agents fits: the nearest, {nearest.name}, lacks {missing}",
                f"an agent with {missing}",
            )
        ]
    able = []
    found = []
    for agent in fitting:
        if agent.state in AGENT_BARRED:
            found.append(
                Hold(
                    f"{agent.state}_agent",
                    f"agent {agent.name} is {agent.state}: {agent.drain_reason}",
                    f"`haulier token create --agent {agent.name}`, then `haulier-agentd join` on its one host",
                )
            )
        elif agent.cordon_reason:
            told = f"agent {agent.name} is cordoned ({agent.cordon_reason})"
            found.append(Hold("cordoned_agent", told, f"`haulier agent uncordon {agent.name}`"))
        elif agent.state is AgentState.DRAINING:
            why = f" ({agent.drain_reason})" if agent.drain_reason else ""
            found.append(
                Hold(
                    "drained_agent",
                    f"agent {agent.name} is draining{why}",
                    f"`haulier agent resume {agent.name}`",
                )
            )
        elif agent.liveness is not Liveness.ALIVE:
            found.append(
                Hold(
                    "silent_agent",
                    f"agent {agent.name} is {agent.liveness}: {agent.liveness_cause or 'it has not connected yet'}",
                    f"start or reconnect agent {agent.name}",
                )
            )
        elif around.leases_of_agent.get(agent.id, 0) >= agent.slots:
            found.append(
                Hold(
                    "slots",
                    f"all {agent.slots} slots of agent {agent.name} are taken",
                    f"the end of a step on {agent.name}, or more slots there",
                )
            )
        else:
            able.append(agent)
    return [] if able else found


def _budget(around: Surroundings) -> list[Hold]:
    found = []
    for datastore in around.requirements.datastores:
        limit = around.budgets.get(datastore)
        if limit is not None and around.in_use.get(datastore, 0) >= limit:
            found.append(
                Hold(
                    "datastore_budget",
                    f"{around.in_use.get(datastore, 0)} steps already touch datastore {datastore}, "
                    f"whose limit is {limit}",
                    f"the end of one of them, or a larger concurrencyMax of datastore {datastore}",
                )
            )
    return found
