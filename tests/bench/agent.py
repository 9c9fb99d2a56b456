"""``python -m tests.bench.agent``: the real agent with its journal and its children, on tiny steps, then idle.

A real daemon that joined over the listener runs real child processes of a user's step kind that writes 16 bytes. Writes
build/reports/agent.json; ``tests.bench.steps`` takes its steps a second from here.
"""

import argparse
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from haulier.v1 import operator_pb2 as pb

from tests.bench.evidence import check_promises, check_run, position, reading, run_after, succeeded_after
from tests.bench.figures import load_average, percentile, say, table, verdict, write_report
from tests.bench.manifests import apply_noops, start_noops
from tests.bench.plane import CALL_BOUND_S, Plane, temporary_home
from tests.bench.step_kind import FILE_VARIABLE, KIND, RECORD
from tests.kit.processes import alive, end, program, reap, start, until
from tests.kit.quiet import require_quiet
from tests.kit.verbs import leave

NAME = "real"
SLOTS = 8
JOIN_BOUND_S = 60.0
STEPS = 400
STEPS_EACH = 100  # of one migration
STEPS_BOUND_S = 180.0
SINGLES = 200
WARM_UP = 5
SINGLE_BOUND_S = 30.0
IDLE_MINUTES = 2.0  # the warm runner goes after one
IDLE_CPU_S = 30.0


class Idle(NamedTuple):
    """The whole process tree of an agent that has nothing to do."""

    minutes: float
    processes: int
    rss_mb: float
    cpu_fraction: float


class RealAgent:
    """One daemon below ``home``, joined to ``plane``."""

    def __init__(self, home: Path, plane: Plane) -> None:
        self._home = home
        self._plane = plane
        self.file = home / "touched"
        self.log = home / "agent.log"
        self.pid = 0

    def join(self) -> None:
        """Trade a join token for an identity; write configuration and policy."""
        self._home.mkdir(parents=True)
        request = pb.CreateJoinTokenRequest(agent_name=NAME)
        token = self._plane.operator().CreateJoinToken(request, timeout=CALL_BOUND_S).token
        subprocess.run(
            [*program("agentd"), "join", "-", "--name", NAME, "--state", str(self._home / "state")],
            input=f"{token}\n",
            text=True,
            env={**os.environ, **self._environment()},
            timeout=JOIN_BOUND_S,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        policy = self._home / "policy.toml"
        policy.write_text(f'kinds = ["{KIND}"]\ndatastores = ["*"]\nroots = ["{self._home}"]\n')
        policy.chmod(0o600)
        (self._home / "agent.toml").write_text(
            f'policy = "{policy}"\nslots = {SLOTS}\nenvironment = ["{FILE_VARIABLE}"]\n'
        )

    def run(self) -> None:
        """Start the daemon; return when it has a session."""
        state, log = self._home / "state", self.log
        command = [*program("agentd"), "run", "--state", str(state), "--config", str(self._home / "agent.toml")]
        after = position(self._plane.store)
        self.pid = start(command, log, self._environment())
        with reading(self._plane.store) as db:
            query = "SELECT count(*) FROM event WHERE position > ? AND type = 'AgentConnected'"
            until(
                lambda: not alive(self.pid) or db.execute(query, [after]).fetchone()[0] > 0,
                JOIN_BOUND_S,
                "the agent to connect",
                log,
            )
        assert alive(self.pid), log.read_text()[-2000:]

    def stop(self) -> None:
        """Stop the daemon, and whatever it started."""
        if self.pid and alive(self.pid):
            tree = psutil.Process(self.pid).children(recursive=True)
            end(self.pid, 30.0)
            for child in tree:
                if child.is_running():
                    child.kill()
        reap(self.pid)

    def tree(self) -> list[psutil.Process]:
        """The daemon and all below it."""
        daemon = psutil.Process(self.pid)
        return [daemon, *daemon.children(recursive=True)]

    def _environment(self) -> dict[str, str]:
        root = Path(__file__).parents[2]
        return {
            "PYTHONPATH": os.pathsep.join([str(root), str(root / "proto"), str(self._kind())]),
            FILE_VARIABLE: str(self.file),
        }

    def _kind(self) -> Path:
        """A directory that looks like an installed distribution with our step kind."""
        about = self._home / "installed" / "haulier_bench_kind-1.dist-info"
        about.mkdir(parents=True, exist_ok=True)
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: haulier-bench-kind\nVersion: 1\n")
        (about / "entry_points.txt").write_text(f"[haulier.step_kinds]\n{KIND} = tests.bench.step_kind:Touch\n")
        return about.parent


@contextmanager
def running_agent(home: Path) -> Iterator[tuple[Plane, RealAgent]]:
    """A control plane with one real agent."""
    with Plane(home) as plane:
        plane.init()
        plane.serve()
        agent = RealAgent(home / "agent", plane)
        try:
            agent.join()
            agent.run()
            yield plane, agent
        finally:
            agent.stop()
        require_quiet([agent.log])


def steps_per_s(plane: Plane, agent: RealAgent) -> float:
    """Queue steps, let the agent run them; return its durable steps a second, read from the store."""
    names = [f"many-{number}" for number in range(STEPS // STEPS_EACH)]
    apply_noops(plane, names, STEPS_EACH, KIND)
    after = position(plane.store)
    start_noops(plane, names)
    with reading(plane.store) as db:
        until(lambda: succeeded_after(db, after) >= STEPS, STEPS_BOUND_S, "the agent's steps to succeed", plane.log)
    check_run(plane.store, after, STEPS)
    assert agent.file.stat().st_size == STEPS * RECORD.size, "each step ran once"
    return run_after(plane.store, after).steps_per_s


def ready_to_running(plane: Plane, agent: RealAgent) -> list[float]:
    """One step at a time; return for each the ms from the event that made it ready to its child's own clock reading."""
    names = [f"one-{number}" for number in range(SINGLES + WARM_UP)]
    apply_noops(plane, names, 1, KIND)
    after = position(plane.store)
    offset = agent.file.stat().st_size
    with reading(plane.store) as db:
        for number, name in enumerate(names, start=1):
            start_noops(plane, [name])
            until(
                lambda number=number: succeeded_after(db, after) >= number,  # type: ignore[misc]
                SINGLE_BOUND_S,
                f"{name} to succeed",
                plane.log,
            )
        readied = {
            int(step_id.removeprefix("step_"), 16): at
            for step_id, at in db.execute(
                "SELECT subject, at FROM event WHERE position > ? AND type = 'StepReadied'", [after]
            )
        }
    ran = {number: at for at, number in RECORD.iter_unpack(agent.file.read_bytes()[offset:])}
    assert ran.keys() == readied.keys()
    return [(ran[number] - readied[number]) * 1000 for number in sorted(ran)][WARM_UP:]


def idle(agent: RealAgent, minutes: float) -> Idle:
    """Wait so long after the last step; return memory then, and CPU over the end of the wait."""
    measured_s = min(IDLE_CPU_S, minutes * 60)
    time.sleep(minutes * 60 - measured_s)
    before = _cpu_s(agent.tree())
    time.sleep(measured_s)
    tree = agent.tree()
    rss_bytes = sum(each.memory_info().rss for each in tree)
    used_s = sum(cpu_s - before.get(pid, 0.0) for pid, cpu_s in _cpu_s(tree).items())
    return Idle(minutes, len(tree), rss_bytes / 1e6, used_s / measured_s)


def _cpu_s(tree: list[psutil.Process]) -> dict[int, float]:
    return {each.pid: sum(each.cpu_times()[:2]) for each in tree}


def bench(home: Path, idle_minutes: float) -> dict[str, Any]:
    """Measure everything, print the table; return the report."""
    load = load_average()
    with running_agent(home) as (plane, agent):
        say(f"the real agent: {STEPS} steps at once, then {SINGLES} one at a time")
        rate = steps_per_s(plane, agent)
        waits = ready_to_running(plane, agent)
        say(f"the real agent idle for {idle_minutes:g} minutes")
        quiet = idle(agent, idle_minutes)
        check_promises(plane.store)
    report = {
        "steps_per_s": round(rate, 1),
        "ready_to_running_ms": {
            name: round(percentile(waits, share), 1) for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
        },
        "idle_minutes": quiet.minutes,
        "idle_processes": quiet.processes,
        "idle_rss_mb": round(quiet.rss_mb, 1),
        "idle_cpu_fraction": round(quiet.cpu_fraction, 4),
    }
    p95 = report["ready_to_running_ms"]["p95"]  # type: ignore[index]
    rows = [
        [f"steps/s with {SLOTS} slots, a child process each", f"{rate:.1f}", ""],
        ["ready to child running, p50 ms", f"{percentile(waits, 0.5):.1f}", ""],
        ["ready to child running, p95 ms", f"{p95}", verdict(p95, 100, at_least=False)],
        [
            f"MB resident after {quiet.minutes:g} idle minutes, {quiet.processes} processes",
            f"{quiet.rss_mb:.1f}",
            verdict(report["idle_rss_mb"], 75, at_least=False),  # type: ignore[arg-type]
        ],
        [
            "of a core when idle",
            f"{quiet.cpu_fraction:.4f}",
            verdict(report["idle_cpu_fraction"], 0.01, at_least=False),  # type: ignore[arg-type]
        ],
    ]
    table(f"The real agent (load average before {load})", ["figure", "here", "bar"], rows)
    return report


def measure(home: Path, idle_minutes: float) -> dict[str, Any]:
    """Measure everything, print the table and write the report; return it."""
    report = bench(home, idle_minutes)
    write_report("agent", report)
    return report


def run() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description="The real agent on tiny steps, then idle.")
    parser.add_argument(
        "--idle-minutes", type=float, default=IDLE_MINUTES, help=f"wait so long after the last step ({IDLE_MINUTES:g})"
    )
    minutes = parser.parse_args().idle_minutes
    with temporary_home("agent") as home:
        measure(home, minutes)


if __name__ == "__main__":
    leave(run)
