"""Rollouts, and the hosts in them, as rows."""

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from controlplane.core.rollouts.model import (
    Artefact,
    HostState,
    Rollout,
    RolloutHost,
    RolloutPolicy,
    RolloutState,
    StepCounts,
)
from controlplane.core.rollouts.windows import Window

ROLLOUT_COLUMNS = tuple(each.name for each in fields(Rollout))
_COUNTS = ("past", "after")
ROLLOUT_HOST_COLUMNS = (
    *(name for name in RolloutHost._fields if name not in _COUNTS),
    *(f"{which}_{name}" for which in _COUNTS for name in StepCounts._fields),
)

_HOST_STATE = {state.value: state for state in HostState}


def rollout_of(row: Sequence[Any]) -> Rollout:
    """Build a rollout from ``ROLLOUT_COLUMNS``."""
    columns = dict(zip(ROLLOUT_COLUMNS, row, strict=True))
    return Rollout(
        **{
            **columns,
            "artefacts": tuple(Artefact(*each) for each in json.loads(columns["artefacts"])),
            "policy": policy_of(columns["policy"]),
            "state": RolloutState(columns["state"]),
        }
    )


def rollout_row(rollout: Rollout) -> tuple[Any, ...]:
    """Lay a new rollout out as its row."""
    stored = {"artefacts": json.dumps(rollout.artefacts), "policy": json.dumps(asdict(rollout.policy))}
    return tuple(stored.get(name, getattr(rollout, name)) for name in ROLLOUT_COLUMNS)


def rollout_move_row(rollout: Rollout) -> tuple[Any, ...]:
    """Lay out the guarded write of a decision; its guard is the revision that the decision was made on."""
    return (
        rollout.state,
        rollout.wave,
        rollout.healthy_s,
        rollout.wave_healthy_s,
        rollout.soak_healthy_s,
        rollout.forgiven,
        rollout.halt_code,
        rollout.halt_cause,
        rollout.halted_wave,
        rollout.ended_at,
        rollout.reason,
        rollout.id,
        rollout.revision,
    )


def policy_of(text: str) -> RolloutPolicy:
    """Read a policy back."""
    policy = json.loads(text)
    windows = tuple(Window(tuple(days), begins, ends) for days, begins, ends in policy.pop("windows"))
    return RolloutPolicy(**{**policy, "waves": tuple(policy["waves"]), "windows": windows})


def rollout_host_of(row: Sequence[Any]) -> RolloutHost:
    """Build a host's part from ``ROLLOUT_HOST_COLUMNS``."""
    columns = dict(zip(ROLLOUT_HOST_COLUMNS, row, strict=True))
    past, after = (StepCounts(*(columns.pop(f"{which}_{name}") for name in StepCounts._fields)) for which in _COUNTS)
    columns["groups"] = tuple(json.loads(columns["groups"]))
    columns["state"] = _HOST_STATE[columns["state"]]
    return RolloutHost(**columns, past=past, after=after)


def rollout_host_row(rollout_id: str, host: RolloutHost) -> tuple[Any, ...]:
    """Lay a host's part in a new rollout out as its row: the rollout, then ``ROLLOUT_HOST_COLUMNS``."""
    return (
        rollout_id,
        host.agent_id,
        host.wave,
        json.dumps(host.groups),
        *_movable(host),
        *host.past,
        *host.after,
    )


def rollout_host_move_row(rollout_id: str, before: HostState, host: RolloutHost) -> tuple[Any, ...]:
    """Lay out the guarded write of a host's new part."""
    return (host.wave, *_movable(host), rollout_id, host.agent_id, before)


def _movable(host: RolloutHost) -> tuple[Any, ...]:
    return (
        host.state,
        host.asked_at,
        host.since_healthy_s,
        host.away_healthy_s,
        host.from_version,
        host.from_digest,
        host.incarnation,
        host.cause_code,
        host.cause,
    )
