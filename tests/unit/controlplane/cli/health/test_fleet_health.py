"""The gate for other systems: each figure beside its limit."""

from typing import Any

import pytest
from haulier.v1 import fleet_pb2 as fl
from haulier.v1 import operator_pb2 as op

from controlplane.cli.health import fleet_health as health

WELL = op.GetStatusResponse(agents={"alive": 9, "lost": 1}, migrations={"succeeded": 5}, recent_successes=100)


def changed(**fields: Any) -> op.GetStatusResponse:
    found = op.GetStatusResponse()
    found.CopyFrom(WELL)
    found.MergeFrom(op.GetStatusResponse(**fields))
    return found


@pytest.mark.parametrize(
    ("status", "name", "ok"),
    [
        (WELL, "agents", True),
        (changed(agents={"suspect": 1}), "agents", False),
        (op.GetStatusResponse(), "agents", True),
        (changed(migrations={"stuck": 1}), "stuck", False),
        (changed(recent_failures=25), "attempts", True),
        (changed(recent_failures=26), "attempts", False),
        (op.GetStatusResponse(recent_failures=19), "attempts", True),
        (changed(audit_troubles=["cut"]), "audit log", False),
        (changed(loops=[op.LoopView(name="lease_reaper", last_error="full")]), "control plane", False),
    ],
)
def test_each_figure_has_its_limit(status: op.GetStatusResponse, name: str, ok: bool) -> None:
    checks = health.checks_of(status, fl.ListRolloutsResponse(), health.HealthLimits())
    assert {check.name: check.ok for check in checks}[name] is ok


def test_a_halted_rollout_is_named() -> None:
    answer = fl.ListRolloutsResponse(rollouts=[fl.RolloutView(rollout_id="roll_1", state="halted")])
    (found,) = [check for check in health.checks_of(WELL, answer, health.HealthLimits()) if not check.ok]
    assert found.name == "rollouts" and "roll_1" in found.message


@pytest.mark.parametrize(("most", "ok"), [(None, True), (3, True), (2, False), (0, False)])
def test_failed_migrations_are_shown_and_count_only_when_asked(most: int | None, ok: bool) -> None:
    limits = health.HealthLimits(failed_max=most)
    checks = health.checks_of(changed(migrations={"failed": 3}), fl.ListRolloutsResponse(), limits)
    (found,) = [check for check in checks if check.name == "failed"]
    assert (found.ok, found.found, found.limit) == (ok, 3, most)
    assert "3 migrations have failed" in found.message
