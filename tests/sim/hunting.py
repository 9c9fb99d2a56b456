"""Looks for every planted bug: each in a process of its own, seed after seed, until a promise is seen broken."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.kit import reports
from tests.sim.mutants import (
    in_agent,
    in_audit,
    in_clean_ups,
    in_identities,
    in_migrations,
    in_rollouts,
    in_service,
    in_store_and_loops,
    in_undo,
)
from tests.sim.planting import NotPlanted, Planted, plant

# One bug may take this long before it counts as not found.
HUNT_S_MAX = 400.0
_PACKAGES = (
    in_audit,
    in_rollouts,
    in_service,
    in_migrations,
    in_store_and_loops,
    in_identities,
    in_agent,
    in_undo,
    in_clean_ups,
)
ALL: tuple[Planted, ...] = tuple(planted for room in _PACKAGES for planted in room.PLANTED)


def named(name: str) -> Planted:
    """The planted bug of this name. Raises ``NotPlanted``."""
    for planted in ALL:
        if planted.name == name:
            return planted
    raise NotPlanted(f"there is no planted bug {name!r}; there are: {', '.join(each.name for each in ALL)}")


def hunt_here(name: str, seeds: int) -> dict[str, Any]:
    """Plant a bug in this process and play seeds until a promise is broken."""
    plant(named(name))
    from tests.sim.history import play

    began_at = time.monotonic()
    for seed in range(seeds):
        verdict = play(seed)
        if verdict.violation is not None:
            promise, subject, message = verdict.violation
            return {"seed": seed, "promise": promise, "subject": subject, "message": message}
        if time.monotonic() - began_at > HUNT_S_MAX:
            break
    return {}


def hunt_all(seeds: int, processes: int) -> Iterator[tuple[Planted, dict[str, Any], float]]:
    """Hunt every planted bug, some at a time; yields what came of each, in order."""

    def hunt(planted: Planted) -> tuple[Planted, dict[str, Any], float]:
        began_at = time.monotonic()
        command = [sys.executable, "-m", "tests.sim", "--hunt", planted.name, "--seeds", str(seeds)]
        told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3 * HUNT_S_MAX)
        try:
            found = json.loads(told.stdout.strip().splitlines()[-1])
        except (ValueError, IndexError):
            found = {"error": (told.stderr or told.stdout).strip()[-300:]}
        return planted, found, time.monotonic() - began_at

    with ThreadPoolExecutor(processes) as pool:
        yield from pool.map(hunt, ALL)


def run(seeds: int, processes: int) -> int:
    """Hunt all, print a table, write the report; return the exit code."""
    outcomes = {}
    for planted, found, wall_s in hunt_all(seeds, processes):
        good = found.get("promise") in planted.breaks
        outcomes[planted.name] = {**found, "found": good, "wall_s": round(wall_s, 1)}
        told = f"{found['promise']:7} seed {found['seed']:<5} {found['message']}" if "promise" in found else str(found)
        print(f"  {'found' if good else 'MISSED':7} {planted.name:36} {wall_s:5.0f} s  {told[:120]}", flush=True)
    report = reports.read("sim") or {}
    hit = sum(outcome["found"] for outcome in outcomes.values())
    report["mutants"] = {"found": hit, "planted": len(ALL), "seeds": seeds, "each": outcomes}
    print(f"{hit} of {len(ALL)} planted bugs found · report: {reports.write('sim', report)}")
    return 0 if hit == len(ALL) else 1


# The unit tests of the rooms in which bugs are planted.
UNITS = (
    *(f"tests/unit/controlplane/{room}" for room in ("core", "loops", "rpc", "service")),
    *(f"tests/unit/agentd/{room}" for room in ("core", "journal", "link")),
)
_UNDER_UNITS = """
import sys
from tests.sim import hunting, planting
planting.plant(hunting.named({name!r}))
import pytest
sys.exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *hunting.UNITS]))
"""


def against_units() -> int:
    """See that the unit tests let every planted bug pass, or it would be no test of the simulator."""
    caught = 0
    for planted in ALL:
        command = [sys.executable, "-c", _UNDER_UNITS.format(name=planted.name)]
        told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        assert told.returncode in (0, 1), f"the unit tests did not run: {told.stdout[-300:]}{told.stderr[-300:]}"
        failed = [line for line in told.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        caught += told.returncode != 0
        print(
            f"  {'passes' if told.returncode == 0 else 'CAUGHT':7} {planted.name:36} {' '.join(failed[:1])[:120]}",
            flush=True,
        )
    print(f"{len(ALL) - caught} of {len(ALL)} planted bugs pass the unit tests")
    return 1 if caught else 0
