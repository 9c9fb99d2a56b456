"""Writes to the log what a person should see, as soon as it is durable."""

import logging
from collections.abc import Iterable, Sequence

from controlplane.core.events import Event
from controlplane.core.log_levels import LOUD, PLAIN, line_of
from controlplane.store.port import Store, Tx

_log = logging.getLogger("haulier.events")


class Teller:
    """``tell`` takes events after their commit and logs those that a person should see."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def tell(self, events: Iterable[Event]) -> None:
        """Log those of the events, which were just committed, that a person should see."""
        seen = [event for event in events if event.type in LOUD or event.type in PLAIN]
        if not seen:
            return
        names = await self._store.read(lambda tx: _names(tx, [event.subject for event in seen]))
        for event in seen:
            line = line_of(event, lambda subject: names.get(subject, subject))
            if line is not None:
                _log.log(logging.WARNING if line.is_loud else logging.INFO, "%s", line.text)


def _names(tx: Tx, subjects: Sequence[str]) -> dict[str, str]:
    """Return the names of migrations and agents by id; what has none, or is gone, is left out."""
    found: dict[str, str] = {}
    for subject in set(subjects):
        named = tx.migration(subject) if subject.startswith("mig_") else tx.agent(subject)
        if named is not None:
            found[subject] = named.name
    return found
