"""Row ↔ model for rollouts and hosts, shared by the stores. Column order is that of the named queries."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from controlplane.core.rollouts.model import (
    Artefact,
    Facts,
    HostState,
    Rollout,
    RolloutHost,
    RolloutPolicy,
    RolloutState,
    Running,
    Tally,
)
from controlplane.core.rollouts.windows import Window

_HOST_STATE = {state.value: state for state in HostState}


def rollout_of(row: Sequence[Any]) -> Rollout:
    """Build a rollout from its row."""
    (rollout_id, fleet, version, artefacts, policy, state), rest = row[:6], row[6:]
    return Rollout(
        rollout_id,
        fleet,
        version,
        tuple(Artefact(*each) for each in json.loads(artefacts)),
        policy_of(policy),
        RolloutState(state),
        *rest,
    )


def rollout_row(rollout: Rollout) -> tuple[Any, ...]:
    """Lay a new rollout out as its row."""
    return (
        rollout.id,
        rollout.fleet,
        rollout.version,
        json.dumps(rollout.artefacts),
        json.dumps(asdict(rollout.policy)),
        rollout.state,
        rollout.revision,
        rollout.wave,
        rollout.calm_s,
        rollout.wave_calm_s,
        rollout.soak_calm_s,
        rollout.forgiven,
        rollout.halt_code,
        rollout.halt_cause,
        rollout.halted_wave,
        rollout.created_at,
        rollout.ended_at,
        rollout.created_by,
        rollout.reason,
    )


def rollout_move_row(rollout: Rollout) -> tuple[Any, ...]:
    """Lay out the guarded write of a decision; its guard is the revision that the decision was made on."""
    return (
        rollout.state,
        rollout.wave,
        rollout.calm_s,
        rollout.wave_calm_s,
        rollout.soak_calm_s,
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
    said = json.loads(text)
    windows = tuple(Window(tuple(days), begins, ends) for days, begins, ends in said.pop("windows"))
    return RolloutPolicy(**{**said, "waves": tuple(said["waves"]), "windows": windows})


def rollout_host_of(row: Sequence[Any]) -> RolloutHost:
    """Build a host's part from its row."""
    known = (row[0], row[1], tuple(json.loads(row[2])), _HOST_STATE[row[3]], *row[4:12])
    return RolloutHost._make((*known, Tally(*row[12:17]), Tally(*row[17:22])))


def rollout_host_row(rollout_id: str, host: RolloutHost) -> tuple[Any, ...]:
    """Lay a host's part in a new rollout out as its row."""
    return (
        rollout_id,
        host.agent_id,
        host.wave,
        json.dumps(host.groups),
        host.state,
        *host[4:12],
        *host.past,
        *host.after,
    )


def rollout_host_move_row(rollout_id: str, before: HostState, host: RolloutHost) -> tuple[Any, ...]:
    """Lay out the guarded write of a host's new part."""
    return (host.wave, host.state, *host[4:12], rollout_id, host.agent_id, before)


def running_text(running: Running) -> str:
    """Write what a host says of its release."""
    return json.dumps(running)


def running_of(text: str) -> Running:
    """Read what a host said of its release; fields that a later version added are left out."""
    said = json.loads(text)[: len(Running._fields)]
    running = Running(*said)
    return running._replace(failed_digests=tuple(running.failed_digests))


def facts_text(facts: Facts) -> str:
    """Write what a host is."""
    return json.dumps(facts)


def facts_of(text: str) -> Facts:
    """Read what a host is."""
    return Facts(*json.loads(text)[: len(Facts._fields)])
