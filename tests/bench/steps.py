"""``python -m tests.bench.steps``: durable steps a second, what they cost, how fast they are handed out.

One control plane process on a real file with synchronous=FULL, gRPC over mutual TLS, each simulated agent with its own
certificate and connection, in other processes. Every figure is computed from the store; PgQueuer does the same no-op
in turn with us. Writes build/reports/steps.json.
"""

import argparse
import time
from pathlib import Path
from typing import Any

from tests.bench import agent, dispatch, pgqueuer_peer, queued_cost
from tests.bench.evidence import check_promises, sample
from tests.bench.figures import load_average, median, percentile, say, table, verdict, write_report
from tests.bench.plane import Plane, temporary_home
from tests.bench.throughput import Throughput, measure
from tests.kit.verbs import leave

WIDE_AGENTS, WIDE_SLOTS, WIDE_STEPS, WIDE_RUNS = 200, 4, 30_000, 3
FEW_AGENTS, FEW_SLOTS, FEW_STEPS, FEW_RESULTS_MAX = 2, 8, 10_000, 10
PAIRS = 3
DISPATCHES = 300
PEER = "pgqueuer"
PEER_UNLIMITED = "pgqueuer_unlimited"  # free to have 40 in flight where we have 16


def bench_wide(home: Path) -> dict[str, Any]:
    """200 agents with 4 slots, from one other process."""
    say(f"{WIDE_AGENTS} agents x {WIDE_SLOTS} slots: {WIDE_RUNS} runs of {WIDE_STEPS} steps")
    runs: list[Throughput] = []
    rows: list[list[str]] = []
    with Plane(home) as plane:
        names = _enrolled(plane, WIDE_AGENTS)
        for _ in range(WIDE_RUNS):
            load = load_average()
            runs.append(measure(plane, names, WIDE_SLOTS, WIDE_STEPS, processes=1, results_max=1000))
            rows.append([f"{runs[-1].steps_per_s:.0f}", f"{runs[-1].cpu_s_per_1000:.3f}", load])
        check_promises(plane.store)
        life = sample(plane.store)
    table("One step as the store has it", ["row", "what", "detail"], life)
    title = f"{WIDE_AGENTS} agents x {WIDE_SLOTS} slots, {WIDE_STEPS} durable steps a run"
    table(title, ["steps/s", "CPU-s per 1,000", "load before"], rows)
    return {
        "steps_per_s": round(median([run.steps_per_s for run in runs])),
        "cpu_s_per_1000": round(median([run.cpu_s_per_1000 for run in runs]), 4),
    }


def bench_few(home: Path) -> dict[str, Any]:
    """2 agents with 8 slots, in turn with PgQueuer; both append 16 bytes to a file for each step."""
    say(f"{FEW_AGENTS} agents x {FEW_SLOTS} slots and PgQueuer, {PAIRS} pairs of {FEW_STEPS} no-ops")
    ours: list[Throughput] = []
    theirs: list[float] = []
    unlimited: list[float] = []
    rows: list[list[str]] = []
    with Plane(home) as plane, pgqueuer_peer.server() as server:
        names = _enrolled(plane, FEW_AGENTS)
        for pair in range(PAIRS):
            load = load_average()
            run = measure(
                plane,
                names,
                FEW_SLOTS,
                FEW_STEPS,
                processes=FEW_AGENTS,
                results_max=FEW_RESULTS_MAX,
                touches=str(home / f"ours-{pair}"),
            )
            assert (home / f"ours-{pair}").stat().st_size == FEW_STEPS * pgqueuer_peer.RECORD.size
            ours.append(run)
            for limit, found in ((pgqueuer_peer.IN_FLIGHT, theirs), (pgqueuer_peer.UNLIMITED, unlimited)):
                file = home / f"theirs-{pair}-{limit}"
                found.append(pgqueuer_peer.run(server, FEW_STEPS, file, in_flight=limit))
            shown = [f"{run.steps_per_s:.0f}", f"{run.cpu_s_per_1000:.3f}", f"{theirs[-1]:.0f}"]
            rows.append([*shown, f"{run.steps_per_s / theirs[-1]:.2f}", f"{unlimited[-1]:.0f}", load])
        check_promises(plane.store)
    title = f"{FEW_AGENTS} agents x {FEW_SLOTS} slots, at most {FEW_RESULTS_MAX} results a message, beside PgQueuer"
    headings = ["steps/s", "CPU-s per 1,000", "PgQueuer, 16 in flight", "times", "PgQueuer, no limit", "load before"]
    table(title, headings, rows)
    return {
        "steps_per_s_16": round(median([run.steps_per_s for run in ours])),
        "peers": {PEER: round(median(theirs)), PEER_UNLIMITED: round(median(unlimited))},
    }


def bench_dispatch(home: Path) -> dict[str, Any]:
    """One step at a time becomes ready while everything is idle."""
    say(f"dispatch when idle: {DISPATCHES} steps, one at a time")
    with Plane(home) as plane:
        plane.init()
        plane.serve()
        names = ["agent-0", "agent-1"]
        plane.enrol(names)
        latencies = dispatch.measure(plane, names, DISPATCHES)
    return {
        "dispatch_ms": {
            name: round(percentile(latencies, share), 2) for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
        }
    }


def bench_queued(home: Path) -> dict[str, Any]:
    """The cost of a step with a short and with a long queue."""
    say(f"cost of a step with {queued_cost.BURST:,} and {queued_cost.LONG:,} queued (loading takes a while)")
    cost = queued_cost.measure(home)
    table(
        "Cost of a step by the length of the queue",
        ["queued", "CPU-s per 1,000 steps", "cores when idle"],
        [
            [f"{queued_cost.BURST:,}", f"{cost.short_cpu_s:.3f}", f"{cost.short_idle_cores:.3f}"],
            [f"{queued_cost.LONG:,}", f"{cost.long_cpu_s:.3f}", f"{cost.long_idle_cores:.3f}"],
        ],
    )
    return {"queued_cost_ratio": round(cost.ratio, 3)}


def bench_real_agent(home: Path) -> dict[str, Any]:
    """The real agent with its journal and a child process for each step."""
    report = agent.measure(home, agent.IDLE_MINUTES)
    return {"real_agent_steps_per_s": report["steps_per_s"]}


def _enrolled(plane: Plane, agents: int) -> list[str]:
    """Make a control plane's state and its agents' identities; leave it stopped."""
    plane.init()
    plane.serve()
    names = [f"agent-{number}" for number in range(agents)]
    plane.enrol(names)
    plane.stop()
    return names


def run() -> None:
    """Measure everything and report."""
    argparse.ArgumentParser(prog="python -m tests.bench.steps", description="Takes no options.").parse_args()
    began_at = time.monotonic()
    report: dict[str, Any] = {}
    for bench in (bench_wide, bench_few, bench_dispatch, bench_queued, bench_real_agent):
        with temporary_home(bench.__name__.removeprefix("bench_")) as home:
            report |= bench(home)
    peer, waits = report["peers"][PEER], report["dispatch_ms"]
    rows = [
        ["steps/s, 200 x 4", f"{report['steps_per_s']}", verdict(report["steps_per_s"], 3000, at_least=True)],
        [
            "control plane CPU-s per 1,000",
            f"{report['cpu_s_per_1000']:.3f}",
            verdict(report["cpu_s_per_1000"], 0.35, at_least=False),
        ],
        [
            "steps/s, 2 x 8",
            f"{report['steps_per_s_16']}",
            verdict(report["steps_per_s_16"], peer, at_least=True) + " as PgQueuer with 16 in flight",
        ],
        ["dispatch when idle, p50 ms", f"{waits['p50']:.1f}", verdict(waits["p50"], 5, at_least=False)],
        ["dispatch when idle, p95 ms", f"{waits['p95']:.1f}", verdict(waits["p95"], 15, at_least=False)],
        [
            "cost with 1,000,000 to 1,000 queued",
            f"{report['queued_cost_ratio']:.2f}",
            verdict(report["queued_cost_ratio"], 1.25, at_least=False),
        ],
        ["steps/s of one real agent", f"{report['real_agent_steps_per_s']:.1f}", ""],
    ]
    table("Steps", ["figure", "here", "bar"], rows)
    say(f"took {time.monotonic() - began_at:.0f} s, load average now {load_average()}")
    write_report("steps", report)


if __name__ == "__main__":
    leave(run)
