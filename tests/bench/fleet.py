"""``python -m tests.bench.fleet --agents N``: what a connected fleet costs, and how soon its silence is noticed.

Every agent has its own certificate and its own TLS connection, in four other processes; heartbeats come every 15 s, the
default. Memory is the growth of the control plane's resident set from just after its start to after five heartbeats.
Then one process of agents is killed, one is stopped, and at last the control plane itself is killed and started
again. Writes build/reports/fleet.json.
"""

import argparse
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench import throughput
from tests.bench.crowd import Part
from tests.bench.crowd_process import CrowdProcess
from tests.bench.evidence import check_promises, position, reading
from tests.bench.figures import load_average, percentile, say, table, verdict, write_report
from tests.bench.plane import Plane, temporary_home
from tests.kit.processes import until
from tests.kit.verbs import leave

HEARTBEAT_S = 15.0
HEARTBEATS = 5
SETTLED_S = 3.0
CONNECT_BOUND_S = 300.0
NOTICE_BOUND_S = 90.0
BACK_BOUND_S = 300.0
LEASE_TTL_S = 60.0


class Groups(NamedTuple):
    """Names of agents by what happens to them."""

    holding: list[str]  # one live lease each, through it all
    quiet: list[str]
    killed: list[str]
    stopped: list[str]

    @classmethod
    def of(cls, agents: int) -> "Groups":
        """Deal ``agents`` names: a tenth is killed, a tenth is stopped, a fifth holds leases."""
        names = [f"agent-{number}" for number in range(agents)]
        tenth = max(1, agents // 10)
        return cls(names[: 2 * tenth], names[2 * tenth : -2 * tenth], names[-2 * tenth : -tenth], names[-tenth:])


class Quiet(NamedTuple):
    """The cost of a fleet in which nothing happens but heartbeats."""

    kb_per_agent: float
    cpu_cores: float
    connections: int


@contextmanager
def connected(plane: Plane, groups: Groups) -> Iterator[dict[str, CrowdProcess]]:
    """All groups, each in a process of its own, with every stream open."""
    with ExitStack() as stack:
        crowds = {}
        for name, members in groups._asdict().items():
            holds = name == "holding"
            part = Part(str(plane.identities), members, slots=1, kind="noop" if holds else "other", holds=holds)
            crowds[name] = stack.enter_context(CrowdProcess(part))
        for crowd in crowds.values():
            crowd.heard("connected", CONNECT_BOUND_S)
        yield crowds


def measure_quiet(plane: Plane, rss_before: int, agents: int) -> Quiet:
    """Wait for five heartbeats of every agent; return memory and CPU."""
    # The first heartbeats come while the last agents connect.
    time.sleep(HEARTBEAT_S)
    began_s, began_at = plane.cpu_s(), time.monotonic()
    time.sleep(HEARTBEATS * HEARTBEAT_S)
    cores = (plane.cpu_s() - began_s) / (time.monotonic() - began_at)
    return Quiet((plane.rss_bytes() - rss_before) / agents / 1000, cores, plane.connections())


def notice(plane: Plane, names: list[str], crowd: CrowdProcess, number: signal.Signals) -> list[float]:
    """Send a process of agents a signal; return for each agent the seconds until it is suspected."""
    after = position(plane.store)
    at = time.time()
    crowd.send(number)
    query = (
        "SELECT g.name, min(e.at) FROM event e JOIN agent g ON g.id = e.subject "
        "WHERE e.position > ? AND e.type IN ('AgentSuspected', 'AgentLost') GROUP BY g.name"
    )
    noticed: dict[str, float] = {}

    def all_are() -> bool:
        noticed.update(db.execute(query, [after]).fetchall())
        return set(names) <= noticed.keys()

    with reading(plane.store) as db:
        until(all_are, NOTICE_BOUND_S, f"{len(names)} agents to be suspected", plane.log)
    return [noticed[name] - at for name in names]


def measure_restart(plane: Plane, living: list[str]) -> tuple[float, int, int]:
    """Kill the control plane and start it again.

    Returns the seconds from the kill until every living agent is back, the live leases then and before, and how many
    of these were lost in one lease time after.
    """
    with reading(plane.store) as db:
        before = dict(db.execute("SELECT id, fence FROM attempt WHERE state = 'running'").fetchall())
    after = position(plane.store)
    at = time.time()
    plane.kill()
    plane.serve()
    query = (
        "SELECT g.name, min(e.at) FROM event e JOIN agent g ON g.id = e.subject "
        "WHERE e.position > ? AND e.type = 'AgentConnected' GROUP BY g.name"
    )
    back: dict[str, float] = {}

    def all_are() -> bool:
        back.update(db.execute(query, [after]).fetchall())
        return set(living) <= back.keys()

    with reading(plane.store) as db:
        until(all_are, BACK_BOUND_S, "all agents to be back", plane.log)
        # The grace of a start hides a lease that nobody renews for this long.
        time.sleep(LEASE_TTL_S + HEARTBEAT_S)
        kept = dict(db.execute("SELECT id, fence FROM attempt WHERE state = 'running'").fetchall())
    lost = sum(1 for attempt_id, fence in before.items() if kept.get(attempt_id) != fence)
    return max(back[name] for name in living) - at, len(before), lost


def bench(home: Path, agents: int) -> dict[str, Any]:
    """Measure a fleet of ``agents``."""
    groups = Groups.of(agents)
    with Plane(home) as plane:
        plane.init()
        plane.serve()
        say(f"enrolling {agents} agents, each with a key and a certificate of its own")
        plane.enrol([name for members in groups for name in members])
        plane.stop()
        throughput.load(plane, max(throughput.STEPS_EACH, len(groups.holding)))
        # A fresh process: what enrolling left in its heap would hide what sessions need.
        plane.serve()
        time.sleep(SETTLED_S)
        rss_before = plane.rss_bytes()
        load = load_average()
        with connected(plane, groups) as crowds:
            say(f"all connected; {HEARTBEATS} heartbeats of {HEARTBEAT_S:g} s")
            quiet = measure_quiet(plane, rss_before, agents)
            assert quiet.connections == agents, f"{quiet.connections} connections of {agents} agents"
            say("killing one process of agents, stopping another")
            closed = notice(plane, groups.killed, crowds["killed"], signal.SIGKILL)
            silent = notice(plane, groups.stopped, crowds["stopped"], signal.SIGSTOP)
            say("killing the control plane, starting it again")
            back_s, leases, lost = measure_restart(plane, groups.holding + groups.quiet)
        plane.stop()
        check_promises(plane.store)
    report = {
        "agents": agents,
        "kb_per_agent": round(quiet.kb_per_agent, 1),
        "cpu_cores": round(quiet.cpu_cores, 4),
        "closed_noticed_s_p99": round(percentile(closed, 0.99), 2),
        "silent_noticed_s_p99": round(percentile(silent, 0.99) - HEARTBEAT_S, 2),
        "connections": quiet.connections,
        "back_s": round(back_s, 2),
        "leases": leases,
        "leases_lost": lost,
    }
    show(report, load)
    return report


def show(report: dict[str, Any], load: str) -> None:
    """Print the table."""
    # Each comes back with a TLS handshake of its own.
    back_s_max = 20 if report["agents"] <= 1000 else 60
    rows = [
        ["connections, each its own certificate", f"{report['connections']}", ""],
        ["memory per agent, kB", f"{report['kb_per_agent']}", verdict(report["kb_per_agent"], 130, at_least=False)],
        ["cores in use, heartbeats only", f"{report['cpu_cores']}", verdict(report["cpu_cores"], 0.5, at_least=False)],
        [
            "closed streams noticed, p99 s",
            f"{report['closed_noticed_s_p99']}",
            verdict(report["closed_noticed_s_p99"], 10, at_least=False),
        ],
        [
            "silence noticed, p99 s beyond 15",
            f"{report['silent_noticed_s_p99']}",
            verdict(report["silent_noticed_s_p99"], 20, at_least=False),
        ],
        ["all back after a kill, s", f"{report['back_s']}", verdict(report["back_s"], back_s_max, at_least=False)],
        [
            f"of {report['leases']} live leases lost",
            f"{report['leases_lost']}",
            verdict(report["leases_lost"], 0, at_least=False),
        ],
    ]
    table(f"Fleet of {report['agents']} agents (load average before {load})", ["figure", "here", "bar"], rows)


def run() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description="What a connected fleet costs the control plane.")
    parser.add_argument("--agents", type=int, default=1000, help="agents to connect (1000)")
    agents = parser.parse_args().agents
    # One descriptor per agent, here and in what is started from here.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2 * agents + 1024)), hard))
    began_at = time.monotonic()
    with temporary_home("fleet") as home:
        report = bench(home, agents)
    say(f"took {time.monotonic() - began_at:.0f} s, load average now {load_average()}")
    write_report("fleet", report)


if __name__ == "__main__":
    leave(run)
