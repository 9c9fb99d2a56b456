"""Who is at a destination: whom a start or a retry would meet there, and who has published over whom."""

from collections.abc import Iterable

from controlplane.core.migrations import deciding
from controlplane.core.model import Migration
from controlplane.core.states import MIGRATION_ASKS_A_PERSON, MIGRATION_LEFT_PLACE, MIGRATION_MOVING, MigrationState
from controlplane.service.errors import Precondition
from controlplane.store.port import Tx
from controlplane.store.verbs.migrations import MigrationVerbs


class PlaceTaken(Precondition):
    """Another migration is at the destination; the message names it, and what ends that."""


def require_free(tx: MigrationVerbs, name: str, dataset: str, place: str) -> None:
    """Refuse to publish where another migration is at work, or has brought another dataset. Raises ``PlaceTaken``."""
    for other in _newest(tx, place) if place else ():
        if other.name == name:
            continue
        there = f"{other.name} ({other.state})"
        if other.state in MIGRATION_MOVING:
            raise PlaceTaken(
                f"{name}: the migration {there} is on its way to the same place, {place}: wait for its end with "
                f"`haulier migration watch {other.name}`, or stop it with "
                f"`haulier migration cancel {other.name} --reason TEXT`"
            )
        if other.state is MigrationState.STUCK:
            raise PlaceTaken(
                f"{name}: the migration {there} is not done with the same place, {place}: first "
                f"`haulier migration retry {other.name}`, or `accept` or `abandon` it"
            )
        if other.dataset != dataset and other.state not in MIGRATION_LEFT_PLACE:
            raise PlaceTaken(
                f"{name}: the migration {there} has taken the dataset {other.dataset} to the same place, {place}: "
                f"choose another object, or free it with "
                f"`haulier migration rollback {other.name} --reason TEXT`"
            )


def require_still(tx: MigrationVerbs, migration: Migration) -> None:
    """Refuse to undo at a destination to which another migration is on its way. Raises ``PlaceTaken``."""
    for other in tx.migrations_at(migration.place) if migration.place else ():
        if other.id != migration.id and other.state in MIGRATION_MOVING:
            raise PlaceTaken(
                f"{migration.name}: the migration {called(other)} ({other.state}) is on its way to the same place, "
                f"{migration.place}: wait for its end with `haulier migration watch {other.name}`, or stop it with "
                f"`haulier migration cancel {other.name} --reason TEXT`"
            )


def published_over(tx: MigrationVerbs, migration: Migration) -> Migration | None:
    """Return the migration whose publish lies over that of this one, the newest; None where there is none."""
    own = tx.published_fence(migration)
    if not own:
        return None
    above = [(tx.published_fence(other), other) for other in tx.migrations_at(migration.place) if other != migration]
    fence, newest = max(above, key=lambda each: each[0], default=(0, migration))
    return newest if fence > own else None


def supersede_others(tx: Tx, migration_id: str, now: float) -> None:
    """End the failed and stuck migrations over which this one has just published."""
    migration = tx.migration(migration_id)
    assert migration is not None, "a step's migration exists"
    for other in tx.asking_at(migration.place):
        above = published_over(tx, other) if other.id != migration.id else None
        if above is not None:
            tx.apply(deciding.supersede(other, called(above), now))


def superseded_at_last(tx: Tx, migration: Migration, now: float) -> bool:
    """End a failed or stuck migration over which another has published, as soon as somebody asks for anything."""
    if migration.state not in MIGRATION_ASKS_A_PERSON:
        return False
    above = published_over(tx, migration)
    if above is None:
        return False
    tx.apply(deciding.supersede(migration, called(above), now))
    return True


def called(migration: Migration) -> str:
    """Name a migration for people; which iteration only where there are more."""
    return migration.name if migration.iteration == 1 else f"{migration.name} (iteration {migration.iteration})"


def _newest(tx: MigrationVerbs, place: str) -> Iterable[Migration]:
    """Return the newest iteration of every migration to a place."""
    return {migration.name: migration for migration in tx.migrations_at(place)}.values()
