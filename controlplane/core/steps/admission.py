"""How many migrations may be under way at once: in all, and at each datastore that they read from or write to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class UnderWay(NamedTuple):
    """A migration from its first lease, since its start or its retry, until it stops moving."""

    id: str
    name: str
    source: str  # datastore name
    destination: str  # datastore name

    def touches(self, datastore: str) -> bool:
        """Tell whether it reads from or writes to a datastore."""
        return datastore in (self.source, self.destination)


@dataclass(frozen=True, slots=True)
class Limits:
    """What people have set. ``steps`` and ``migrations`` map a datastore to its limit, where it has one."""

    steps: Mapping[str, int] = field(default_factory=dict)  # concurrencyMax: leases that touch it
    migrations: Mapping[str, int] = field(default_factory=dict)  # migrationsMax: migrations under way
    migrations_in_all: int | None = None

    @property
    def on_migrations(self) -> bool:
        """Tell whether any limit of migrations is set."""
        return bool(self.migrations) or self.migrations_in_all is not None


class Full(NamedTuple):
    """Where no further migration may begin now."""

    in_all: bool
    datastores: frozenset[str]

    def holds(self, source: str, destination: str) -> bool:
        """Tell whether a migration between two datastores may not begin."""
        return self.in_all or source in self.datastores or destination in self.datastores


def full(limits: Limits, under_way: Sequence[UnderWay]) -> Full:
    """Return which limits are reached. They are counted from the rows each time, so that no counter can leak."""
    in_all = limits.migrations_in_all is not None and len(under_way) >= limits.migrations_in_all
    return Full(in_all, frozenset(name for name, most in limits.migrations.items() if _at(name, under_way) >= most))


class Reached(NamedTuple):
    """A limit that is reached: at which datastore (empty: in all), how many it allows, and who uses it up."""

    datastore: str
    most: int
    holders: tuple[str, ...]  # names of migrations, in order of their start


def reached(limits: Limits, under_way: Sequence[UnderWay], waiting: UnderWay) -> list[Reached]:
    """Name the limits that keep a migration from beginning."""
    held = full(limits, under_way)
    found = []
    if held.in_all and limits.migrations_in_all is not None:
        found.append(Reached("", limits.migrations_in_all, tuple(each.name for each in under_way)))
    for datastore in sorted(held.datastores):
        if waiting.touches(datastore):
            holders = tuple(each.name for each in under_way if each.touches(datastore))
            found.append(Reached(datastore, limits.migrations[datastore], holders))
    return found


class Admission:
    """Lets migrations begin in one pass of grants, one after the other, until a limit is reached."""

    def __init__(self, limits: Limits, under_way: Iterable[UnderWay]) -> None:
        self._limits = limits
        self._under_way = list(under_way)
        self._ids = {each.id for each in self._under_way}

    @property
    def full(self) -> Full:
        """Where no further migration may begin now."""
        return full(self._limits, self._under_way)

    def is_under_way(self, migration_id: str) -> bool:
        """Tell whether a migration has begun, be it in this very pass."""
        return migration_id in self._ids

    def begin(self, migration: UnderWay) -> bool:
        """Let a migration begin; False, and nothing changed, where a limit is reached."""
        if self.full.holds(migration.source, migration.destination):
            return False
        self._under_way.append(migration)
        self._ids.add(migration.id)
        return True


def _at(datastore: str, under_way: Sequence[UnderWay]) -> int:
    return sum(1 for each in under_way if each.touches(datastore))
