"""The doctor's rounds: streams one migration at a time through the pure checks, then asks the global questions."""

from collections.abc import Iterator

from controlplane.core.health.doctor import Contradiction, Dossier, examine, examine_iterations, examine_targets
from controlplane.core.rollouts.examining import examine_rollout
from controlplane.store.port import Tx

# The newest of them; older ones have long ended.
ROLLOUTS_MAX = 1_000


def findings(tx: Tx) -> Iterator[Contradiction]:
    """Check the whole store; memory is bounded by the largest migration and the number of targets."""
    under_way = {each.id for each in tx.under_way()}
    for migration_id in tx.migration_ids():
        yield from findings_of(tx, migration_id, is_under_way=migration_id in under_way)
    for name in tx.newest_iterations():
        yield from examine_iterations(tx.iterations_of(name))
    for rollout in tx.rollouts("", ROLLOUTS_MAX):
        events = [event for _, event in tx.events_after(0, rollout.id, 1_000_000_000)]
        yield from examine_rollout(rollout, tx.rollout_hosts(rollout.id), events)
    yield from examine_targets(tx.all_attempts(), tx.fences())


def findings_of(tx: Tx, migration_id: str, *, is_under_way: bool) -> list[Contradiction]:
    """Check one migration."""
    migration = tx.migration(migration_id)
    assert migration is not None, "the caller has found the migration"
    events = [event for _, event in tx.events_after(0, migration_id, 1_000_000_000)]
    return examine(
        Dossier(
            migration,
            tx.steps_of(migration_id),
            tx.needs_of(migration_id),
            tx.attempts_of_migration(migration_id),
            events,
            is_under_way,
        )
    )
