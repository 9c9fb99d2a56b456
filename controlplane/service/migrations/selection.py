"""Which migrations a call is about: named, or all that match states, labels and owners; resolved to a list."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from controlplane.core.access import approvals as gating
from controlplane.core.access.approvals import Item, Plan
from controlplane.core.model import Migration
from controlplane.core.states import MIGRATION_ENDED, MIGRATION_TRANSITIONS, MigrationState
from controlplane.service.errors import NotFound, Precondition
from controlplane.service.migrations.generations import generations_of
from controlplane.service.migrations.retrying import would_take
from controlplane.service.not_found import NAMES_MAX, no_manifest, no_such
from controlplane.store.port import Tx
from controlplane.store.verbs.migrations import MigrationVerbs, Selectable

Owners = frozenset[str]


@dataclass(frozen=True, slots=True)
class Selection:
    """Names, or filters that all must hold; ``every`` alone means whatever the verb can be done with."""

    names: tuple[str, ...] = ()
    states: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    owners: Owners = frozenset()
    every: bool = False

    @property
    def is_open(self) -> bool:
        """Tell whether what it means depends on what there is."""
        return not self.names

    def __str__(self) -> str:
        """Write it as people ask for it."""
        if self.names:
            return ", ".join(sorted(set(self.names)))
        parts = [f"--state {state}" for state in sorted(self.states)]
        parts += [f"--selector {key}={value}" for key, value in sorted(self.labels.items())]
        parts += [f"--owner {owner}" for owner in sorted(self.owners)]
        return " ".join(parts) or "--all"


@dataclass(slots=True)
class Resolved:
    """What a selection means now: the plan, and whom each of its items is; who is left out already, and why."""

    plan: Plan
    migrations: dict[str, Migration | None] = field(default_factory=dict)  # item → its iteration; None: never started
    already: list[str] = field(default_factory=list)  # where what is asked for is so, or on its way
    left_out: dict[str, str] = field(default_factory=dict)


def check(selection: Selection) -> None:
    """Refuse what is neither names nor filters, or both. Raises ``Precondition``."""
    filters = bool(selection.states or selection.labels or selection.owners)
    if selection.names and (filters or selection.every):
        raise Precondition("give names, or --state, --selector and --owner, and not both")
    if not (selection.names or filters or selection.every):
        raise Precondition("name the migrations, or choose them by --state, --selector or --owner")
    unknown = sorted(selection.states - set(MigrationState))
    if unknown:
        raise Precondition(f"{unknown[0]} is not a state of a migration: {', '.join(MigrationState)}")


def resolve(tx: Tx, method: str, selection: Selection, within: Owners, reason: str = "") -> Resolved:
    """Resolve a selection to the list that an approval binds. ``within``: only data of these owners; empty means all.

    Raises ``NotFound`` or ``Precondition`` for names; what filters find and cannot be done is left out, with why.
    """
    check(selection)
    resolved = Resolved(Plan(method, str(selection), (), reason))
    found = _named(tx, method, selection.names) if selection.names else _matching(tx, method, selection, within)
    items: list[Item] = []
    refused: list[str] = []
    for name, migration in found:
        try:
            item = _item(tx, method, name, migration)
        except Precondition as error:
            resolved.left_out[name] = str(error)
            refused.append(str(error))
            continue
        if item is None:
            resolved.already.append(name)
        else:
            resolved.migrations[name] = migration
            items.append(item)
    if refused and selection.names:
        raise Precondition("; ".join(refused))
    resolved.plan = resolved.plan._replace(items=tuple(items))
    return resolved


def find(tx: Tx, name_or_id: str) -> Migration:
    """Return a started migration by id or name; raise ``NotFound``."""
    migration = tx.migration(name_or_id) or tx.migration_by_name(name_or_id)
    if migration is None:
        if tx.resource("Migration", name_or_id) is not None:
            raise Precondition(f"migration {name_or_id} was not started yet: `haulier migration start {name_or_id}`")
        known = {*tx.newest_iterations(), *(row.name for row in tx.resources("Migration", "", NAMES_MAX))}
        raise no_such("migration", name_or_id, sorted(known), "haulier migration list")
    return migration


def _named(tx: Tx, method: str, names: Iterable[str]) -> list[tuple[str, Migration | None]]:
    found: list[tuple[str, Migration | None]] = []
    missing: list[str] = []
    refused: list[str] = []
    for name in dict.fromkeys(names):
        try:
            if method == gating.START:
                found.append((name, _startable(tx, name)))
            else:
                migration = find(tx, name)
                newest = tx.migration_by_name(migration.name)
                older = newest is not None and newest.id != migration.id
                said = f"{migration.name} (iteration {migration.iteration})" if older else migration.name
                found.append((said, migration))
        except NotFound as error:
            missing.append(str(error))
        except Precondition as error:
            refused.append(str(error))
    if missing:
        raise NotFound("; ".join(missing + refused))
    if refused:
        raise Precondition("; ".join(refused))
    return found


def _startable(tx: Tx, name: str) -> Migration | None:
    before = tx.migration_by_name(name)
    if tx.resource("Migration", name) is None:
        if before is not None:
            raise NotFound(f"there is no Migration manifest {name} any more: it was deleted; apply it again")
        raise no_manifest(tx, "Migration", name)
    return before


def _matching(
    tx: MigrationVerbs, method: str, selection: Selection, within: Owners
) -> list[tuple[str, Migration | None]]:
    able = _ABLE.get(method, frozenset())
    found = []
    for each in tx.selectable():
        if within and each.owner not in within:
            continue
        if not _matches(each, selection):
            continue
        if not selection.states and (each.state not in able if method != gating.START else each.migration_id):
            continue
        if not each.migration_id and method != gating.START:
            continue
        found.append((each.name, tx.migration(each.migration_id) if each.migration_id else None))
    return found


def _matches(each: Selectable, selection: Selection) -> bool:
    return (
        (not selection.states or each.state in selection.states)
        and selection.labels.items() <= each.labels.items()
        and (not selection.owners or each.owner in selection.owners)
    )


def _item(tx: Tx, method: str, name: str, migration: Migration | None) -> Item | None:
    """Bind one of a list to what it is now; None where there is nothing left to do with it."""
    if method == gating.START:
        if migration is not None and migration.state is MigrationState.RUNNING:
            return None
        if migration is not None and migration.state not in MIGRATION_ENDED:
            raise Precondition(f"{name} is {migration.state}: {_INSTEAD[migration.state]}".replace("NAME", name))
        return Item(name, generations_of(tx, name))
    assert migration is not None, "only a start is of what never started"
    if migration.state in _IS_SO.get(method, ()):
        return None
    if method == gating.RETRY:
        takes = would_take(tx, migration)
        if takes:
            said = "; ".join(each.said() for each in takes)
            return Item(name, f"{migration.id} with {said} ({generations_of(tx, migration.name)})")
    return Item(name, migration.id)


_ON_ITS_WAY_BACK = "wait for its end with `haulier migration watch NAME`, then start it again"
_INSTEAD = {
    MigrationState.FAILED: "`haulier migration retry NAME` goes on with it; to start again, end it first with "
    "`haulier migration cancel NAME --reason …`",
    MigrationState.STUCK: "`haulier migration retry NAME` undoes it again; `haulier migration accept NAME --reason …` "
    "or `abandon` end it as it is",
    MigrationState.RESTORING: "its proof failed, and the former content is being put back: " + _ON_ITS_WAY_BACK,
    MigrationState.CANCELLING: _ON_ITS_WAY_BACK,
    MigrationState.ROLLING_BACK: _ON_ITS_WAY_BACK,
}
# States in which what is asked for is so, or on its way.
_IS_SO: Mapping[str, frozenset[MigrationState]] = {
    gating.CANCEL: frozenset({MigrationState.CANCELLING, MigrationState.CANCELLED}),
    gating.ROLLBACK: frozenset({MigrationState.ROLLING_BACK, MigrationState.ROLLED_BACK}),
    gating.ACCEPT: frozenset({MigrationState.ACCEPTED}),
    gating.ABANDON: frozenset({MigrationState.ABANDONED}),
}


def _from_which(*events: str) -> frozenset[MigrationState]:
    return frozenset(state for state, event in MIGRATION_TRANSITIONS if event in events and state is not None)


# States that filters mean where they name none: those from which the verb leads somewhere.
_ABLE: Mapping[str, frozenset[MigrationState]] = {
    gating.CANCEL: _from_which("MigrationCancelAsked"),
    gating.RETRY: _from_which("MigrationRetried", "MigrationUndoRetried", "MigrationRestoreRetried"),
    gating.ROLLBACK: _from_which("MigrationRollbackAsked"),
}
