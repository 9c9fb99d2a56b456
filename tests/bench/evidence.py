"""What a store says of a run: every figure is read from its events, and its steps are checked one by one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from controlplane.service.health.doctor import findings
from controlplane.store.sqlite.library import connect
from controlplane.store.sqlite.store import open_snapshot


class Run(NamedTuple):
    """What happened to the steps granted after a position of the event log."""

    granted: int
    succeeded: int
    first_granted_at: float
    last_succeeded_at: float

    @property
    def steps_per_s(self) -> float:
        """Durable steps a second, from the first grant to the last success."""
        return self.succeeded / (self.last_succeeded_at - self.first_granted_at)


@contextmanager
def reading(store: Path) -> Iterator[Any]:
    """A connection that only reads."""
    connection = connect(str(store), writing=False)
    try:
        yield connection
    finally:
        connection.close()


def position(store: Path) -> int:
    """The newest position of the event log."""
    with reading(store) as db:
        return int(db.execute("SELECT coalesce(max(position), 0) FROM event").fetchone()[0])


def succeeded_after(db: Any, after: int) -> int:
    """Count the steps that succeeded after a position."""
    return int(
        db.execute("SELECT count(*) FROM event WHERE position > ? AND type = 'StepSucceeded'", [after]).fetchone()[0]
    )


def run_after(store: Path, after: int) -> Run:
    """Read a run back from the events after a position."""
    with reading(store) as db:
        granted, first = db.execute(
            "SELECT count(*), min(at) FROM event WHERE position > ? AND type = 'LeaseGranted'", [after]
        ).fetchone()
        succeeded, last = db.execute(
            "SELECT count(DISTINCT subject), max(at) FROM event WHERE position > ? AND type = 'StepSucceeded'", [after]
        ).fetchone()
    return Run(granted, succeeded, first, last)


def check_run(store: Path, after: int, steps: int) -> None:
    """Check that ``steps`` steps were each granted once under a risen fence, succeeded once, and are told in full."""
    run = run_after(store, after)
    assert (run.granted, run.succeeded) == (steps, steps), f"{run} of {steps} steps"
    with reading(store) as db:
        told = dict(
            db.execute(
                "SELECT type, count(*) FROM event WHERE position > ? AND attempt_id IS NOT NULL GROUP BY type", [after]
            ).fetchall()
        )
        assert told == {"LeaseGranted": steps, "StepSucceeded": steps}, told
        wrong = db.execute(
            """SELECT count(*) FROM event e LEFT JOIN attempt a ON a.id = e.attempt_id
               LEFT JOIN step s ON s.id = a.step_id LEFT JOIN target t ON t.name = a.target
               WHERE e.position > ? AND e.type = 'StepSucceeded' AND NOT coalesce(
               a.state = 'succeeded' AND s.state = 'succeeded' AND a.fence = e.fence AND t.fence = a.fence
               AND a.fence & 4294967295 > 0 AND a.agent_id = e.agent_id AND a.ended_at >= a.granted_at, 0)""",
            [after],
        ).fetchone()[0]
    assert wrong == 0, f"{wrong} steps without a lease, a fence or an attempt of their own"


def check_promises(store: Path) -> None:
    """Ask the doctor: every promise that can be checked in a store, over all of it."""
    broken = list(findings(open_snapshot(store)))
    assert not broken, broken[:5]


def sample(store: Path) -> list[list[str]]:
    """The life of one step, as the store has it: its attempt, its fence, and each of its events."""
    with reading(store) as db:
        step_id, migration_id, attempt_id = db.execute(
            "SELECT subject, migration_id, attempt_id FROM event WHERE type = 'StepSucceeded' "
            "ORDER BY position DESC LIMIT 1 OFFSET 500"
        ).fetchone()
        attempt = db.execute("SELECT agent_id, target, fence, state FROM attempt WHERE id = ?", [attempt_id]).fetchone()
        rows = [["attempt", attempt_id, f"{attempt[0]}, {attempt[3]}, target {attempt[1]}, fence {attempt[2]:#x}"]]
        events = db.execute(
            "SELECT position, at, type, fence FROM event WHERE migration_id = ? AND subject = ? ORDER BY position",
            [migration_id, step_id],
        ).fetchall()
    first_at = events[0][1]
    for number, at, kind, fence in events:
        rows.append([f"event {number}", kind, f"+{(at - first_at) * 1000:.1f} ms" + (f", {fence:#x}" if fence else "")])
    return rows
