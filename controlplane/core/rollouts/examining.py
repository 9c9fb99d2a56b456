"""What must hold of every stored rollout, as pure checks over its rows and its part of the event log."""

from collections.abc import Sequence

from controlplane.core.events import Event
from controlplane.core.health.doctor import Contradiction
from controlplane.core.rollouts.model import MOVING, PATIENT, ROLLOUT_TRANSITIONS, Rollout, RolloutHost, RolloutState

_EVENTS = frozenset(event for _, event in ROLLOUT_TRANSITIONS)
# In which states of the rollout a host may be asked for what.
_ALLOWED = {
    "UpgradeAsked": frozenset({RolloutState.RUNNING, RolloutState.SUCCEEDED}),
    "ReturnAsked": frozenset({RolloutState.ROLLING_BACK, RolloutState.ROLLED_BACK}),
}


def examine_rollout(rollout: Rollout, hosts: Sequence[RolloutHost], events: Sequence[Event]) -> list[Contradiction]:
    """Check one rollout; an empty list means that every promise checked here holds."""
    found: list[Contradiction] = []
    state: RolloutState | None = None
    for event in events:
        if event.type in _EVENTS:
            if (state, event.type) not in ROLLOUT_TRANSITIONS:
                return [*found, Contradiction("C3", rollout.id, f"its log has {event.type} while it was {state}")]
            state = ROLLOUT_TRANSITIONS[state, event.type]
        elif event.type in _ALLOWED and state not in _ALLOWED[event.type]:
            found.append(Contradiction("U6", rollout.id, f"{event.agent_id} met {event.type} while it was {state}"))
    if state is not rollout.state:
        found.append(Contradiction("C3", rollout.id, f"it is {rollout.state}, and its log says {state}"))
    moving = sum(1 for host in hosts if host.state in MOVING - PATIENT)
    if moving > rollout.policy.in_flight_max:
        found.append(
            Contradiction(
                "U6", rollout.id, f"{moving} hosts are on their way, at most {rollout.policy.in_flight_max} may"
            )
        )
    return found
