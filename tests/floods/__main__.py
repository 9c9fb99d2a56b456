"""``python -m tests.floods``: floods a real control plane from other processes while honest agents' heartbeats are
timed. Writes build/reports/floods.json. Exit codes: 0 every flood was stood · 1 otherwise.
"""

import argparse
import json
import queue
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from haulier.v1 import fleet_pb2 as fl

from tests.bench import throughput
from tests.bench.figures import load_average, percentile, say, table
from tests.bench.plane import CALL_BOUND_S, Plane, temporary_home
from tests.floods import fetchers
from tests.floods.attacks import FLOODS, Setting
from tests.kit import reports
from tests.kit.processes import NotInTime, alive
from tests.kit.verbs import leave

HONEST = 20
# Whose certificate was revoked: all it asks for is refused.
SENT_AWAY = "sent-away"
# What each flood sends at full size; a smaller --scale takes its share.
COUNTS = {
    "idle connections": 2_000,
    "slow senders": 500,
    "open and cancel": 100_000,
    "open and cancel, sent-away": 100_000,
    "64 MiB messages": 24,
    "enrolments": 10_000,
    "malformed messages": 1_000_000,
    "artefacts": 300,
}
HEARTBEAT_P99_S_MAX = 1.0
# Two thousand connections at what an agent may cost, and what 64 MiB messages hold while they arrive.
GROWTH_BYTES_MAX = 512 * 1024 * 1024
LOG_BYTES_MAX = 1024 * 1024
READY_S_MAX = 60.0
FLOOD_S_MAX = 1200.0
WATCHED_EVERY_S = 0.1


class Told:
    """A process of ours that speaks JSON lines; use it as a context manager, which ends it."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            # Ctrl-C is for who started it.
            process_group=0,
        )
        self._lines: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()
        self.broken: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "Told":
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()

    def heard(self, what: str, bound_s: float) -> Mapping[str, Any]:
        """Return the next line that has the key ``what``. Raises ``NotInTime``."""
        try:
            while what not in (told := self._lines.get(timeout=bound_s)):
                self.broken.append(str(told.get("broken", told)))
        except queue.Empty:
            raise NotInTime(f"nothing said {what} within {bound_s:g} s") from None
        return told

    def running(self) -> bool:
        """Tell whether it still runs."""
        return self._process.poll() is None

    def ask(self) -> None:
        """Ask for what it measured."""
        self._process.send_signal(signal.SIGUSR1)

    def end(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(READY_S_MAX)
        self._reader.join(READY_S_MAX)

    def _read(self) -> None:
        assert self._process.stdout is not None, "it was opened with a pipe"
        for line in self._process.stdout:
            self._lines.put(json.loads(line))


def stand(plane: Plane, honest: Told, name: str, setting: Setting) -> dict[str, Any]:
    """Run one flood; return what it did and what it did to us."""
    honest.ask()
    honest.heard("took", READY_S_MAX)  # what was measured before
    before, log_before = plane.rss_bytes(), plane.log.stat().st_size
    broken_before = len(honest.broken)
    highest = before
    used_s = plane.cpu_s()
    with Told(["tests.floods.attacks", name, json.dumps(asdict(setting))]) as attacker:
        waiting = threading.Event()
        while attacker.running():
            waiting.wait(WATCHED_EVERY_S)
            if not alive(plane.pid):
                break
            highest = max(highest, plane.rss_bytes())
        crashed = not alive(plane.pid)
        told = attacker.heard("sent", READY_S_MAX)
    honest.ask()
    took = honest.heard("took", READY_S_MAX)["took"]
    logged = plane.log.read_bytes()[log_before:]
    return {
        "flood": name,
        "sent": told["sent"],
        "refused": told["refused"],
        "took_s": round(told["took_s"], 1),
        "heartbeats": len(took),
        "heartbeat_p99_s": round(percentile(took, 0.99), 3) if took else None,
        "heartbeat_max_s": round(max(took), 3) if took else None,
        "honest_streams_broken": len(honest.broken) - broken_before,
        "growth_mb": round((highest - before) / 2**20, 1),
        "rss_mb": round(highest / 2**20, 1),
        "cpu_s": 0.0 if crashed else round(plane.cpu_s() - used_s, 1),
        "log_kb": round(len(logged) / 1024, 1),
        "tracebacks": logged.count(b"Traceback"),
        "crashed": crashed,
    }


def stood(result: Mapping[str, Any]) -> bool:
    """Tell whether a flood did no harm: others' heartbeats in time, memory and log bounded, nobody cut off."""
    return (
        not result["crashed"]
        and result["heartbeats"] > 0
        and result["heartbeat_p99_s"] <= HEARTBEAT_P99_S_MAX
        and result["honest_streams_broken"] == 0
        and result["growth_mb"] <= GROWTH_BYTES_MAX / 2**20
        and result["log_kb"] <= LOG_BYTES_MAX / 1024
        and result["tracebacks"] == 0
    )


def run(home: Path, names: Sequence[str], scale: float) -> list[dict[str, Any]]:
    """Run the floods one after another against one control plane."""
    with Plane(home) as plane:
        plane.init()
        plane.serve()
        agents = [f"honest-{number}" for number in range(HONEST)]
        plane.enrol([*agents, "attacker", SENT_AWAY, *fetchers.NAMES])
        sent_away = fl.DecommissionAgentRequest(agent=SENT_AWAY, reason="no host")
        plane.fleets().DecommissionAgent(sent_away, timeout=CALL_BOUND_S)
        plane.stop()
        fetchers.publish(home, plane.store.parent)
        throughput.load(plane, throughput.STEPS_EACH)
        plane.serve()
        addresses = plane.addresses()
        results = []
        with Told(["tests.floods.honest", str(plane.identities), json.dumps(agents)]) as honest:
            honest.heard("ready", READY_S_MAX)
            for name in names:
                count = max(1, int(COUNTS[name] * scale))
                say(f"{name}: {count}")
                who = SENT_AWAY if SENT_AWAY in name else "attacker"
                identity = str(plane.identities / f"{who}.json")
                setting = Setting(addresses["agents"], addresses["public"], identity, count)
                results.append(stand(plane, honest, name, setting))
                if results[-1]["crashed"]:
                    break
        return results


def main() -> int:
    """Flood and report."""
    parser = argparse.ArgumentParser(prog="python -m tests.floods", description="Floods against a control plane.")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full number of each flood (1.0)")
    parser.add_argument("--only", choices=sorted(COUNTS), action="append", help="run this flood alone; may be repeated")
    given = parser.parse_args()
    assert set(COUNTS) == set(FLOODS)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
    load = load_average()
    with temporary_home("floods") as home:
        results = run(home, given.only or list(COUNTS), given.scale)
    columns = ["sent", "refused", "took_s", "heartbeat_p99_s", "heartbeat_max_s", "growth_mb", "cpu_s", "log_kb"]
    table(
        f"Floods beside {HONEST} honest agents (load average before {load})",
        ["flood", *columns, "verdict"],
        [[r["flood"], *(str(r[c]) for c in columns), "stood" if stood(r) else "BROKE"] for r in results],
    )
    report = {
        "floods": results,
        "heartbeat_p99_s_max": max((r["heartbeat_p99_s"] or FLOOD_S_MAX) for r in results),
        "crashes": sum(r["crashed"] for r in results),
        "stood": sum(stood(r) for r in results),
    }
    say(f"report: {reports.write('floods', report)}")
    return 0 if report["stood"] == len(given.only or COUNTS) else 1


if __name__ == "__main__":
    leave(main)
