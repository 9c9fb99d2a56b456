"""`haulier fleet health`: one yes or no for other systems, with the figures behind it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from controlplane.cli.asking.options import OutputOption, ProfileOption
from controlplane.cli.screen.exits import Exit
from controlplane.cli.screen.terminal import OutputFormat, show_json, write
from controlplane.cli.screen.wording import clean

if TYPE_CHECKING:
    from haulier.v1 import fleet_pb2 as fl
    from haulier.v1 import operator_pb2 as op

ALIVE_MIN, STUCK_MAX, ERROR_RATE_MAX, ENDS_MIN = 0.9, 0, 0.2, 20


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison: what was found beside its limit."""

    name: str
    ok: bool
    found: float
    limit: float | None  # none: it is shown, and counts for nothing
    message: str


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """See the options of the command."""

    alive_min: float = ALIVE_MIN
    stuck_max: int = STUCK_MAX
    error_rate_max: float = ERROR_RATE_MAX
    ends_min: int = ENDS_MIN
    failed_max: int | None = None


def health(
    alive_min: Annotated[
        float, typer.Option("--alive-min", min=0, max=1, help="Least share of agents that are alive.")
    ] = ALIVE_MIN,
    stuck_max: Annotated[int, typer.Option("--stuck-max", min=0, help="Most migrations that are stuck.")] = STUCK_MAX,
    error_rate_max: Annotated[
        float,
        typer.Option("--error-rate-max", min=0, max=1, help="Most attempts that failed, as a share."),
    ] = ERROR_RATE_MAX,
    ends_min: Annotated[
        int, typer.Option("--ends-min", min=1, help="Ignore the share while fewer attempts than this have ended.")
    ] = ENDS_MIN,
    failed_max: Annotated[
        int | None,
        typer.Option(
            "--failed-max",
            metavar="N",
            min=0,
            help="Most migrations that have failed. Unset: they are shown and do not count.",
            show_default=False,
        ),
    ] = None,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Check whether the agents are healthy, as a gate for other systems: exit 0 if they are, 1 if not."""
    from haulier.v1 import fleet_pb2 as fl
    from haulier.v1 import operator_pb2 as op

    from controlplane.cli.asking.connection import connect

    with connect(profile) as operator:
        status = operator.call(op.GetStatusRequest(), op.GetStatusResponse)
        rollouts = operator.call(fl.ListRolloutsRequest(), fl.ListRolloutsResponse)
    checks = checks_of(status, rollouts, HealthLimits(alive_min, stuck_max, error_rate_max, ends_min, failed_max))
    healthy = all(check.ok for check in checks)
    if output is OutputFormat.json:
        show_json({"healthy": healthy, "checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            write(f"{'ok ' if check.ok else 'BAD'} {check.name}: {clean(check.message)}\n")
    raise typer.Exit(Exit.OK if healthy else Exit.BAD_ANSWER)


def checks_of(status: op.GetStatusResponse, rollouts: fl.ListRolloutsResponse, limits: HealthLimits) -> list[Check]:
    """Every comparison, in the order in which it is shown."""
    return [
        _alive(status, limits.alive_min),
        _stuck(status, limits.stuck_max),
        _failed(status, limits.failed_max),
        _errors(status, limits.error_rate_max, limits.ends_min),
        _rollouts(rollouts),
        _log(status),
        _loops(status),
    ]


def _alive(status: op.GetStatusResponse, least: float) -> Check:
    total = sum(status.agents.values())
    share = status.agents.get("alive", 0) / total if total else 1.0
    message = f"{status.agents.get('alive', 0)} of {total} agents are alive, at least {least:.0%} should be"
    return Check("agents", share >= least, share, least, message)


def _stuck(status: op.GetStatusResponse, most: int) -> Check:
    found = status.migrations.get("stuck", 0)
    return Check("stuck", found <= most, found, most, f"{found} migrations are stuck, at most {most} may be")


def _failed(status: op.GetStatusResponse, most: int | None) -> Check:
    found = status.migrations.get("failed", 0)
    message = f"{found} migrations have failed"
    if most is None:
        return Check("failed", True, found, None, f"{message}; they count with --failed-max only")
    return Check("failed", found <= most, found, most, f"{message}, at most {most} may")


def _errors(status: op.GetStatusResponse, most: float, enough: int) -> Check:
    bad, total = status.recent_failures, status.recent_failures + status.recent_successes
    rate = bad / total if total else 0.0
    message = f"{bad} of {total} attempts of the last ten minutes failed, at most {most:.0%} may"
    if total < enough:
        return Check("attempts", True, rate, most, f"{message}; too few to judge")
    return Check("attempts", rate <= most, rate, most, message)


def _rollouts(answer: fl.ListRolloutsResponse) -> Check:
    halted = [each.rollout_id for each in answer.rollouts if each.state == "halted"]
    message = f"halted are {', '.join(halted)}" if halted else "none is halted"
    return Check("rollouts", not halted, len(halted), 0, message)


def _log(status: op.GetStatusResponse) -> Check:
    troubles = status.audit_troubles
    message = "; ".join(troubles) if troubles else "intact, as far as it was checked"
    return Check("audit log", not troubles, len(troubles), 0, message)


def _loops(status: op.GetStatusResponse) -> Check:
    failing = [loop.name for loop in status.loops if loop.last_error]
    message = f"failing are {', '.join(failing)}" if failing else "every loop's last pass was good"
    return Check("control plane", not failing, len(failing), 0, message)
