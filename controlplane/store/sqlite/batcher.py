"""Group commit as a plain object: many calls, one transaction, one fsync, then all the answers.

A thread drives it in production and the event queue drives it in the simulator, where a crash is ``abandon``:
everything since the last commit is gone, and no answer of it has left.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from controlplane.core.states import InvalidTransition
from controlplane.store.port import StoreFailed, Tx
from controlplane.store.sqlite import library
from controlplane.store.sqlite.tx import SqliteTx

# So many of the newest events make the story in an error.
STORY_EVENTS = 30

Call = Callable[[Tx], Any]


class Answer:
    """How one call of a batch went; delivered only after the batch is durable."""

    __slots__ = ("error", "value")

    def __init__(self, value: Any, error: BaseException | None) -> None:
        self.value = value
        self.error = error


class Batcher:
    """Runs batches of calls on the one writing connection."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.tx = SqliteTx(connection)

    def run(self, calls: Sequence[Call]) -> list[Answer]:
        """Run ``calls`` in one transaction and commit; return one answer per call, in order.

        A call that raises is rolled back alone, by its savepoint. When the disk refuses, every call is answered with
        ``StoreFailed`` and nothing was kept.
        """
        return self.end(self.begin(calls))

    def begin(self, calls: Sequence[Call]) -> list[Answer]:
        """Run ``calls`` in a transaction that ``end`` commits; the answers must not leave before.

        Where the disk refuses already, every call is answered so and no transaction is left open.
        """
        try:
            return self.prepare(calls)
        except library.Error as error:
            self.abandon()
            return [Answer(None, _failed(error)) for _ in calls]

    def end(self, answers: list[Answer]) -> list[Answer]:
        """Commit what ``begin`` began; return the answers that may leave now."""
        if not self.connection.in_transaction:
            return answers
        try:
            self.commit()
        except library.Error as error:
            self.abandon()
            return [Answer(None, _failed(error)) for _ in answers]
        return answers

    def prepare(self, calls: Sequence[Call]) -> list[Answer]:
        """Begin a transaction and run ``calls`` in it; the answers must not leave before ``commit``."""
        execute = self.connection.execute
        execute("BEGIN IMMEDIATE")
        answers = []
        for call in calls:
            execute("SAVEPOINT call")
            recorded = self.tx.recorded_count
            try:
                answers.append(Answer(call(self.tx), None))
            except library.OperationalError:
                # What one call could not write, no other can be sure of either: drop the batch, never half of it.
                raise
            # Whatever a call raises belongs to its caller; the batch must live on.
            except Exception as error:  # noqa: BLE001
                execute("ROLLBACK TO call")
                self.tx.forget_recorded(recorded)
                if isinstance(error, InvalidTransition):
                    error.add_note(_story(self.tx, error.subject))
                answers.append(Answer(None, error))
            execute("RELEASE call")
        return answers

    def commit(self) -> None:
        """Make the prepared batch durable."""
        self.connection.execute("COMMIT")

    def abandon(self) -> None:
        """Drop whatever was not committed."""
        self.tx.forget_recorded(0)
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")


def _story(tx: Tx, subject: str) -> str:
    """The newest events of a subject, the oldest of them first, for whoever has to find out how it came to be so."""
    recorded = tx.events_before(tx.last_position() + 1, subject, STORY_EVENTS) if subject else []
    lines = [
        f"  {position}: {datetime.fromtimestamp(event.at, UTC):%F %T}"
        f" {' '.join(filter(None, (event.type, event.attempt_id, event.detail)))}"
        for position, event in sorted(recorded)
    ]
    return "\n".join([f"the story of {subject}:", *lines]) if lines else "nothing is recorded of it"


def _failed(error: Exception) -> StoreFailed:
    return StoreFailed(f"the store could not write: {error}; nothing of this request was kept")
