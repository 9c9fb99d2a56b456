"""`python -m tests.estate`: move three hundred datasets at default timings, twice, and clean up.

Exit codes: 0 everything held · 1 something did not, named.
"""

import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.estate.data import Sources, items, manifests, tables_of_ours
from tests.kit import reports
from tests.kit.processes import program
from tests.kit.verbs import leave
from tests.kit.world import Timing
from tests.system.scene import Said, Scene, datastore

AGENTS = ("east", "west")
SLOTS = 4
ENDED_S_MAX = 1500.0


def main() -> int:
    """Run it; return the exit code."""
    root = Path(tempfile.mkdtemp(prefix="haulier-estate-"))
    scene = Scene(root, Timing())
    try:
        report, wrong = _trial(scene)
    finally:
        scene.close()
        shutil.rmtree(root, ignore_errors=True)
    path = reports.write("estate", {**report, "wrong": wrong})
    for each in wrong:
        print(f"WRONG: {each}")
    print(f"report: {path}")
    return 1 if wrong else 0


def _trial(scene: Scene) -> tuple[dict[str, Any], list[str]]:
    names, bad = [item.name for item in items()], [item.name for item in items() if item.is_bad]
    sources = _rise(scene)
    report: dict[str, Any] = {"datasets": len(names), "bad": len(bad), "agents": len(AGENTS)}
    wrong: list[str] = []
    report |= _first_run(scene, names, bad, wrong)
    _mend_and_retry(scene, sources, bad, wrong)
    report["second_run_s"] = _second_run(scene, names, wrong)
    report |= _clean_up(scene, wrong)
    scene.world.require_quiet()
    return report, wrong


def _rise(scene: Scene) -> Sources:
    world = scene.world
    world.wipe()
    (world.data / "staging").mkdir(parents=True)
    (world.data / "lake").mkdir()
    scene.postgres = world.start_postgres()
    sources = Sources(scene.dsn(), world.data / "files")
    sources.make()
    world.start_controlplane()
    warehouse = {key: scene.postgres[key] for key in ("host", "port", "database", "user")}
    secret = "env:HAULIER_DEMO_PG_PASSWORD"
    scene.apply(
        datastore("warehouse", engine="postgresql", passwordRef=secret, **warehouse),
        datastore("csv-files", engine="csv", root=str(world.data / "files")),
        datastore("parquet-files", engine="parquet", root=str(world.data / "files")),
        datastore("lake", engine="parquet", root=str(world.data / "lake")),
        datastore("staging", engine="parquet", root=str(world.data / "staging")),
        *manifests(str(world.data / "lake")),
    )
    for name in AGENTS:
        scene.add_agent(name, slots=SLOTS)
    scene.await_agents()
    return sources


def _first_run(scene: Scene, names: list[str], bad: list[str], wrong: list[str]) -> dict[str, Any]:
    started = time.monotonic()
    scene.start(*names)
    ends = scene.await_end(names, ENDED_S_MAX)
    whole_s = time.monotonic() - started
    at = sorted(event["at"] for event in scene.events.all() if event["type"] == "MigrationSucceeded")
    begun = min(event["at"] for event in scene.events.all() if event["type"] == "MigrationStarted")
    first = (at[0] - begun) / whole_s
    if first > 0.1:
        wrong.append(f"the first migration was verified after {first:.0%} of the time")
    counted = Counter(ends.values())
    failed = sorted(name for name, end in ends.items() if end == "MigrationFailed")
    if failed != bad or counted["MigrationSucceeded"] != len(names) - len(bad):
        wrong.append(f"not exactly the bad ones failed: {dict(counted)}, {failed}")
    print(f"first run: {dict(counted)} in {whole_s:.0f} s, the first verified after {first:.1%} of it")
    return {"first_run_s": round(whole_s, 1), "first_verified_share": round(first, 4)}


def _mend_and_retry(scene: Scene, sources: Sources, bad: list[str], wrong: list[str]) -> None:
    """What a person does: look what failed and why, have it mended, try again, look. Four commands at most."""
    print(scene.world.haulier("migration", "list", "--state", "failed", "--by", "reason"))
    sources.mend()
    ended = _long(scene, "migration", "retry", "--state", "failed", "--yes", "--wait")
    if ended.code != 0:
        wrong.append(f"the retry ended with {ended.code}: {ended.err.strip()[-400:]}")
    left = scene.world.haulier_json("migration", "list", "--state", "failed", "-o", "json")["migrations"]
    if left:
        wrong.append(f"still failed after they were mended: {[each['name'] for each in left]}")
    print(f"{len(bad)} were bad, mended, and retried with one command")


def _second_run(scene: Scene, names: list[str], wrong: list[str]) -> float:
    started = time.monotonic()
    ended = scene.haulier("migration", "start", *names)
    if ended.code != 0:
        wrong.append(f"the second start ended with {ended.code}: {ended.err.strip()[-400:]}")
    ended = _long(scene, "migration", "watch", *names)
    if ended.code != 0:
        wrong.append(f"the second run ended with {ended.code}: {ended.err.strip()[-400:]}")
    whole_s = time.monotonic() - started
    print(f"second run of the same names: {whole_s:.0f} s")
    return round(whole_s, 1)


def _long(scene: Scene, *arguments: str) -> Said:
    return scene.run([*program("controlplane.cli.main"), *arguments], bound_s=ENDED_S_MAX)


def _clean_up(scene: Scene, wrong: list[str]) -> dict[str, Any]:
    ended = _long(scene, "migration", "clean-up", "--all", "--wait")
    if ended.code != 0:
        wrong.append(f"the clean-up ended with {ended.code}: {ended.err.strip()[-400:]}")
    world = scene.world
    staged = list((world.data / "staging").rglob("*.parquet"))
    lake = [path for path in (world.data / "lake").rglob("*") if path.is_file()]
    kept = [path for path in lake if path.name.startswith("kept-")]
    records = [path.stat().st_size for path in lake if path.suffix == ".json"]
    tables = tables_of_ours(scene.dsn())
    if staged or kept or tables["haulier_kept"] or tables["haulier_staging"]:
        wrong.append(f"left behind: {len(staged)} staged parts, {len(kept)} kept files, {dict(tables)}")
    print(
        f"left: {dict(tables)}, {len(records)} records of {sum(records)} bytes beside {len(lake) - len(records)} files"
    )
    return {"staged_parts_left": len(staged), "kept_files_left": len(kept), "tables_left": dict(tables)}


if __name__ == "__main__":
    leave(main)
