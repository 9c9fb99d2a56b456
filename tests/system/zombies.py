"""Writers that are stopped, given up, and wake again: `python -m tests.system.zombies [--all]`.

A case moves a table to one place. The first attempt to load is stopped at an exact point of its publish, with its
daemon; another agent takes over (or undoes); then the dead wake, and must change nothing. Cases of one round run at
the same time. `--all` is every datastore, point and story, also from what looks like another host, and
writes build/reports/zombies.json. Exit codes: 0 every case held · 1 one did not · 3 no world.
"""

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from agentd.processes.identity import ProcessIdentity, is_alive
from tests.kit import reports
from tests.kit.processes import NotInTime, program, until
from tests.kit.verbs import leave
from tests.kit.world import CommandFailed
from tests.system.contents import ENGINES, Place, count_by_query, fingerprint, put_before, rows_at
from tests.system.scene import (
    ENDS,
    OTHER_HOST,
    ROWS,
    TIMING,
    Document,
    Scene,
    has_other_hosts,
    is_stopped,
    migration,
    workflow,
)

POINTS = ("before_publish", "publish_open", "after_publish")
STORIES = ("succeed", "cancel", "undo")
NEAR, FAR = "near", "far"

# A successor may start once the lease has run out and the reaper has looked; then it ends the old process or the old
# session, which may take this long; then it does the work again, here with up to fourteen others on the same cores.
REAPER_S = 1.0
EVICTION_S = 10.0
WORK_S = 25.0
HEALED_S_MAX = TIMING.lease_ttl_s + REAPER_S + EVICTION_S + WORK_S
ARMED_S_MAX = 90.0
SETTLED_S_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Case:
    """One zombie: where it writes, where it is stopped, what happens meanwhile, and on which host."""

    engine: str
    point: str
    story: str
    successor: str = NEAR

    @property
    def name(self) -> str:
        """Name of its migration and of its datastore."""
        return f"{self.engine}-{self.point.replace('_', '-')}-{self.story}-{self.successor}"


@dataclass(slots=True)
class Outcome:
    """What became of a case. ``wrong`` is empty when it held."""

    case: Case
    attempt_id: str = ""
    child: ProcessIdentity | None = None
    healed_s: float = 0.0
    verdict: str = ""
    digest: str = ""
    wrong: list[str] = field(default_factory=list)

    def require(self, holds: bool, what: str) -> None:
        """Note what does not hold."""
        if not holds:
            self.wrong.append(what)


def quick_rounds() -> list[list[Case]]:
    """One zombie per datastore whose step goes on, and one whose step was cancelled, every point among them."""
    points = {engine: POINTS[number % len(POINTS)] for number, engine in enumerate(ENGINES, 1)}
    far = FAR if has_other_hosts() else NEAR
    return [
        [Case(engine, point, "succeed") for engine, point in points.items()],
        [Case(engine, "before_publish", "cancel", far) for engine in ENGINES if shared(engine, "before_publish")],
    ]


def all_rounds() -> Iterator[list[Case]]:
    """Every datastore, point and story; then again with a successor that cannot see the zombie, so cannot kill it."""
    for story in STORIES:
        yield [Case(engine, point, story) for engine in ENGINES for point in POINTS]
    if not has_other_hosts():
        return
    for story in STORIES:
        yield [Case(engine, point, story, FAR) for engine in ENGINES for point in POINTS if shared(engine, point)]


def shared(engine: str, point: str) -> bool:
    """Tell whether two hosts can meet here: a stopped writer of a DuckDB or SQLite file keeps its file lock."""
    return engine != "duckdb" and (engine, point) != ("sqlite", "publish_open")


class Cemetery:
    """A scene with one agent that dies at each point, and successors near and far."""

    def __init__(self, root: Path, *, far: bool = False) -> None:
        self.scene = Scene(root)
        self._far = far

    def rise(self) -> None:
        """Start everything; the successors take no work yet."""
        scene = self.scene
        scene.rise()
        everywhere = dict.fromkeys(POINTS, "yes")
        successors = [NEAR, FAR] if self._far else [NEAR]
        for point in POINTS:
            scene.add_agent(point, {point: "yes"}, stop_at=f"load:{point}")
        for name in successors:
            scene.add_agent(name, everywhere, within=OTHER_HOST if name == FAR else ())
        scene.await_agents()
        for name in successors:
            scene.drain(name)
        scene.apply(*(workflow(point.replace("_", "-"), labels={point: "yes"}) for point in POINTS))

    def close(self) -> None:
        """End it all."""
        self.scene.close()

    def play(self, cases: list[Case]) -> list[Outcome]:
        """Run one round of cases with one story and one successor."""
        scene, (story, successor) = self.scene, (cases[0].story, cases[0].successor)
        places = {case.name: scene.place(case.engine, case.name) for case in cases}
        before: dict[str, str | None] = dict.fromkeys(places)
        if story != "succeed":
            for name, place in places.items():
                put_before(place)
                before[name] = fingerprint(place)
        outcomes = {case.name: Outcome(case) for case in cases}
        self._start(cases, places, replace=story != "succeed")
        self._await_armed(outcomes)
        frozen = sorted({case.point for case in cases})
        for agent in frozen:
            scene.freeze(agent)
        frozen_at = time.time()
        scene.resume(successor)
        self._live_on(story, list(places))
        for event in scene.events.all():
            outcome = outcomes.get(scene.started.get(event["subject"], ""))
            if outcome is not None and event["type"] in ENDS and not outcome.healed_s:
                outcome.healed_s = float(event["at"]) - frozen_at
        for outcome in outcomes.values():
            assert outcome.child is not None, "it was armed"
            outcome.verdict = "" if is_alive(outcome.child) else "its process was ended"
        settled = {name: fingerprint(place) for name, place in places.items()}
        for agent in frozen:
            scene.thaw(agent)
        self._await_settled(outcomes)
        for name, outcome in outcomes.items():
            self._judge(outcome, places[name], before[name], settled[name])
        scene.drain(successor)
        return list(outcomes.values())

    def _start(self, cases: list[Case], places: dict[str, Place], *, replace: bool) -> None:
        documents: list[Document] = []
        stores = {place.datastore: place for place in places.values()}
        documents += [self.scene.datastore_of(place) for place in stores.values()]
        for case in cases:
            flow = case.point.replace("_", "-")
            documents.append(migration(case.name, places[case.name], workflow=flow, replace=replace))
        self.scene.apply(*documents)
        self.scene.start(*places)

    def _await_armed(self, outcomes: dict[str, Outcome]) -> None:
        """Wait until every first load stands still at its point."""
        scene = self.scene
        waiting = dict(outcomes)

        def armed() -> bool:
            for agent in POINTS:
                for attempt_id, files in scene.attempts(agent).items():
                    child = files.read_child()
                    if child is None or _text(files.path / "point") != agent:
                        continue
                    name = _migration_of(scene, attempt_id)
                    if name in waiting and is_stopped(child.pid):
                        found = waiting.pop(name)
                        found.attempt_id, found.child = attempt_id, child
            return not waiting

        try:
            until(armed, ARMED_S_MAX, "every load to stand still at its point")
        except NotInTime as error:
            raise NotInTime(f"{error}; still waiting for {', '.join(waiting)}") from None

    def _live_on(self, story: str, names: list[str]) -> None:
        """Let the successor do what the story says, while the zombies lie."""
        if story == "cancel":
            for name in names:
                self.scene.cancel(name)
        ends = self.scene.await_end(names, HEALED_S_MAX + len(names))
        if story == "undo":
            assert set(ends.values()) == {"MigrationSucceeded"}, ends
            for name in names:
                self.scene.roll_back(name)
            ends = self.scene.await_end(names, HEALED_S_MAX + len(names))
        wanted = {"succeed": "MigrationSucceeded", "cancel": "MigrationCancelled", "undo": "MigrationRolledBack"}[story]
        assert set(ends.values()) == {wanted}, ends

    def _await_settled(self, outcomes: dict[str, Outcome]) -> None:
        """Wait until every resumed agent has told of its attempts, heard the answer, and put them away."""

        def settled() -> bool:
            left = {attempt_id for agent in POINTS for attempt_id in self.scene.attempts(agent)}
            return not left & {outcome.attempt_id for outcome in outcomes.values()}

        until(settled, SETTLED_S_MAX, "every resumed attempt to be over", self.scene.world.root / "log" / "near.log")

    def _judge(self, outcome: Outcome, place: Place, before: str | None, settled: str | None) -> None:
        scene, case = self.scene, outcome.case
        found = scene.migration(case.name)
        load = next(step for step in found["steps"] if step["name"] == "load")
        first = load["attempts"][0]
        outcome.require(first["attempt_id"] == outcome.attempt_id, "the zombie is the load's first attempt")
        outcome.require(first["state"] in ("lost", "cancelled"), f"the zombie's attempt ended as {first['state']}")
        outcome.verdict = outcome.verdict or self._verdict(case, outcome.attempt_id)
        outcome.require(bool(outcome.verdict), "nothing shows that the zombie was evicted or refused")
        outcome.require(outcome.healed_s <= HEALED_S_MAX, f"healed only after {outcome.healed_s:.1f} s")
        now = fingerprint(place)
        outcome.require(now == settled, "the resumed zombie changed the destination")
        if case.story == "succeed":
            outcome.digest = found["migration"]["verified_digest"]
            self._require_one_run(outcome, place, found, load)
        else:
            outcome.require(now == before, "the destination is not what it was before")

    def _require_one_run(self, outcome: Outcome, place: Place, found: dict[str, Any], load: dict[str, Any]) -> None:
        """The destination holds exactly the source's rows, and the receipt speaks of the last fence."""
        outcome.require(rows_at(place) == self.scene.expected, "the rows are not those of the source")
        outcome.require(count_by_query(place) == ROWS, "a query counts other rows")
        outcome.require(int(found["migration"]["verified_rows"]) == ROWS, "the proof counts other rows")
        result, last = load["result"], load["attempts"][-1]
        outcome.require(int(result["publishedFence"]) == int(last["fence"]), "the receipt names another fence")
        outcome.require(last["state"] == "succeeded", f"the last attempt is {last['state']}")
        adopted = bool(result.get("alreadyPublished"))
        outcome.require(adopted == (outcome.case.point == "after_publish"), f"already published: {adopted}")

    def _verdict(self, case: Case, attempt_id: str) -> str:
        """Say from logs and events what kept the zombie out; empty when nothing did."""
        ended = re.search(rf"ended attempt={attempt_id} .*outcome=(\S+) code=(\S*)", self.scene.log(case.point))
        late = [
            event
            for event in self.scene.events.all()
            if event["type"] == "LateResult" and event["data"].get("attempt_id") == attempt_id
        ]
        how, code = ended.groups() if ended else ("", "")
        if how == "fenced":
            return "refused by the destination"
        if code in ("unreachable", "connection_lost"):
            return "its session was ended"
        if how == "succeeded" and late:
            return "its report was refused"
        if how == "cancelled" or code in ("lease_expired", "cancelled"):
            return "it stopped by itself"
        return ""


def _text(path: Path) -> str:
    """What a file of an attempt says; an attempt that is over may be put away at any time."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _migration_of(scene: Scene, attempt_id: str) -> str:
    """Return the name of the migration that an attempt belongs to."""
    for event in scene.events.all():
        if event["data"].get("attempt_id") == attempt_id:
            return scene.started.get(event["data"]["migration_id"], "")
    return ""


@contextmanager
def cemetery(*, far: bool = False) -> Iterator[Cemetery]:
    """Yield a risen cemetery in a temporary place and remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="haulier-zombies-") as root:
        found = Cemetery(Path(root), far=far)
        try:
            found.rise()
            yield found
        finally:
            found.close()


def render(outcomes: Iterable[Outcome]) -> str:
    """Return the outcomes as a table."""
    table = Table(box=None, pad_edge=False)
    for heading in ("DATASTORE", "STOPPED", "MEANWHILE", "SUCCESSOR", "HEALED", "THE ZOMBIE", "DESTINATION"):
        table.add_column(heading, no_wrap=True)
    for one in outcomes:
        kept = "equals one run" if one.case.story == "succeed" else "as before"
        table.add_row(
            one.case.engine,
            one.case.point,
            {"succeed": "succeeded", "cancel": "cancelled", "undo": "rolled back"}[one.case.story],
            {NEAR: "same host", FAR: "other host"}[one.case.successor],
            f"{one.healed_s:.1f} s",
            one.verdict or "?",
            "; ".join(one.wrong) or kept,
        )
    console = Console(width=150, highlight=False, color_system=None)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def main() -> int:
    """Play the cases, print the table, write the report; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.system.zombies", description="Writers that wake too late.")
    parser.add_argument("--all", action="store_true", help="every datastore, point, story and host")
    given = parser.parse_args()
    rounds = list(all_rounds()) if given.all else quick_rounds()
    began = time.monotonic()
    outcomes: list[Outcome] = []
    try:
        with cemetery(far=has_other_hosts()) as world:
            for number, cases in enumerate(rounds, 1):
                outcomes += world.play(cases)
                print(
                    f"round {number} of {len(rounds)}: {len(cases)} zombies, {time.monotonic() - began:.0f} s",
                    flush=True,
                )
            sound = examine(world)
    except (CommandFailed, NotInTime, OSError) as error:
        print(f"zombies: {error}", file=sys.stderr)
        return 3
    print("\n" + render(outcomes))
    return _conclude(outcomes, sound, time.monotonic() - began)


def examine(world: Cemetery) -> bool:
    """Ask the doctor whether the store keeps every promise."""
    config = world.scene.world.root / "controlplane.toml"
    said = world.scene.run([*program("controlplane"), "doctor", "--config", str(config)])
    if said.code:
        print(said.out + said.err, file=sys.stderr)
    return said.code == 0


def _conclude(outcomes: list[Outcome], sound: bool, wall_s: float) -> int:
    broken = [outcome for outcome in outcomes if outcome.wrong]
    digests = {outcome.digest for outcome in outcomes if outcome.digest}
    report = {
        "cases": len(outcomes),
        "broken": {outcome.case.name: outcome.wrong for outcome in broken},
        "verdicts": {v: sum(o.verdict == v for o in outcomes) for v in sorted({o.verdict for o in outcomes})},
        "digests": sorted(digests),
        "doctor_sound": sound,
        "bound_s": HEALED_S_MAX,
        "healed_s_max": round(max(outcome.healed_s for outcome in outcomes), 1),
        "wall_s": round(wall_s, 1),
    }
    path = reports.write("zombies", report)
    print(
        f"{len(outcomes) - len(broken)} of {len(outcomes)} zombies changed nothing; healed within "
        f"{report['healed_s_max']} s (bound {HEALED_S_MAX:g} s = lease {TIMING.lease_ttl_s:g} + reaper {REAPER_S:g} + "
        f"eviction {EVICTION_S:g} + work {WORK_S:g}); {wall_s:.0f} s in all; report: {path}"
    )
    return 0 if not broken and len(digests) == 1 and sound else 1


if __name__ == "__main__":
    leave(main)
