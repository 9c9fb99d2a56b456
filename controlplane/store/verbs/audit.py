"""The event log, and the audit log's tree over it."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from controlplane.core.audit.heads import LogEra, TreeHead
from controlplane.core.events import Event


class RecordedEvent(NamedTuple):
    """An event at its place in the log."""

    position: int  # from 1
    event: Event


class AuditVerbs(Protocol):
    """Events in the order in which they were recorded; tiles of the tree by (level, number)."""

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

    def audit_head(self) -> TreeHead | None:
        """Return the newest signed head; None before the first."""
        ...

    def put_audit_head(self, head: TreeHead) -> None:
        """Keep a head in the place of the one before."""
        ...

    def audit_tiles(self, places: Iterable[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
        """Return tiles by place; one that does not exist is left out."""
        ...

    def put_audit_tiles(self, tiles: Mapping[tuple[int, int], bytes]) -> None:
        """Keep tiles, each in the place of a shorter one."""
        ...

    def replace_audit_tiles(self, tiles: Mapping[tuple[int, int], bytes]) -> None:
        """Keep these tiles and no other."""
        ...

    def audit_eras(self) -> list[LogEra]:
        """Return the beginnings of the eras after the first, oldest first."""
        ...

    def put_audit_era(self, begun: LogEra, begun_at: float) -> None:
        """Keep the beginning of an era that is new."""
        ...
