"""The event log on SQLite."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from controlplane.core.events import Event
from controlplane.store.sqlite.statements import Statements
from controlplane.store.verbs.events import RecordedEvent

# Beyond it nobody takes them, and whoever wants them later reads them back.
RECORDED_MAX = 50_000

# Queries for all events, and for those of a migration, of a step, of any other subject.
_AFTER = ("events_after", "events_of_migration", "events_of_step", "events_of_subject")
_BEFORE = ("events_before", "events_of_migration_before", "events_of_step_before", "events_of_subject_before")

_tuple = tuple.__new__


class SqliteEventVerbs(Statements):
    """See ``store.verbs.events``."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self._recorded: list[Event] = []

    def record(self, events: Iterable[Event]) -> None:
        rows = list(events)
        if rows:
            self.connection.executemany(self.sql["insert_event"], rows)
            self._keep_recorded(rows)

    def events_after(self, position: int, subject: str, limit: int) -> list[RecordedEvent]:
        return self._events(_AFTER, position, subject, limit)

    def events_before(self, position: int, subject: str, limit: int) -> list[RecordedEvent]:
        return self._events(_BEFORE, position, subject, limit)

    def event_types(self) -> list[str]:
        return self.column("event_types")

    def last_position(self) -> int:
        return int(self.value("last_position"))

    def take_recorded(self) -> list[Event]:
        taken, self._recorded = self._recorded, []
        return taken

    def fill_gaps(self, events: Mapping[int, Event]) -> None:
        self.run_many("insert_event_at", [(position, *event) for position, event in events.items()])

    @property
    def recorded_count(self) -> int:
        """How many recorded events nobody has taken."""
        return len(self._recorded)

    def forget_recorded(self, count: int) -> None:
        """Forget all but the first ``count``: the others were rolled back, or perhaps were."""
        del self._recorded[count if count <= len(self._recorded) else 0 :]

    def _keep_recorded(self, events: Sequence[Event]) -> None:
        """Remember events that were just recorded, so that sealing them needs no reading back."""
        if len(self._recorded) > RECORDED_MAX:
            self._recorded.clear()
        self._recorded += events

    def _events(self, names: tuple[str, str, str, str], position: int, subject: str, limit: int) -> list[RecordedEvent]:
        of_all, of_migration, of_step, of_subject = names
        if not subject:
            rows = self.all(of_all, position, limit)
        elif subject.startswith("mig_"):
            rows = self.all(of_migration, subject, position, limit)
        elif subject.startswith("step_"):
            rows = self.all(of_step, subject, subject, position, limit)
        else:
            rows = self.all(of_subject, subject, position, limit)
        return [_tuple(RecordedEvent, (place, _tuple(Event, event))) for place, *event in rows]
