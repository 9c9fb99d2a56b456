"""Queues steps by the product's own service layer, in a store whose control plane is not running.

``python -m tests.bench.loading STORE MIGRATIONS STEPS``: so many migrations of so many steps each of the
kind "noop", independent and at once ready.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

from controlplane.core.model import Migration, Requirements, StepPlan
from controlplane.core.states import MigrationState
from controlplane.service.migrations.migrations import insert_plan
from controlplane.service.steps.advancing import advance
from controlplane.store.sqlite.batcher import Batcher
from controlplane.store.sqlite.library import connect
from controlplane.store.sqlite.tx import SqliteTx

# Migrations in one transaction: more would only grow the write-ahead log.
AT_ONCE = 50


def plan(migration: str, number: int) -> StepPlan:
    """One step of a kind of somebody's own, with a write target of its own."""
    return StepPlan(
        name=f"step-{number}",
        kind="noop",
        needs=(),
        template='{"params":{},"holes":[]}',
        params=b"{}",
        requirements=Requirements("noop"),
        target=f"{migration}/{number}",
        queue_s=86_400.0,
        start_to_finish_s=3600.0,
        progress_s=300.0,
        attempts_max=5,
        backoff_initial_s=1.0,
        backoff_factor=2.0,
        backoff_max_s=60.0,
    )


def start_migrations(tx: SqliteTx, names: list[str], steps: int, now: float) -> None:
    """Start migrations as the service does, from plans instead of manifests."""
    classes: dict[str, Requirements] = {}
    for name in names:
        migration_id = tx.next_ids("mig_", 1)[0]
        migration = Migration(
            migration_id, name, name, "bench", 1, "here", "there", 0, MigrationState.RUNNING, "", now, None
        )
        tx.insert_migration(migration)
        insert_plan(tx, migration, [plan(migration_id, i) for i in range(steps)], classes, now)
        advance(tx, migration_id, now)


def chunks(prefix: str, migrations: int) -> Iterator[list[str]]:
    """Names of migrations, as many at a time as go into one transaction."""
    for first in range(0, migrations, AT_ONCE):
        yield [f"{prefix}-{i}" for i in range(first, min(first + AT_ONCE, migrations))]


def load(store: Path, migrations: int, steps: int) -> None:
    """Queue ``steps`` steps for each of ``migrations`` migrations."""
    connection = connect(str(store), writing=True)
    batcher = Batcher(connection)
    mark = f"bench-{time.time_ns()}"
    for names in chunks(mark, migrations):
        now = time.time()
        [answer] = batcher.run([lambda tx, names=names, now=now: start_migrations(tx, names, steps, now)])  # type: ignore[misc]
        if answer.error is not None:
            raise answer.error
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


if __name__ == "__main__":
    load(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
