"""Every state that the control plane knows has a look of its own, and the ends are the same on both sides."""

import pytest

from controlplane.cli.screen import states
from controlplane.core import states as core

ALL = [
    *core.MigrationState,
    *core.StepState,
    *core.AttemptState,
    *core.AgentState,
    *core.Liveness,
]


@pytest.mark.parametrize("state", ALL)
def test_every_state_of_the_core_has_a_symbol_and_a_colour(state: str) -> None:
    looks = states.looks(state)
    assert states.mood(state) is not states.Mood.UNKNOWN
    assert looks.word == state
    assert looks.symbol and looks.style


def test_a_migration_ends_where_no_event_leads_on_without_a_person() -> None:
    """What a person must ask for is named for it: …Asked, …Retried; or it ends what asks a person."""
    moves_on = {
        state
        for state, event in core.MIGRATION_TRANSITIONS
        if state is not None and not event.endswith(("Asked", "Retried", "Accepted", "Abandoned", "Superseded"))
    }
    assert set(core.MigrationState) - moves_on <= states.ENDED
    assert not moves_on & states.ENDED


def test_a_cause_behind_a_colon_does_not_change_the_mood() -> None:
    assert states.mood("lost: stream closed") is states.Mood.BAD
    assert states.looks("suspect: no heartbeat").word == "suspect: no heartbeat"


def test_a_word_from_a_newer_control_plane_is_shown() -> None:
    assert states.looks("teleporting") == ("?", "teleporting", "")


def test_symbols_tell_moods_apart_without_colour() -> None:
    symbols = [mood.value[0] for mood in states.Mood]
    assert len(set(symbols)) == len(symbols)


def test_the_states_to_list_by_are_the_states_that_there_are() -> None:
    assert list(states.MIGRATION_STATES) == [core.WAITING, *(str(state) for state in core.MigrationState)]
