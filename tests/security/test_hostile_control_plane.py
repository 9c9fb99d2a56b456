"""A control plane that was taken over says the worst that it can; nothing gets out of the host's policy.

The agent is real, its certificate good, its policy ordinary. After each class the world is looked at: no file outside
the roots was opened, read or changed by anybody; nothing runs that should not; no secret was said; an honest step still
works.
"""

import asyncio
import itertools
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from haulier.v1 import agent_pb2 as pb
from haulier.v1 import kinds_pb2 as k

from tests.kit import reports
from tests.kit.beside import beside
from tests.security import hostile_cases as cases
from tests.security.hostile_cases import Case, Counts
from tests.security.hostile_world import CANARY, NOBODY, PASSWORD, HostileWorld, hostile_world, interpreter_for
from tests.security.watching import Watch, digest_of_tree, processes_in

USERS = {"root": 0, "nobody": NOBODY} if os.geteuid() == 0 else {"own": os.geteuid()}
# How many grants are under way at once: as many as the agent has slots, and as many again that wait.
AT_ONCE = 6
RACES = 80
FLOOD = 4000


class Trial:
    """One agent under all attacks."""

    def __init__(self, it: HostileWorld) -> None:
        self.it = it
        self.counts: dict[str, Counts] = {}
        self.watch = Watch(it.outside)
        self.before = digest_of_tree(it.outside)
        self.precious = [it.root / "important", it.root / "kept", it.root / "exports"]
        self.inside = {path: digest_of_tree(path) for path in self.precious}
        self.honest = 0

    async def attack(self, found: list[Case], may_succeed: bool = False) -> None:
        """Say each case, wait for what is answered, then look at the world."""
        for start in range(0, len(found), AT_ONCE):
            batch = found[start : start + AT_ONCE]
            for case in batch:
                await self.it.listener.say_message(case.message)
            for case in batch:
                await self._ended(case, may_succeed)
        await self._look({case.sort for case in found})

    async def flood(self) -> None:
        """Grant without end and acknowledge nothing: the agent keeps a bounded number, and recovers."""
        listener = self.it.listener
        listener.acknowledging = False
        found = list(cases.flood(FLOOD))
        for case in found:
            await listener.say_message(case.message)
            await self._ended(case, may_succeed=False)
        await listener.until(lambda: "att_flood_0" in listener.results, "an answer to the flood")
        listener.acknowledging = True
        told = dict(listener.times_told)
        flooded = [each for each in told if each.startswith("att_flood_")]
        await listener.until(
            lambda: all(listener.times_told[each] > told[each] for each in flooded), "all of it once more"
        )
        assert len([each for each in listener.results if each.startswith("att_flood_")]) < FLOOD / 2
        await self._look({"flood"})

    async def _ended(self, case: Case, may_succeed: bool) -> None:
        counts = self.counts.setdefault(case.sort, Counts())
        counts.sent += 1
        if not case.answered:
            counts.ignored += 1
            return
        try:
            told = await self.it.listener.result(case.attempt_id)
        except AssertionError as error:
            raise AssertionError(f"{case.sort}, {case.what}: {error}\n{self.it.log_text()[-3000:]}") from None
        if told.outcome != pb.ATTEMPT_OUTCOME_SUCCEEDED:
            counts.refused += 1
            counts.codes[told.failure.code] += 1
            if told.failure.code == "internal":
                counts.unforeseen.append(f"{case.what}: {told.failure.message}")
            assert told.failure.code and "Traceback" not in told.failure.message, told
            return
        counts.allowed += 1
        if not may_succeed:
            counts.escaped.append(f"{case.what} succeeded")

    async def _look(self, sorts: set[str]) -> None:
        """An honest step works, and then nothing of what must not have happened has."""
        it = self.it
        self.honest += 1
        await it.honest(f"att_honest_{self.honest}")
        wrong = [f"opened or changed: {each}" for each in self.watch.seen()]
        if digest_of_tree(it.outside) != self.before:
            wrong.append("the tree outside is not what it was")
        self.watch.seen()
        wrong += [f"{path.name} inside is not what it was" for path in self.precious if self._changed(path)]
        for secret in (CANARY, PASSWORD, "root:x:0:0"):
            if secret.encode() in bytes(it.heard) or any(secret.encode() in told for told in it.rogue.told):
                wrong.append(f"{secret} was said")
        if it.marker.exists():
            wrong.append("a program ran")
        for each in sorts:
            self.counts[each].escaped += wrong

    def _changed(self, path: Path) -> bool:
        now = {name: told for name, told in digest_of_tree(path).items() if "_haulier" not in name}
        return now != self.inside[path]


@contextmanager
def flipping(it: HostileWorld) -> Iterator[None]:
    """`root/flip` is a directory inside and a link to the outside, by turns, as fast as can be."""
    real, link, at = it.root / "real", it.root / "leads-out", it.root / "flip"
    real.mkdir()
    for name in ("readings.csv", "secret.csv"):
        (real / name).write_text("id,note\n1,inside\n")
    link.symlink_to(it.outside)
    pauses = itertools.cycle((0.1, 0.001, 0.03, 0.0, 0.06, 0.0, 0.01))

    def flip(over: threading.Event) -> None:
        while not over.is_set():
            for target in ("real", "leads-out"):
                it.root.joinpath("fresh").symlink_to(target)
                it.root.joinpath("fresh").replace(at)
                # Long enough for a step to get somewhere in between.
                over.wait(next(pauses))

    with beside(flip):
        yield


def races(it: HostileWorld, staged: k.Staged) -> list[Case]:
    """Steps through a place that is now inside and now outside."""
    at = str(it.root / "flip")
    found = []
    for number in range(RACES // 4):
        source = it.source("secret.csv", cases.csv(at))
        found.append(
            cases.grant("symlink_race", "read", "extract", k.ExtractParams(source=source, staging=it.staging()))
        )
        to = k.ExtractParams(source=it.source(), staging=cases.parquet(at, "staging"))
        found.append(cases.grant("symlink_race", "stage", "extract", to, step_id=f"step_race{number}"))
        where = k.DatasetLocation(dataset="d", datastore=cases.parquet(at), object=f"new{number}.parquet")
        load = k.LoadParams(input=staged, destination=where)
        found.append(cases.grant("symlink_race", "load", "load", load))
        store = k.Datastore(name="files", sqlite=k.SqliteStore(path=f"{at}/secret.db"))
        things = k.DatasetLocation(dataset="d", datastore=store, object="things", columns=source.columns)
        params = k.LoadParams(input=staged, destination=things, if_exists=k.IF_EXISTS_REPLACE)
        found.append(cases.grant("symlink_race", "database", "load", params))
    return found


@contextmanager
def bystander(it: HostileWorld) -> Iterator["subprocess.Popen[bytes]"]:
    """A process of somebody's that works in a directory of the name that is to be evicted."""
    home = it.directory / "attempts" / "att_bystander"
    home.mkdir(parents=True)
    home.parent.chmod(0o755)
    with subprocess.Popen(["sleep", "600"], cwd=home) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)


async def whole_trial(it: HostileWorld) -> Trial:
    """Every class, one after another."""
    staged = await it.honest("att_honest_0")
    await publish_own(it, staged)
    trial = Trial(it)
    trial.watch.begin()
    await trial.attack(list(cases.path_escapes(it, staged)))
    await trial.attack(list(cases.programs(it)))
    await trial.attack(list(cases.statements(it, staged)))
    await trial.attack(list(cases.redefinitions(it, staged)))
    await trial.attack(list(cases.deletions(it, staged)))
    await trial.attack(list(cases.nonsense(it)))
    await trial.attack(list(cases.forgeries(it)))
    with bystander(it) as process:
        await trial.attack(list(cases.directives(it, process.pid)))
        assert process.poll() is None, "the bystander was ended"
    await trial.flood()
    with flipping(it):
        await trial.attack(races(it, staged), may_succeed=True)
    trial.watch.end()
    return trial


async def publish_own(it: HostileWorld, staged: k.Staged) -> None:
    """A table of Haulier's own in SQLite, for questions to be asked of."""
    store = k.Datastore(name="files", sqlite=k.SqliteStore(path=str(it.root / "files" / "own.db")))
    where = k.DatasetLocation(dataset="d", datastore=store, object="things")
    load = k.LoadParams(input=staged, destination=where).SerializeToString()
    await it.listener.grant("att_own", "load", load, fence=1)
    told = await it.listener.result("att_own")
    assert told.outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED, told


@pytest.mark.timeout(900)
@pytest.mark.parametrize("user", USERS)
def test_nothing_gets_outside_the_hosts_policy(user: str) -> None:
    uid = USERS[user]
    if interpreter_for(uid) is None:
        pytest.skip(f"{user} cannot run an interpreter here")

    async def story(home: Path) -> Trial:
        async with hostile_world(home, uid) as it:
            (agent,) = it.processes
            trial = await whole_trial(it)
            assert agent.returncode is None, "the agent died"
            strange = {pid: what for pid, what in processes_in(it.directory).items() if "runnerhost" not in what}
            assert not strange, strange
            assert "Traceback" not in it.log_text()
            return trial

    with tempfile.TemporaryDirectory(prefix="haulier-hostile-") as home:
        Path(home).chmod(0o755)
        trial = asyncio.run(story(Path(home)))
    tell(user, trial)
    assert not {name: sorted(set(counts.escaped)) for name, counts in trial.counts.items() if counts.escaped}
    assert not [each for counts in trial.counts.values() for each in counts.unforeseen]
    assert sum(counts.sent for counts in trial.counts.values()) >= 100


def tell(user: str, trial: Trial) -> None:
    """Print the table, and add it to the report."""
    print(f"\n{'class':24} {'sent':>5} {'refused':>8} {'ignored':>8} {'allowed':>8} {'escaped':>8}   as {user}")
    report = reports.read("hostile-controlplane") or {"sent": 0, "escaped": 0, "by_class": {}, "users": {}}
    mine: dict[str, dict[str, Any]] = {}
    for name, counts in sorted(trial.counts.items()):
        row = [counts.sent, counts.refused, counts.ignored, counts.allowed, len(counts.escaped)]
        print(f"{name:24} {row[0]:>5} {row[1]:>8} {row[2]:>8} {row[3]:>8} {row[4]:>8}")
        mine[name] = dict(zip(("sent", "refused", "ignored", "allowed", "escaped"), row, strict=True))
        print("".join(f"    {code} {count}" for code, count in counts.codes.most_common()))
        mine[name]["codes"] = dict(counts.codes)
    report["users"][user] = mine
    by_class: dict[str, dict[str, int]] = {}
    for told in report["users"].values():
        for name, numbers in told.items():
            summed = by_class.setdefault(name, {"sent": 0, "escaped": 0})
            for key in summed:
                summed[key] += numbers[key]
    report["by_class"] = by_class
    for key in ("sent", "escaped"):
        report[key] = sum(each[key] for each in report["by_class"].values())
    reports.write("hostile-controlplane", report)
