"""Upgrades of a real agent by the real updater while it copies, each watched from outside.

    python -m tests.system.upgrades --cycles 100

One Haulier on loopback; the agent's host lies below a directory with real, signed releases of this very code. A release
is published, asked for, kept, and the next one follows, while one long copy after the other runs.
"""

import argparse
import itertools
import json
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentd.processes.identity import ProcessIdentity, is_alive
from agentd.runner.attempt_files import AttemptDirectory
from controlplane.releases.building import Built
from tests.kit import reports
from tests.kit.beside import beside
from tests.kit.processes import NotInTime, alive, send, until
from tests.kit.quiet import require_quiet
from tests.kit.upgrading import Forge, UpgradingHost, real
from tests.kit.verbs import leave
from tests.kit.world import Timing
from tests.system.contents import Place
from tests.system.scene import Scene, dataset, datastore, migration, workflow

AGENT = "mover"
# The bar for a gap in progress; the product's own for what a switch may take.
GAP_MAX_S = 2.0
STORED_EVERY_S = 1.0
PROBATION_S = 12.0
# Heartbeats often, so that a session is soon old enough; leases as long as a busy machine may need.
TIMING = Timing(lease_ttl_s=45.0, heartbeat_s=0.5, heartbeat_grace_s=20.0)
BOUND_S = 120.0
# Wide rows: each costs as much as many narrow ones, so that a file of bearable length takes long.
WIDTH = 1
COLUMNS: list[dict[str, Any]] = [
    {"name": "id", "type": "int64", "required": True},
    *(
        {"name": f"{name}_{number}", "type": type_}
        for number in range(WIDTH)
        for name, type_ in (("amount", "decimal(18,4)"), ("seen", "timestamp"), ("note", "text"))
    ),
]
_LOOK_S = 0.02
# Of each so many seconds a step's process works this share.
SLOWED_S, SLOWED_TO = 0.2, 0.25


@dataclass
class Watch:
    """What one attempt's watermark did, seen in its own directory and at the control plane: (instant, watermark)."""

    worked: list[tuple[float, int]] = field(default_factory=list)
    stored: list[tuple[float, int]] = field(default_factory=list)

    def gap_s(self, since: float, until_: float) -> tuple[float, float]:
        """The longest time without growth between two instants: of the work, and at the least as the control plane
        learnt of it. It stores progress once a second, so that what its store shows is up to a second longer.
        """
        return _longest(self.worked, since, until_), max(0.0, _longest(self.stored, since, until_) - STORED_EVERY_S)

    def until_growth(self, since: float, bound_s: float) -> float:
        """Wait until the control plane stored growth after an instant; returns the longest time without any."""
        until(lambda: bool(self.stored) and self.stored[-1][0] > since + 1.0, bound_s, "progress after a crash")
        return max(self.gap_s(since, since + 1.0))


def _longest(seen: list[tuple[float, int]], since: float, until_: float) -> float:
    before = [at for at, _ in seen if at <= since]
    within = [at for at, _ in seen if since < at < until_]
    after = [at for at, _ in seen if at >= until_]
    instants = [*before[-1:], *within, *after[:1]]
    return max((b - a for a, b in itertools.pairwise(instants)), default=0.0)


class Copying:
    """A Haulier with one agent that was installed as a release, and a dataset that takes long to copy."""

    def __init__(self, root: Path, rows: int) -> None:
        self.scene = Scene(root / "world", TIMING)
        self.root = root
        self.rows = rows
        self.forge = Forge(root / "forge")
        agent = self.scene.world.root / "agents" / AGENT
        self.host = UpgradingHost(agent, self.forge, agent)
        self.copies = 0
        self.releases = 0

    def rise(self) -> None:
        """Start the control plane, install the first release, join, and start the agent from it."""
        scene, world = self.scene, self.scene.world
        world.wipe()
        for name in ("source", "staging", "there"):
            (world.data / name).mkdir(parents=True)
        self._write_source(world.data / "source" / "big.csv")
        world.start_controlplane()
        scene.apply(
            datastore("source", engine="csv", root=str(world.data / "source")),
            datastore("staging", engine="parquet", root=str(world.data / "staging")),
            datastore("there", engine="sqlite", path=str(world.data / "there" / "there.db")),
            dataset("big", datastore="source", object="big.csv", key=["id"], columns=COLUMNS),
            workflow("copy"),
        )
        world.names = (AGENT,)
        world.join_agent(AGENT, slots=2, labels={})
        self.host.install(self.forge.release(self.next_version(), real()))
        self.host.service("restart")
        scene.await_agents()

    def _write_source(self, path: Path) -> None:
        rest = ",".join(["12345.6789,2021-03-04 05:06:07.890123,some text that is neither short nor long"] * WIDTH)
        with path.open("w", encoding="utf-8") as file:
            file.write(",".join(each["name"] for each in COLUMNS) + "\n")
            file.writelines(f"{number},{rest}\n" for number in range(self.rows))

    def next_version(self) -> str:
        """A version above all before it."""
        self.releases += 1
        return f"0.{self.releases}.0"

    def close(self) -> None:
        """End everything, and see that nothing was loud. Raises ``NotQuiet``."""
        self.host.end()
        for attempt in self.scene.world.attempt_pids().values():
            send(attempt[1], signal.SIGKILL)
        try:
            require_quiet(self.host.logs())
        finally:
            self.scene.close()

    # A copy.

    def start_copy(self) -> str:
        """Start the next copy to a place of its own; returns its name once its extract is under way."""
        self.copies += 1
        name = f"copy-{self.copies}"
        self.scene.apply(migration(name, Place("sqlite", "there", "", f"big_{self.copies}"), dataset="big"))
        self.scene.start(name)
        return name

    def running(self, copies: list[str] | None = None) -> tuple[str, ProcessIdentity]:
        """The attempt that works now, and its process; with ``copies``, of one more when the last has ended."""
        found: list[tuple[str, ProcessIdentity]] = []

        def there() -> bool:
            if copies is not None and copies[-1] in self.scene.ends():
                copies.append(self.start_copy())
            for attempt_id, files in self.scene.attempts(AGENT).items():
                who, progress = files.read_child(), files.read_progress()
                if who is not None and is_alive(who) and progress is not None and progress.watermark > 0:
                    found.append((attempt_id, who))
            return bool(found)

        until(there, BOUND_S, "an attempt that makes progress", self.host.prefix / "agent.log")
        return found[0]

    @contextmanager
    def slowed(self, who: ProcessIdentity, share: float = SLOWED_TO) -> Iterator[None]:
        """Let a step's process work for a part of the time: a copy is as long as it has to be."""

        def slow(over: threading.Event) -> None:
            while not over.is_set() and is_alive(who):
                send(who.pid, signal.SIGSTOP)
                over.wait(SLOWED_S * (1.0 - share))
                send(who.pid, signal.SIGCONT)
                over.wait(SLOWED_S * share)

        with beside(slow):
            yield

    @contextmanager
    def watched(self, attempt_id: str) -> Iterator[Watch]:
        """Look at an attempt's watermark fifty times a second, in its directory and at the control plane."""
        watch = Watch()
        files = AttemptDirectory(self.scene.world.root / "agents" / AGENT / "state" / "attempts" / attempt_id)
        migration_name = f"copy-{self.copies}"

        def look(over: threading.Event) -> None:
            while not over.wait(_LOOK_S):
                progress = files.read_progress()
                if progress is not None and (not watch.worked or progress.watermark > watch.worked[-1][1]):
                    watch.worked.append((time.monotonic(), progress.watermark))
                for step in self.scene.migration(migration_name)["steps"]:
                    for attempt in step.get("attempts", ()):
                        mark = int(attempt.get("watermark", 0))
                        if attempt["attempt_id"] == attempt_id and (not watch.stored or mark > watch.stored[-1][1]):
                            watch.stored.append((time.monotonic(), mark))

        with beside(look):
            yield watch

    def digest(self, name: str) -> str:
        """The digest of a copy, which was found the same at the source and, read again, at the destination."""
        return str(self.scene.migration(name)["migration"]["verified_digest"])

    # An upgrade.

    def prepare(self) -> Built:
        """Build, sign and fetch the next release."""
        built = self.forge.release(self.next_version(), real())
        self.host.fetch(built)
        return built

    def switch(self, built: Built) -> tuple[float, float]:
        """Ask for a release and let it be switched to; returns when that began and when it was done."""
        self.host.ask(built, PROBATION_S)
        began_at = time.monotonic()
        self.host.apply()
        assert self.host.runs() == built.digest, self.host.told()
        return began_at, time.monotonic()

    def settle(self) -> None:
        """Pass after pass until the release is kept. Raises NotInTime, AssertionError."""
        ends_at = time.monotonic() + BOUND_S
        while self.host.remembered()["phase"] != "idle":
            if time.monotonic() > ends_at:
                raise NotInTime(f"not kept: {self.host.told()}\n{(self.host.prefix / 'agent.log').read_text()[-3000:]}")
            time.sleep(0.2)
            self.host.apply()
        told = self.host.told()
        assert (told["state"], told["digest"]) == ("kept", self.host.runs()), told

    def ended_well(self, attempt_id: str) -> bool:
        """Whether an attempt whose process is gone had succeeded rather than being lost, once its end is known."""

        def state() -> str:
            steps = [step for name in self.scene.started.values() for step in self.scene.migration(name)["steps"]]
            (found,) = (str(a["state"]) for s in steps for a in s["attempts"] if a["attempt_id"] == attempt_id)
            return found

        until(lambda: state() != "running", BOUND_S, "the end of an attempt")
        return state() == "succeeded"

    def require_first_attempts(self, name: str) -> None:
        """See that every step of a copy took one attempt, and none failed."""
        for step in self.scene.migration(name)["steps"]:
            (attempt,) = step["attempts"]
            assert int(attempt.get("number", 1)) == 1 and not attempt.get("failure"), step

    def kill_daemon(self) -> float:
        """Kill the daemon, and start it again as a service manager would; returns when it was killed."""
        pid = int((self.host.prefix / "agent.pid").read_text().split()[0])
        killed_at = time.monotonic()
        send(pid, signal.SIGKILL)
        until(lambda: not alive(pid), 10.0, "the daemon to be gone")
        self.host.service("restart")
        return killed_at


def main(arguments: list[str]) -> int:
    """Make many upgrades in a row while copies run; writes build/reports/upgrades.json."""
    parser = argparse.ArgumentParser(prog="python -m tests.system.upgrades")
    parser.add_argument("--cycles", type=int, default=100)
    parser.add_argument("--rows", type=int, default=3_000_000)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="haulier-upgrades-") as root:
        copying = Copying(Path(root), given.rows)
        try:
            copying.rise()
            report = run(copying, given.cycles)
        finally:
            copying.close()
    path = reports.write("upgrades", report)
    print(json.dumps({key: value for key, value in report.items() if key != "each"}, indent=1))
    print(f"report: {path}")
    in_time = max(report["worked_gap_max_s"], report["stored_gap_max_s"]) < GAP_MAX_S
    return 0 if report["ok"] and in_time else 1


def run(copying: Copying, cycles: int) -> dict[str, Any]:
    """Upgrade so many times; a copy is under way at each of them."""
    each: list[dict[str, Any]] = []
    copies = [copying.start_copy()]
    for number in range(1, cycles + 1):
        attempt_id, who = copying.running(copies)
        # Slow to the very end, so that one copy outlasts many upgrades.
        with copying.slowed(who):
            built = copying.prepare()
            with copying.watched(attempt_id) as watch:
                began_at, switched_at = copying.switch(built)
                through = is_alive(who)
            copying.settle()
        same = through or copying.ended_well(attempt_id)
        kept_s = time.monotonic() - began_at
        worked_s, stored_s = watch.gap_s(began_at, switched_at) if through else (0.0, 0.0)
        told = {"worked_gap_s": worked_s, "stored_gap_s": stored_s, "kept_s": kept_s, "same": same, "through": through}
        each.append(told)
        print(f"{number:4} gap {worked_s:.2f} s, stored {stored_s:.2f} s, kept in {kept_s:.1f} s", flush=True)
    copying.scene.require_end(copies, "MigrationSucceeded", BOUND_S)
    digests = {copying.digest(name) for name in copies}
    attempts = [a for name in copies for s in copying.scene.migration(name)["steps"] for a in s["attempts"]]
    again = [a for a in attempts if int(a.get("number", 1)) > 1 or a.get("failure")]
    same = all(e["same"] for e in each)
    return {
        "upgrades": len(each),
        "in_the_middle_of_one_attempt": sum(e["through"] for e in each),
        "copies": len(copies),
        "attempts": len(attempts),
        "failed_or_repeated": [{"failure": a.get("failure"), "number": a.get("number")} for a in again],
        "digests": len(digests),
        "stored_gap_median_s": statistics.median([e["stored_gap_s"] for e in each if e["through"]] or [0.0]),
        "worked_gap_max_s": max((e["worked_gap_s"] for e in each), default=0.0),
        "stored_gap_max_s": max((e["stored_gap_s"] for e in each), default=0.0),
        "kept_s_max": max((e["kept_s"] for e in each), default=0.0),
        "ok": len(digests) == 1 and same and not again,
        "each": each,
    }


if __name__ == "__main__":
    leave(lambda: main(sys.argv[1:]))
