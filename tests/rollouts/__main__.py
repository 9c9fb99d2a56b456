"""``python -m tests.rollouts``: seeded bad releases on simulated and real agents, and a good one on a busy plane.

200 simulated agents speak the real protocol over mutual TLS; what they say of a release is what the real updater would
say of one that is bad in that manner. Then 5 real daemons, each in a release tree with the real updater beside it, are
given artefacts that really are bad. Writes build/reports/rollout.json, by what the control plane's log and store say.
"""

import argparse
import resource
import time
from typing import Any

from tests.bench.figures import load_average, say, table
from tests.bench.plane import temporary_home
from tests.kit import reports
from tests.kit.processes import NotInTime, until
from tests.kit.quiet import require_quiet
from tests.kit.verbs import leave
from tests.rollouts.copies import LITE
from tests.rollouts.overload import flooded, stopped_again_and_again
from tests.rollouts.real_hosts import RealHosts
from tests.rollouts.scene import FEW, OLD, Scene, scene

# Version → in which manner it is bad.
BAD = {
    "0.1.1": "crashes",
    "0.1.2": "hangs",
    "0.1.3": "leaks",
    "0.1.4": "slow",
    "0.1.5": "fails_some",
    "0.1.6": "half_written",
    "0.1.7": "disk_full",
    "0.0.9": "downgrade",
}
# The kind of datastore with which alone a release fails: that of simulated and that of real hosts.
FAILS_WITH = {False: "duck", True: "sqlite"}
# Manner → what the reason names that is shown.
REASONS = {
    "crashes": "crashed",
    "hangs": "hung",
    "leaks": "memory",
    "slow": "slow",
    "fails_some": "step_errors",
    "half_written": "artefact_differs",
    "disk_full": "disk_full",
    "downgrade": "downgrade",
}
# What holds a canary, for as long as nobody mends it.
HELD_BY = ("half_written", "disk_full")
# What real daemons and updaters are loud about here: a bad release goes back.
CAUSED = (r"ERROR haulier\.updater going back: ",)
CANCELLED, GOOD = "0.1.8", "0.1.9"
BACK_BOUND_S = 60.0
# How often an overloaded control plane does nothing at all, for how long, how long it goes on before each; hosts may
# be silent for less.
STOPS, STOPPED_S, GOING_S, SILENT_MAX = 6, 12.0, 4.0, "8s"
# A real daemon takes its time to start again on a machine that is busy.
SLOW_STOPS, SLOW_STOPPED_S, SLOW_GOING_S, SLOW_SILENT_MAX = 2, 45.0, 10.0, "30s"


def try_bad(on: Scene, real: RealHosts | None, version: str, manner: str) -> dict[str, Any]:
    """Roll out a bad release; return what became of it."""
    if real is not None:
        real.fill_disks(manner == "disk_full")
        if manner == "half_written":
            on.tear(version)
        on.desire(version, missing_after="2m", held_max="15s" if manner in HELD_BY else "90s", soak="20s")
    else:
        on.desire(version)
    ended = on.ended(version)
    if ended.state == "halted":
        on.cancel(ended.rollout_id)
    recovered = True
    try:
        on.await_all(OLD, BACK_BOUND_S)
        if real is not None:
            real.fill_disks(False)
            real.await_all(on.digests[OLD], BACK_BOUND_S)
    except NotInTime as error:
        say(str(error))
        recovered = False
    log = on.logged(ended.rollout_id)
    types = [type_ for type_, _ in log]
    before = types[: types.index("RolloutHalted")] if "RolloutHalted" in types else None
    return {
        "hosts": on.hosts,
        "real": real is not None,
        "release": version,
        "manner": manner,
        "state": ended.state,
        "halt_code": ended.halt_code,
        "cause": ended.halt_cause,
        "halted_in_wave": before.count("WavePassed") if before is not None else None,
        "canaries": sum(1 for part in on.parts(ended.rollout_id) if part.wave == 0),
        "hit": len({agent_id for type_, agent_id in log if type_ == "UpgradeAsked"}),
        "recovered": recovered,
        "faults": real.faults() if real is not None else [],
        "seconds": round(ended.elapsed_s, 1),
    }


def try_good(on: Scene, real: RealHosts | None) -> dict[str, Any]:
    """Roll out a good release while the control plane is flooded and, again and again, stopped for longer than hosts
    may be silent; beside thousands of hosts without either: a rollout does not go on while the control plane is in
    trouble, and theirs would have no end."""
    stops, stopped_s, going_s, silent_max = STOPS, STOPPED_S, GOING_S, SILENT_MAX
    if real is not None:
        stops, stopped_s, going_s, silent_max = SLOW_STOPS, SLOW_STOPPED_S, SLOW_GOING_S, SLOW_SILENT_MAX
    told: dict[str, Any] = {}
    if on.hosts > FEW:
        on.desire(GOOD, missing_after="2m", held_max="10m")
        ended = on.ended(GOOD)
    else:
        on.desire(GOOD, missing_after=silent_max, held_max="10m")
        with flooded(on.plane) as load, stopped_again_and_again(on.plane, stops, stopped_s, going_s) as last:
            last.wait(stops * (stopped_s + going_s) + BACK_BOUND_S)
            ended = on.ended(GOOD)
        # Of the time in which it was not stopped.
        told = {"control_plane_cores": round(load.cpu_s / (load.elapsed_s - stops * stopped_s), 2)}
    if real is not None and ended.state == "succeeded":
        real.await_all(on.digests[GOOD], BACK_BOUND_S)
    return {
        "hosts": on.hosts,
        "real": real is not None,
        "release": GOOD,
        "manner": "good, control plane overloaded" if told else "good",
        "state": ended.state,
        "cause": ended.halt_cause,
        "failed": [
            each.name for each in on.parts(ended.rollout_id) if each.state in ("failed", "returning", "returned")
        ],
        "hit": on.versions()[GOOD],
        "faults": real.faults() if real is not None else [],
        "seconds": round(ended.elapsed_s, 1),
        **told,
    }


def try_cancel(on: Scene) -> dict[str, Any]:
    """Cancel a good rollout on its way: nobody is asked after the call has returned."""
    on.desire(CANCELLED)
    until(lambda: bool(on.rollout(CANCELLED).rollout_id), BACK_BOUND_S, "the rollout to be made", on.plane.log)
    rollout_id = on.rollout(CANCELLED).rollout_id
    until(lambda: on.counts(rollout_id)["kept"] > on.hosts // 10, BACK_BOUND_S * 5, "a tenth to be kept", on.plane.log)
    began_at = time.monotonic()
    on.cancel(rollout_id)
    took_s = time.monotonic() - began_at
    at_once = on.counts(rollout_id)
    # Those that had switched already go on to their end.
    until(lambda: not on.counts(rollout_id)["probation"], BACK_BOUND_S, "the switched ones to end", on.plane.log)
    time.sleep(3 * on.heartbeat_s)
    ended = on.counts(rollout_id)
    return {
        "hosts": on.hosts,
        "real": False,
        "release": CANCELLED,
        "manner": "good, cancelled on its way",
        "state": on.rollout(CANCELLED).state,
        "cause": f"{at_once['all asked']} asked, {ended['kept']} kept, {ended['cancelled']} taken back",
        "asked_after": ended["all asked"] - at_once["all asked"],
        "hit": on.versions()[CANCELLED],
        "kept": ended["kept"],
        "waiting": ended["waiting"],
        "faults": [],
        "seconds": round(took_s, 3),
    }


def simulated(count: int, only: list[str]) -> list[dict[str, Any]]:
    """Every release on a crowd."""
    wanted = chosen(only, real=False)
    with temporary_home("rollouts") as home, scene(home, count, count) as on:
        on.publish({OLD: "", **wanted, CANCELLED: "", GOOD: ""})
        with on.crowd([f"agent-{number}" for number in range(count)], wanted):
            say(f"{count} simulated agents run {OLD}")
            results = []
            if wanted:
                # Steps for a past to compare with, and more of them while each is tried.
                on.work(20 * count)
                with on.working():
                    results = [told(try_bad(on, None, *each)) for each in wanted.items()]
            if not only or "cancel" in only:
                results.append(told(try_cancel(on)))
            if not only or "good" in only:
                results.append(told(try_good(on, None)))
    return results


def on_real_hosts(count: int, only: list[str]) -> list[dict[str, Any]]:
    """Every release on real hosts: real artefacts, real daemons, the real updater, and copies where they matter."""
    wanted = chosen(only, real=True)
    with temporary_home("rollouts") as home, scene(home, 0, count) as on:
        on.publish({OLD: "", **wanted, GOOD: ""})
        real = RealHosts(home, on.plane, on.forge, count)
        with real.running(on.built[OLD]):
            on.await_all(OLD, BACK_BOUND_S)
            say(f"{count} real agents run {OLD}")
            results = []
            for version, manner in wanted.items():
                if manner.startswith("fails_some"):
                    real.copies.make_past()
                    with real.copies.working():
                        result = try_bad(on, real, version, manner)
                    result["failed_with"] = dict(real.copies.failed())
                else:
                    result = try_bad(on, real, version, manner)
                results.append(told(result))
            if not only or "good" in only:
                results.append(told(try_good(on, real)))
        require_quiet([log for host in real.hosts for log in host.logs()], CAUSED)
    return results


def chosen(only: list[str], *, real: bool) -> dict[str, str]:
    """The manners that are wanted, all when none is named: version → manner, with the datastore where there is one."""
    found = {version: manner for version, manner in BAD.items() if not only or manner in only}
    return {version: f"{each}@{FAILS_WITH[real]}" if each == "fails_some" else each for version, each in found.items()}


def told(result: dict[str, Any]) -> dict[str, Any]:
    """Say how one went."""
    where = f" in wave {result['halted_in_wave']}, {result['halt_code']}" if "halt_code" in result else ""
    what = f"{result['manner']}: {result['state']}{where}"
    say(f"{what}; {result['hit']} of {result['hosts']} hosts, {result['seconds']} s; {result['cause'][:100]}")
    return result


def is_fine(result: dict[str, Any]) -> bool:
    """Whether one went as it should."""
    if "asked_after" in result:
        return bool(
            result["state"] == "cancelled"
            and result["asked_after"] == 0
            and result["hit"] == result["kept"]
            and result["waiting"] > 0
        )
    if "failed" in result:
        return bool(result["state"] == "succeeded" and not result["failed"] and result["hit"] == result["hosts"])
    most = result["canaries"] + result["hosts"] // 100
    reason = REASONS[result["manner"].partition("@")[0]]
    return bool(
        result["halted_in_wave"] == 0
        and result["hit"] <= most
        and result["recovered"]
        and reason in f"{result['halt_code']}: {result['cause']}"
        and set(result.get("failed_with", {LITE: 1})) == {LITE}
        and not result["faults"]
    )


def report(results: list[dict[str, Any]]) -> bool:
    """Print the table and write the report."""
    rows = [
        [
            ("real: " if each["real"] else "") + each["manner"],
            f"wave {each['halted_in_wave']}" if "halted_in_wave" in each else each["state"],
            f"{each['hit']} of {each['hosts']}",
            f"{each.get('halt_code', '')} {each['cause'][:70]}",
            "ok" if is_fine(each) else "MISSED",
        ]
        for each in results
    ]
    table("Rollouts", ["release", "halted in", "hosts", "cause", ""], rows)
    bad = [each for each in results if "halted_in_wave" in each]
    path = reports.write(
        "rollout",
        {
            "hosts": sum(max((e["hosts"] for e in results if e["real"] is real), default=0) for real in (False, True)),
            "halted_in_wave": max(
                (-1 if e["halted_in_wave"] is None else e["halted_in_wave"] for e in bad), default=None
            ),
            "hit": max((each["hit"] for each in bad), default=0),
            "recovered": all(each["recovered"] for each in bad),
            "scenarios": results,
        },
    )
    say(f"report: {path}; load average now {load_average()}")
    return all(map(is_fine, results))


def main() -> int:
    """Roll out and report. Exit codes: 0 every rollout ended as it must · 1 one did not."""
    parser = argparse.ArgumentParser(description="Seeded bad releases on simulated and on real agents.")
    parser.add_argument("--agents", type=int, default=200, help="simulated agents (200)")
    parser.add_argument("--real", type=int, default=5, help="real agents with the real updater (5)")
    parser.add_argument("--only", nargs="*", default=[], help="only these manners, and good, and cancel")
    options = parser.parse_args()
    # One descriptor per agent, here and in what is started from here.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2 * options.agents + 1024)), hard))
    found = simulated(options.agents, options.only) if options.agents else []
    found += on_real_hosts(options.real, options.only) if options.real else []
    return 0 if report(found) else 1


if __name__ == "__main__":
    leave(main)
