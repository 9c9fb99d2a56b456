"""`python -m tests.chaos --cycles N [--seed S]`: kills real processes during real migrations and counts the damage.

First everything is moved once undisturbed; then round after round is moved again, to new places, while processes are
killed in the middle of steps, until N kills have hit. Every figure is read back from the control plane's store and the
destinations' proofs. Exit codes: 0 nothing was lost, doubled or unverified · 1 something was · 3 no world.
"""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.chaos.rounds import Round, baseline, start_round
from tests.demo import setting
from tests.demo.dataset import NoData
from tests.kit import reports
from tests.kit.killer import Killer
from tests.kit.processes import NotInTime
from tests.kit.verbs import leave
from tests.kit.world import CommandFailed, World

ROOT = Path(".demo")
PAUSE_S = 2.5
ROUND_BOUND_S = 900.0
OPEN_MAX = 4


def main() -> int:
    """Run the cycles; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Kill cycles over real migrations.")
    parser.add_argument("--cycles", type=int, default=200, help="kills in the middle of a step (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="chooses the victims (%(default)s)")
    given = parser.parse_args()
    world = setting.world(ROOT / "cycles")
    try:
        world.wipe()
        try:
            return _cycle(world, given.cycles, given.seed)
        finally:
            world.stop()
    except (NoData, CommandFailed, NotInTime, OSError) as error:
        print(f"chaos: {error}", file=sys.stderr)
        return 3


def _cycle(world: World, cycles: int, seed: int) -> int:
    began = time.monotonic()
    setting.rise(world, ROOT / "cache")
    expected = baseline(world)
    print(f"undisturbed: {len(expected)} migrations verified in {time.monotonic() - began:.0f} s", flush=True)
    killer = Killer(world, seed, pause_s=PAUSE_S, strikes_max=cycles)
    rounds: list[Round] = []
    killer.start()
    while killer.kills.total() < cycles and killer.error is None:
        current = start_round(world, len(rounds) + 1)
        rounds.append(current)
        # The next round begins before the longest migrations of this one end: otherwise every kill would hit these.
        current.wait(world, ROUND_BOUND_S, OPEN_MAX)
        print(
            f"round {len(rounds)}: {killer.kills.total()} of {cycles} kills, {time.monotonic() - began:.0f} s",
            flush=True,
        )
    killer.stop()
    for one in rounds:
        one.wait(world, ROUND_BOUND_S)
    return _conclude(world, expected, rounds, killer, time.monotonic() - began)


def _conclude(
    world: World, expected: dict[str, dict[str, Any]], rounds: list[Round], killer: Killer, wall_s: float
) -> int:
    lost = doubled = unverified = differing = 0
    for one in rounds:
        for name, found in one.outcomes(world).items():
            wanted = expected[name]
            if found["state"] != "succeeded" or not found.get("verified_digest"):
                unverified += 1
                print(f"NOT VERIFIED: {found['name']} is {found['state']}: {found.get('reason', '')}")
                continue
            rows, wanted_rows = int(found.get("verified_rows", 0)), int(wanted.get("verified_rows", 0))
            lost += max(0, wanted_rows - rows)
            doubled += max(0, rows - wanted_rows)
            differing += found["verified_digest"] != wanted["verified_digest"]
    run_again = _run_again(world, rounds, killer)
    world.require_quiet()
    report = {
        "cycles": killer.kills.total(),
        "kills": dict(killer.kills),
        "lost": lost,
        "doubled": doubled,
        "unverified": unverified,
        "differing": differing,
        "run_again_after_adoption": len(run_again),
        "migrations": sum(len(one.names) for one in rounds),
        "wall_s": round(wall_s, 1),
    }
    path = reports.write("chaos", report)
    kills: Counter[str] = killer.kills
    print(
        f"\n{kills.total()} kills in the middle of a step: " + ", ".join(f"{k} {n}" for k, n in sorted(kills.items()))
    )
    print(f"{report['migrations']} migrations under fire in {wall_s:.0f} s")
    print(
        f"rows lost {lost}, rows doubled {doubled}, migrations unverified {unverified}, digests differing {differing}"
    )
    print(
        f"attempts adopted after their daemon died: {len(killer.adopted)}, run again although adopted: {len(run_again)}"
    )
    print(f"report: {path}")
    return 1 if lost or doubled or unverified or differing or run_again else 0


def _run_again(world: World, rounds: list[Round], killer: Killer) -> list[str]:
    """Return attempts whose daemon alone was killed and that did not go on to their own end."""
    states: dict[str, str] = {}
    for one in rounds:
        for step in one.steps(world):
            states |= {attempt["attempt_id"]: attempt["state"] for attempt in step.get("attempts", [])}
    spared = set(killer.adopted) - killer.killed_attempts
    again = sorted(attempt for attempt in spared if states.get(attempt) not in ("succeeded", None))
    for attempt in again:
        print(f"RUN AGAIN: {attempt} was to be adopted and ended as {states[attempt]}")
    return again


if __name__ == "__main__":
    leave(main)
