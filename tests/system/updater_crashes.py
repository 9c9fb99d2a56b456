"""Kills the real updater at every system call that changes something, and sees that only old or new is ever there.

    python -m tests.system.updater_crashes                     every point of every release
    python -m tests.system.updater_crashes --each 7            every seventh
    python -m tests.system.updater_crashes --manner good …     one release only

strace counts the state-changing calls of an undisturbed upgrade after the updater's start-up, and then kills it at the
entry of the first, the second, … of them. After each kill it runs again as a service manager would let it, by turns by
`apply` and by `rescue`.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from controlplane.releases.building import Built
from tests.kit import reports
from tests.kit.mounting import can_mount
from tests.kit.upgrading import Forge, UpgradingHost, stand_in
from tests.kit.verbs import leave

CALLS = (
    "rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,mkdir,mkdirat,rmdir,chmod,fchmod,"
    "fchmodat,chown,fchown,fchownat,fsync,fdatasync,ftruncate,truncate,write,pwrite64,writev,utimensat"
)
# The updater opens its lock before it does anything; what its interpreter did until then is not its own.
BEGUN = re.compile(r"^openat\(.*/lock\"")
CALL = re.compile(r"^(\w+)\(")
PROBATION_S = 0.3
PASSES_MAX = 20
TRIES = 3
# How the wanted release behaves, and how such an upgrade may end: state and code.
ENDS = {
    "good": {("kept", "")},
    "crashes": {("rolled_back", "crashed")},
    "hangs": {("rolled_back", "hung")},
    "leaks": {("rolled_back", "memory")},
    "slow": {("rolled_back", "slow")},
    "fails": {("rolled_back", "selftest_failed")},
    "half-written": {("refused", "artefact_differs")},
    "disk-full": {("held", "disk_full")},
    "downgrade": {("refused", "downgrade")},
}
MISBEHAVING = ("crashes", "hangs", "leaks", "slow", "fails")
# What the service manager asks for by `rescue` is a way back as well.
RESCUED = ("rolled_back", "crashed")
_SMALL_INODES = 4
AT_ONCE = 4


def has_strace() -> bool:
    """Tell whether strace is here and may trace."""
    try:
        command = ["strace", "-qq", "-o", os.devnull, "true"]
        return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0
    except OSError:
        return False


@dataclass(frozen=True)
class Point:
    """The `number`-th call of one name that the updater makes in its `run`-th run, both from 1."""

    run: int
    call: str
    number: int


@dataclass
class Case:
    """One release on its way to a host."""

    manner: str
    host: UpgradingHost
    old: Built
    new: Built

    def begin(self) -> None:
        """Put the host where it was before, and ask for the release."""
        self.end()
        host = self.host
        if self.manner == "disk-full":
            host.home.mkdir(parents=True)
            _run("mount", "-t", "tmpfs", "none", str(host.home))
        host.install(self.old)
        if self.manner == "disk-full":
            # Room enough by its bytes, and not for as many files: it fills in the middle of unpacking.
            used = os.statvfs(host.home)
            inodes = used.f_files - used.f_ffree + _SMALL_INODES
            _run("mount", "-o", f"remount,nr_inodes={inodes}", str(host.home))
        host.service("restart")
        host.fetch(self.new)
        if self.manner == "half-written":
            artefact = host.exchange / "incoming" / "artefact"
            data = artefact.read_bytes()
            artefact.write_bytes(data[: len(data) // 2] + b"\0" * (len(data) - len(data) // 2))
        host.ask(self.new, PROBATION_S, request_id="req_crash")

    def end(self) -> None:
        """End the agent and remove the host."""
        self.host.end()
        if self.host.home.is_mount():
            _run("umount", "--lazy", str(self.host.home))
        shutil.rmtree(self.host.prefix, ignore_errors=True)

    def points(self) -> Iterator[Point]:
        """Every state-changing call of an undisturbed upgrade, run by run until nothing is under way."""
        self.begin()
        trace = self.host.prefix / "trace"
        for run in range(1, PASSES_MAX):
            within = ("strace", "-qq", "-o", str(trace), "-e", f"trace={CALLS},openat")
            done = self.host.updater("apply", within=within)
            assert done.returncode == 0, done.stderr
            yield from _points_in(run, trace.read_text(errors="replace").splitlines())
            if self.host.remembered()["phase"] == "idle":
                self.check_end(rescued=False)
                return
        raise AssertionError(f"{self.manner} did not come to an end")

    def crash(self, point: Point, rescuing: bool) -> str:
        """Kill at a point and let the updater run again; returns how it ended, or "not reached"."""
        # How many passes an upgrade takes depends on the moment. One that is faster or slower than that in which the
        # points were counted comes to this one in an earlier or a later pass, or when it is tried again.
        passes = [*reversed(range(point.run))] * TRIES
        if not any(self._was_killed(point, before) for before in passes):
            return "not reached"
        if rescuing:
            again = self.host.updater("rescue")
            assert again.returncode == 0, f"{point}: {again.stderr}"
        assert self.host.settle(PASSES_MAX) == "idle", f"{point}: {self.host.told()}"
        return self.check_end(rescuing)

    def _was_killed(self, point: Point, before: int) -> bool:
        """Begin anew, and kill at a point in the first pass after so many that comes to it; False when none does."""
        self.begin()
        for _ in range(before):
            self.host.apply()
            time.sleep(0.05)
        inject = f"inject={point.call}:signal=KILL:when={point.number}"
        within = ("strace", "-qq", "-o", os.devnull, "-e", f"trace={point.call}", "-e", inject)
        for _ in range(PASSES_MAX):
            done = self.host.updater("apply", within=within)
            assert "Traceback" not in done.stderr, done.stderr
            faults = self.host.faults()
            assert not faults, f"{point}: {faults}"
            if done.returncode:
                return True
            if self.host.remembered()["phase"] == "idle":
                return False
        raise AssertionError(f"{point}: {self.manner} did not come to an end")

    def check_end(self, rescued: bool) -> str:
        """See that the upgrade ended as it must; returns how."""
        host, told = self.host, self.host.told()
        end = (told["state"], told["cause_code"])
        assert end in ENDS[self.manner] | ({RESCUED} if rescued else set()), told
        expected = self.new.digest if end[0] == "kept" else self.old.digest
        assert host.runs() == expected == told["digest"], (host.runs(), told)
        assert not host.faults(), host.faults()
        assert not host.junk(), host.junk()
        needed = {expected, self.old.digest}
        self._check_versions(needed, needed | {self.new.digest} if end[0] == "refused" else needed)
        assert host.service("state") == "running"
        return end[0] if not end[1] else f"{end[0]}: {end[1]}"

    def _check_versions(self, needed: set[str], allowed: set[str]) -> None:
        """See that releases which nothing needs go, in this pass or in one after it.

        A pass leaves what a process still runs from, such as one that the killed updater had started, and leaves all
        while the agent is not there to be seen."""
        for _ in range(PASSES_MAX):
            found = {each.name for each in (self.host.home / "versions").iterdir()}
            if found <= allowed:
                break
            self.host.apply()
        assert needed <= found <= allowed, found


def _points_in(run: int, lines: list[str]) -> Iterator[Point]:
    """Points of one run, from where the updater begins."""
    counts: Counter[str] = Counter()
    begun = False
    for line in lines:
        begun = begun or BEGUN.match(line) is not None
        call = CALL.match(line)
        if call is None or call[1] == "openat":
            continue
        counts[call[1]] += 1
        # What it says to its log changes nothing.
        if begun and not re.match(r"^write\([12],", line):
            yield Point(run, call[1], counts[call[1]])


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=30)


def crash_all(root: Path, manners: list[str], each: int, first: int = 0) -> dict[str, Any]:
    """Crash at every `each`-th point of these releases, from point `first` on; returns the report.

    Each release has a host of its own, and most of the time is spent in waiting: some are tried side by side."""
    forge = Forge(root / "forge")
    old = forge.release("0.1.0", stand_in("good"))
    cases: list[Case] = []
    for number, manner in enumerate(manners, start=2):
        version = "0.0.9" if manner == "downgrade" else f"0.{number}.0"
        new = forge.release(version, stand_in(manner if manner in MISBEHAVING else "good "))
        cases.append(Case(manner, UpgradingHost(root / f"host-{manner}", forge), old, new))
    given_up = Event()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            found = list(pool.map(lambda case: _crash_case(case, each, first, given_up), cases))
        except BaseException:
            # One that failed, or Ctrl-C: the others need not go on for half an hour.
            given_up.set()
            raise
    outcomes = {case.manner: dict(ended) for case, (_, ended) in zip(cases, found, strict=True)}
    crashed = sum(sum(ended.values()) - ended["not reached"] for _, ended in found)
    return {"points": crashed, "points_found": sum(points for points, _ in found), "outcomes": outcomes}


def _crash_case(case: Case, each: int, first: int, given_up: Event) -> tuple[int, Counter[str]]:
    """How many points a release has, and how the crashes ended."""
    try:
        points = list(case.points())
        ended: Counter[str] = Counter()
        for index, point in list(enumerate(points))[first::each]:
            if given_up.is_set():
                break
            ended[case.crash(point, rescuing=index % 2 == 1)] += 1
        print(f"{case.manner:13} {len(points):4} points: {dict(ended)}", flush=True)
        return len(points), ended
    finally:
        case.end()


def main(arguments: list[str]) -> int:
    """Crash and report to build/reports/updater.json. Exit codes: 0 · 1 a point was not reached · 3 no strace."""
    parser = argparse.ArgumentParser(prog="python -m tests.system.updater_crashes")
    parser.add_argument("--each", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--manner", action="append", choices=sorted(ENDS))
    given = parser.parse_args(arguments)
    if not has_strace():
        print("strace is needed, and the right to trace: apt-get install strace", file=sys.stderr)
        return 3
    manners = given.manner or list(ENDS)
    if "disk-full" in manners and "HAULIER_OWN_MOUNTS" not in os.environ:
        if not can_mount():
            print("disk-full is left out: this machine lets nobody mount a small disk", file=sys.stderr)
            manners.remove("disk-full")
        else:
            # Everything in a mount namespace of its own, where a small disk is nobody else's.
            os.environ["HAULIER_OWN_MOUNTS"] = "1"
            program = [sys.executable, "-m", "tests.system.updater_crashes", *arguments]
            os.execvp("unshare", ["unshare", "--mount", *program])
    with tempfile.TemporaryDirectory(prefix="haulier-crashes-") as root:
        report = crash_all(Path(root), manners, given.each, given.first)
    path = reports.write("updater", report)
    print(json.dumps(report, indent=1))
    print(f"report: {path}")
    return 1 if any(ended.get("not reached") for ended in report["outcomes"].values()) else 0


if __name__ == "__main__":
    leave(lambda: main(sys.argv[1:]))
