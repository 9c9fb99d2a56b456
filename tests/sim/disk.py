"""An agent's disk: the real journal on a database that outlives the daemon, and a memory of what became durable."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import sqlite_utils

from agentd.core.effects import ForgetAttempt, JournalIntent, RecordOutcome
from agentd.journal import journal as real

if TYPE_CHECKING:
    from tests.sim.world import World

# Databases are emptied and used again: making one costs more than a short history.
_free: list[sqlite_utils.Database] = []


class DiskFailed(Exception):
    """The write did not become durable; nothing of it was kept."""


class Disk:
    """One host's disk."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._db = _free.pop() if _free else _new()
        self.journal = real.Journal(self._db, -1, "journal")
        self.intents: set[str] = set()
        self.outcomes: set[str] = set()

    def write(self, entries: Sequence[Any]) -> None:
        """Make entries durable, all or none. Raises ``DiskFailed``."""
        if self._world.faults.journal_fails():
            raise DiskFailed
        self.journal.write(entries)
        for entry in entries:
            if isinstance(entry, JournalIntent):
                self.intents.add(entry.grant.attempt_id)
            elif isinstance(entry, RecordOutcome):
                self.outcomes.add(entry.outcome.attempt_id)
            elif isinstance(entry, ForgetAttempt):
                self.intents.discard(entry.attempt_id)
                self.outcomes.discard(entry.attempt_id)

    def give_back(self) -> None:
        """The history is over: empty the database for the next."""
        for table in ("attempts", "outcomes", "fences", "facts"):
            self._db.execute(f"delete from {table}")
        self._db.execute("update marks set value = 0")
        self._db.conn.commit()
        _free.append(self._db)


def _new() -> sqlite_utils.Database:
    database = sqlite_utils.Database(memory=True)
    for statement in filter(str.strip, f"{real._SCHEMA};{real._FACTS}".split(";")):
        database.execute(statement)
    database.conn.commit()
    return database
