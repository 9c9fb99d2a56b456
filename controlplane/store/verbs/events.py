"""The event log: what happened, in the order in which it was recorded."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from controlplane.core.events import Event


class RecordedEvent(NamedTuple):
    """An event at its place in the log."""

    position: int  # from 1
    event: Event


class EventVerbs(Protocol):
    """Events at their positions; none is ever changed."""

    def record(self, events: Iterable[Event]) -> None:
        """Append events to the log, in order, at positions above all before."""
        ...

    def events_after(self, position: int, subject: str, limit: int) -> list[RecordedEvent]:
        """Return at most ``limit`` events after a position, in order; an empty ``subject`` means all.

        A migration stands for itself and its steps, any other subject for itself.
        """
        ...

    def events_before(self, position: int, subject: str, limit: int) -> list[RecordedEvent]:
        """Return what ``events_after`` does, but before a position and the newest first."""
        ...

    def event_types(self) -> list[str]:
        """Return the types of all events that are here, each once."""
        ...

    def last_position(self) -> int:
        """Return the newest position in the log, 0 when it is empty."""
        ...

    def take_recorded(self) -> list[Event]:
        """Return the newest recorded events in order, down to some earlier one, and remember them no longer.

        What was rolled back is not among them.
        """
        ...

    def fill_gaps(self, events: Mapping[int, Event]) -> None:
        """Put events, by position, where there is none."""
        ...
