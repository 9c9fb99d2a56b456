"""`python -m tests.demo [--chaos] | up | down`: see the Makefile's verbs demo, up and down.

Exit codes: 0 everything is verified · 1 it is not · 3 the world could not be set up.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.demo import setting
from tests.demo.dataset import NoData
from tests.demo.table import render
from tests.kit import reports
from tests.kit.killer import Killer
from tests.kit.processes import NotInTime, program
from tests.kit.verbs import leave
from tests.kit.world import CommandFailed, World

ROOT = Path(".demo")
CACHE = ROOT / "cache"


def main() -> int:
    """Run one verb; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description="The demo on real data.")
    parser.add_argument("verb", nargs="?", default="run", choices=("run", "up", "down"))
    parser.add_argument("--chaos", action="store_true", help="from an empty state, killing processes mid-step")
    given = parser.parse_args()
    world = setting.world(ROOT / ("chaos" if given.chaos else "world"))
    world.forget_logs()
    try:
        if given.verb == "down":
            world.stop()
            print("stopped; the state stays in .demo: `make up` goes on with it, and removing .demo begins anew")
            return 0
        if given.chaos:
            world.wipe()
        print("setting up: control plane, three agents, PostgreSQL, data, manifests …", flush=True)
        if given.verb == "up":
            setting.rise(world, CACHE)
            print(_by_hand(world))
            return 0
        return _demo(world, chaos=given.chaos)
    except (NoData, CommandFailed, NotInTime, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 3


def _demo(world: World, *, chaos: bool) -> int:
    was_up = world.pid("controlplane") is not None
    began = time.monotonic()
    try:
        setting.rise(world, CACHE)
        before = _verified(world)
        killer = Killer(world, seed=2013, kinds=("controlplane", "agent", "child"), pause_s=3.0) if chaos else None
        if killer is not None:
            killer.start()
        for number, names in enumerate(setting.waves(), 1):
            wanted = [name for name in names if name not in before]
            if wanted:
                print(f"\nwave {number}: {len(wanted)} migrations", flush=True)
                _move(world, wanted)
        if killer is not None:
            killer.stop()
        migrations = world.haulier_json("migration", "list")["migrations"]
    finally:
        if not was_up:
            world.stop()
    world.require_quiet()
    moved = [m["name"] for m in migrations if m["state"] == "succeeded" and m["name"] not in before]
    kills = dict(killer.kills) if killer is not None else {}
    return _conclude(world, migrations, moved, kills, time.monotonic() - began)


def _move(world: World, names: list[str]) -> None:
    """Start migrations and follow them; what the terminal shows is the product's own command."""
    sys.stdout.flush()
    subprocess.run(
        [*program("controlplane.cli.main"), "migration", "start", *names, "--watch"],
        env={**os.environ, "HAULIER_PROFILE": str(world.profile)},
        stdin=subprocess.DEVNULL,
        check=False,
    )


def _verified(world: World) -> set[str]:
    return {m["name"] for m in world.haulier_json("migration", "list")["migrations"] if m["state"] == "succeeded"}


def _conclude(
    world: World, migrations: list[dict[str, Any]], moved: list[str], kills: dict[str, int], wall_s: float
) -> int:
    """Print the table, compare with the undisturbed run, write the report."""
    print("\n" + render(migrations))
    wanted = sum(len(names) for names in setting.waves())
    verified = [m for m in migrations if m["state"] == "succeeded" and m.get("verified_digest")]
    digests = {f"{m['dataset']}@{m['destination']}": m["verified_digest"] for m in verified}
    undisturbed = reports.read("demo-undisturbed")
    ok = len(verified) == wanted
    if kills:
        print("killed in the middle of a step: " + ", ".join(f"{kind} {n} times" for kind, n in sorted(kills.items())))
        if undisturbed is not None:
            same = undisturbed["digests"] == digests
            ok = ok and same
            print("digests equal those of the undisturbed run" if same else "DIGESTS DIFFER from the undisturbed run")
    elif not moved and ok:
        print("everything was moved and verified before; nothing was moved this time")
    report = {
        "migrations": wanted,
        "verified": len(verified),
        "moved": len(moved),
        "kills": kills,
        "digests": digests,
        "wall_s": round(wall_s, 1),
    }
    path = reports.write("demo", report)
    if not kills and ok:
        reports.write("demo-undisturbed", report)
    print(f"{len(verified)} of {wanted} migrations verified in {wall_s:.0f} s; report: {path}")
    print("to go on by hand: make up, then" + _commands(world))
    return 0 if ok else 1


def _by_hand(world: World) -> str:
    return f"up: control plane, agents {', '.join(world.names)}, PostgreSQL. Go on by hand:" + _commands(world)


def _commands(world: World) -> str:
    profile = os.path.relpath(world.profile)
    return (
        f"\n  export HAULIER_PROFILE={profile} PATH=.venv/bin:$PATH"
        "\n  haulier agent list"
        "\n  haulier migration start flights-to-warehouse --watch"
        "\n  haulier migration get flights-to-warehouse"
        "\n  haulier migration rollback flights-to-warehouse --reason 'to see it' --wait"
        "\n  make down"
    )


if __name__ == "__main__":
    # What `up` started goes on until `down`.
    leave(main, keeps="up" in sys.argv[1:])
