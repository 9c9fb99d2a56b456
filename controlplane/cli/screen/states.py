"""How a state looks: always a symbol and a word, and a colour on top where colours are wanted. Pure."""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple


class Mood(Enum):
    """What a state means to the reader: (symbol, colour)."""

    GOOD = ("✓", "green")
    BUSY = ("●", "blue")
    WAITING = ("○", "cyan")
    CAREFUL = ("▲", "yellow")
    BAD = ("✗", "red")
    HELP = ("!", "bold red")
    OVER = ("–", "bright_black")  # noqa: RUF001  (an en dash is meant)
    UNKNOWN = ("?", "")


class Looks(NamedTuple):
    """What to print for a state."""

    symbol: str
    word: str
    style: str


_MOODS: dict[Mood, str] = {
    Mood.GOOD: "verified succeeded alive serving created done kept passed well good approved",
    Mood.BUSY: "running leased granted started active asked fetching staged probation",
    Mood.WAITING: "planned pending ready proposed waiting blocked registered queued backing_off",
    Mood.CAREFUL: "suspect draining drained cordoned cancelling undoing rolling_back restoring returning paused held "
    "undecided retrying updated fenced expired used",
    Mood.BAD: "failed halted lost error refused unwell revoked denied",
    Mood.HELP: "stuck cloned",
    Mood.OVER: "cancelled rolled_back returned undone skipped gone unchanged ended abandoned superseded accepted "
    "released deleted",
}
_MOOD_OF = {word: mood for mood, words in _MOODS.items() for word in words.split()}

# Every state that a migration can be in, in the order of its life.
MIGRATION_STATES = (
    "waiting",
    "running",
    "succeeded",
    "restoring",
    "failed",
    "cancelling",
    "cancelled",
    "rolling_back",
    "rolled_back",
    "stuck",
    "superseded",
    "accepted",
    "abandoned",
)
# A migration in one of these moves no more by itself.
ENDED = frozenset(
    ["verified", "succeeded", "failed", "cancelled", "stuck", "rolled_back", "superseded", "accepted", "abandoned"]
)
# The ends that people wish for.
ENDED_WELL = frozenset({"verified", "succeeded"})


def mood(state: str) -> Mood:
    """The mood of a state word; what follows a colon is its cause, what follows a comma comes second."""
    return _MOOD_OF.get(re.split("[:,]", state)[0].strip().lower(), Mood.UNKNOWN)


def looks(state: str) -> Looks:
    """Symbol, word and colour of a state. Unknown words, e.g. from a newer control plane, are shown as they are."""
    symbol, style = mood(state).value
    return Looks(symbol, state, style)
