"""The life of a held attempt as a table; any other move is a defect in this program."""

from collections.abc import Sequence
from enum import StrEnum


class AttemptState(StrEnum):
    """Where a held attempt is."""

    GRANTED = "granted"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    ENDED = "ended"
    REPORTED = "reported"


ATTEMPT_MOVES: dict[AttemptState, frozenset[AttemptState]] = {
    AttemptState.GRANTED: frozenset({AttemptState.STARTING, AttemptState.ENDED}),
    AttemptState.STARTING: frozenset({AttemptState.RUNNING, AttemptState.STOPPING, AttemptState.ENDED}),
    AttemptState.RUNNING: frozenset({AttemptState.STOPPING, AttemptState.ENDED}),
    AttemptState.STOPPING: frozenset({AttemptState.ENDED}),
    AttemptState.ENDED: frozenset({AttemptState.REPORTED}),
    AttemptState.REPORTED: frozenset(),
}

# An attempt in one of these has a process, or is about to have one.
OCCUPYING = frozenset({AttemptState.STARTING, AttemptState.RUNNING, AttemptState.STOPPING})
# An attempt in one of these has its outcome.
OVER = frozenset({AttemptState.ENDED, AttemptState.REPORTED})


class IllegalMove(Exception):
    """A held attempt was asked to go where the table does not lead."""


def moved(
    state: AttemptState, to: AttemptState, attempt_id: str = "", past: Sequence[AttemptState] = ()
) -> AttemptState:
    """Return `to` if the table allows it from `state`; raise IllegalMove otherwise, with the states before."""
    if to not in ATTEMPT_MOVES[state]:
        story = " → ".join((*past, state))
        raise IllegalMove(f"attempt {attempt_id} cannot go from {state} to {to}; its story: {story}")
    return to
