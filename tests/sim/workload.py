"""What is moved: migrations with random workflows, on random hosts, under random limits. All from the seed."""

import json
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from agentd.core.grants import Capabilities
from controlplane.core.migrations.clean_up import CLEAN_UP
from controlplane.core.model import Agent, Requirements, StepPlan
from controlplane.core.states import AgentState, Liveness
from controlplane.core.steps.admission import Limits
from controlplane.service.agents.messages import SessionSettings
from controlplane.service.migrations.planning import Planned
from controlplane.store.verbs.inventory import Resource
from tests.sim.host import Host

if TYPE_CHECKING:
    from tests.sim.world import World

KINDS = ("sim-publish", "sim-check", "sim-unfenced")
DATASTORES = ("lake", "shop", "vault")
ZONES = ("east", "west")


@dataclass(slots=True)
class Workload:
    """Everything the history is about, by name."""

    planned: dict[str, Planned] = field(default_factory=dict)
    budgets: dict[str, int] = field(default_factory=dict)
    targets: dict[str, tuple[bool, str]] = field(default_factory=dict)  # name → fenced, initial content
    steps_total: int = 0


def settings_of(rng: Random) -> SessionSettings:
    """Durations: always in the proportions of the defaults."""
    ttl_s = rng.choice((20.0, 30.0, 60.0))
    return SessionSettings(
        ttl_s=ttl_s,
        heartbeat_s=ttl_s / 4,
        heartbeat_grace_s=ttl_s / 6,
        lost_after_s=ttl_s,
        lock_delay_s=ttl_s,
        disconnected_max_s=rng.choice((2.0, 5.0)) * ttl_s,
    )


def workload_of(rng: Random) -> Workload:
    """Draw migrations of 5 to 50 steps in all."""
    load = Workload()
    if rng.random() < 0.5:
        load.budgets = {name: rng.randint(1, 2) for name in DATASTORES if rng.random() < 0.5}
    trouble = rng.choice((0.0, 0.05, 0.15))
    wanted = rng.choice((5, 6, 8, 10, 14, 20, 36))
    while load.steps_total < wanted:
        name = f"move-{len(load.planned) + 1}"
        count = min(rng.randint(2, 7), 50 - load.steps_total)
        load.planned[name] = _migration(rng, load, name, count, trouble)
        load.steps_total += count
    return load


def limits_of(rng: Random, load: Workload) -> Limits:
    """Draw how many migrations may be under way; the steps' limits are the workload's."""
    if rng.random() < 0.5:
        return Limits(load.budgets)
    in_all = rng.choice((None, 1, 2, 3))
    at = {name: rng.randint(1, 2) for name in DATASTORES if rng.random() < 0.4}
    return Limits(load.budgets, at, in_all)


def _migration(rng: Random, load: Workload, name: str, count: int, trouble: float) -> Planned:
    pivot_at = rng.randrange(1, count) if rng.random() < 0.25 else -1
    destination = rng.choice(DATASTORES)
    shared = f"{destination}/shared" if rng.random() < 0.5 else f"{destination}/{name}"
    loads_at = rng.randrange(count)
    after_pivot: set[int] = set()
    needs_of: list[tuple[int, ...]] = []
    plans = []
    for index in range(count):
        needs = tuple(sorted({rng.randrange(index) for _ in range(rng.choice((1, 1, 2)))})) if index else ()
        if index and rng.random() < 0.5:
            needs = tuple(sorted({*needs, index - 1}))
        needs_of.append(needs)
        if pivot_at in needs or any(each in after_pivot for each in needs):
            after_pivot.add(index)
        does = "publish" if index == loads_at else rng.choice(("publish", "publish", "check", "unfenced"))
        target = shared if index == loads_at else f"staging/{name}/s{index}"
        fenced = does != "unfenced"
        undoable = not (index == pivot_at or index in after_pivot or does == "check")
        if target not in load.targets:
            initial = f"what was in {target}" if rng.random() < 0.5 else ""
            load.targets[target] = (fenced, initial)
        plans.append(_step(rng, name, index, needs, does, target, trouble, index == pivot_at, undoable))
    # Migrations to one place move one dataset, or the second could never start.
    return Planned(shared, "sim", 1, "lake", destination, rng.choice((0, 0, 5)), tuple(plans), place=shared)


def _step(
    rng: Random,
    migration: str,
    index: int,
    needs: tuple[int, ...],
    does: str,
    target: str,
    trouble: float,
    pivot: bool,
    undoable: bool,
) -> StepPlan:
    kind = f"sim-{does}"
    params: dict[str, Any] = {
        "does": does,
        "rows": rng.randint(1, 1000),
        "ticks": rng.choice((1, 2, 3, 6)),
        "tick_s": rng.choice((0.2, 2.0, 6.0)),
        "fails": _chances(rng, trouble),
        "undo_fails": _chances(rng, trouble / 2),
        "refutes": rng.choice((0.0, 0.0, 0.2)) if does == "check" else 0.0,
    }
    holes = []
    if needs and rng.random() < 0.3:
        holes = [{"step": f"s{needs[0]}", "kind": KINDS[0], "field": ["rows"], "path": ["input"]}]
    template = {"kind": kind, "params": params, "holes": holes}
    datastores = rng.choice(((), ("lake",), ("shop",), ("lake", "vault")))
    labels = (("zone", rng.choice(ZONES)),) if rng.random() < 0.3 else ()
    return StepPlan(
        name=f"s{index}",
        kind=kind,
        needs=tuple(f"s{each}" for each in needs),
        template=json.dumps(template),
        params=None if holes else json.dumps(params).encode(),
        requirements=Requirements(kind, datastores, labels),
        target=target,
        queue_s=rng.choice((150.0, 600.0)),
        start_to_finish_s=rng.choice((0.0, 40.0, 200.0)),
        progress_s=rng.choice((20.0, 60.0)),
        attempts_max=rng.choice((1, 2, 3, 5)),
        backoff_initial_s=rng.choice((1.0, 5.0)),
        backoff_factor=2.0,
        backoff_max_s=rng.choice((10.0, 30.0)),
        unreachable_for_s=rng.choice((20.0, 90.0, 900.0)),
        pivot=pivot,
        compensatable=undoable,
        fenced=does != "unfenced",
    )


def _chances(rng: Random, trouble: float) -> tuple[float, float, float]:
    """Cumulative chances of a failure worth a retry, of one that is not, and of standing still."""
    retryable = trouble * rng.random() * 3
    return (retryable, retryable + trouble * 0.3, retryable + trouble * 0.6)


def hosts_of(world: "World", rng: Random) -> list[Host]:
    """Three to five hosts that can together run every step, each with a clock of its own."""
    hosts = []
    for number in range(rng.choice((3, 3, 4, 5))):
        everything = number == 0
        kinds = KINDS if everything or rng.random() < 0.7 else tuple(k for k in KINDS if rng.random() < 0.7) or KINDS
        stores = ("*",) if everything or rng.random() < 0.6 else tuple(d for d in DATASTORES if rng.random() < 0.8)
        zone = ZONES[number % 2]
        kinds = (*kinds, CLEAN_UP)
        hosts.append(
            Host(
                world,
                f"host-{number + 1}",
                f"ag_{number + 1}",
                Capabilities(kinds, stores, (("zone", zone),), rng.choice((1, 2, 2, 4))),
                Random(rng.getrandbits(64)),
                clock_origin=rng.choice((0.0, 5e6 * rng.random(), 9e8)),
                clock_rate=rng.choice((1.0, 1.0, 1.0 + 0.08 * (rng.random() - 0.5))),
                leaves_head_out=rng.random() < 0.3,
            )
        )
    return hosts


def joined(host: Host) -> Agent:
    """The agent's record as enrolment leaves it."""
    return Agent(
        id=host.agent_id,
        name=host.name,
        state=AgentState.SERVING,
        liveness=Liveness.LOST,
        liveness_cause="",
        incarnation=0,
        slots=0,
        kinds=frozenset(),
        datastores=frozenset(),
        labels={},
        boot_id="",
        version="",
        drain_reason="",
        heard_at=0.0,
    )


def manifest(name: str) -> Resource:
    """The applied manifest of a migration; what it says beyond names is the workload's business."""
    spec = {"dataset": name, "workflow": "sim", "to": {"datastore": "lake", "object": name}, "staging": "lake"}
    return Resource("Migration", name, 1, "digest", "{}", json.dumps(spec), 0.0)
