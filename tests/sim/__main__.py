"""`python -m tests.sim`: search histories, replay one, or look for planted bugs.

Exit codes: 0 nothing broken, every mark hit, every planted bug found · 1 otherwise.
"""

import argparse
import json
import logging
import os
import subprocess
import sys

from tests.kit import reports
from tests.kit.verbs import leave
from tests.sim import hunting, planting

# With fewer histories, a rare mark may rightly not have come up.
MARKS_FROM = 2000


def main() -> int:
    """Run what the arguments ask for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description="Simulated histories of a whole fleet.")
    parser.add_argument("--histories", type=int, metavar="N", help="play N histories")
    parser.add_argument(
        "--seed", type=int, metavar="S", help="the first seed; alone, replay that history with its story"
    )
    parser.add_argument("--about", metavar="SUBJECT", default="", help="whose story to tell, with --seed")
    parser.add_argument("--mutants", action="store_true", help="plant bugs and see that each is found")
    parser.add_argument("--seeds", type=int, metavar="S", default=2000, help="seeds for each planted bug")
    parser.add_argument("--planted", metavar="NAME", default="", help="plant this bug first, to replay with it")
    parser.add_argument("--hunt", metavar="NAME", default="", help="look for this planted bug alone")
    parser.add_argument("--against-units", action="store_true", help="see that unit tests let the planted bugs pass")
    given = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of a set of strings depends on it, and a history must not.
        os.execve(
            sys.executable, [sys.executable, "-m", "tests.sim", *sys.argv[1:]], {**os.environ, "PYTHONHASHSEED": "0"}
        )
    logging.disable(logging.CRITICAL)
    if given.against_units:
        return hunting.against_units()
    if given.mutants:
        return hunting.run(given.seeds, len(os.sched_getaffinity(0)))
    if given.hunt:
        print(json.dumps(hunting.hunt_here(given.hunt, given.seeds)))
        return 0
    if given.planted:
        planting.plant(hunting.named(given.planted))
    if given.histories is None:
        return _replay(given.seed or 0, given.about)
    return _search(given.seed or 0, given.histories)


def _search(first: int, histories: int) -> int:
    from tests.sim import searching

    found = searching.Found()
    told = 0
    for found in searching.search(first, histories):
        if sys.stderr.isatty() or found.histories - told >= 2000:
            told = found.histories
            print(f"  {found.histories} of {histories} histories, {found.wall_s:.0f} s", file=sys.stderr, flush=True)
    report = searching.report_of(found)
    _print_table(report)
    for broken in report["violated"][:5]:
        print(f"\n{broken['promise']} broken by seed {broken['seed']}: {broken['subject']}: {broken['message']}")
        print(f"  commit {_commit()} · replay: python -m tests.sim --seed {broken['seed']}")
    if report["violated"]:
        _replay(report["violated"][0]["seed"], "")
    if found.histories < MARKS_FROM:
        # Too few to expect every mark.
        report["sometimes_missed"] = []
    for name in report["sometimes_missed"]:
        print(f"never came up: {name}")
    print(f"report: {reports.write('sim', report)}")
    return 1 if report["violations"] or report["sometimes_missed"] else 0


def _print_table(report: dict[str, object]) -> None:
    rows = (
        ("histories", f"{report['histories']:,}"),
        ("events", f"{report['events']:,}"),
        ("events of the median history", f"{report['events_median']:,}"),
        ("seconds", f"{report['wall_s']}"),
        ("broken promises", f"{report['violations']}"),
    )
    for name, value in rows:
        print(f"  {name:30} {value:>14}")
    for name, count in report["sometimes"].items():  # type: ignore[attr-defined]
        print(f"  {name:62} {count:>8,}")


def _replay(seed: int, about: str) -> int:
    from tests.sim.history import play
    from tests.sim.story import story

    verdict = play(seed)
    subject = about or (verdict.violation[1] if verdict.violation else "")
    for line in story(verdict.world, subject):
        print(line)
    print(f"seed {seed} · commit {_commit()} · {verdict.events} events")
    if verdict.violation is None:
        print("no promise is broken")
        return 0
    promise, who, message = verdict.violation
    print(f"broken: {promise} · {who} · {message}")
    if verdict.world.cause is not None:
        print(f"cause: {verdict.world.cause!r}")
    return 1


def _commit() -> str:
    try:
        told = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return told.stdout.strip()


if __name__ == "__main__":
    leave(main)
