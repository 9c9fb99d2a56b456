"""Named queries on one connection: what every subject's verbs are made of."""

from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.store.port import Conflict
from controlplane.store.sqlite.queries import named


class Statements:
    """Runs statements by name."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.sql = named()

    def run(self, name: str, *values: object) -> int:
        """Run a write; return the rows it changed."""
        return int(self.connection.execute(self.sql[name], values).rowcount)

    def run_many(self, name: str, rows: Sequence[Sequence[Any]]) -> int:
        """Run a write for each parameter set; return the rows that all of them changed."""
        return int(self.connection.executemany(self.sql[name], rows).rowcount)

    def guarded(self, name: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a write that must change exactly one row per parameter set (promise L4)."""
        changed = self.connection.executemany(self.sql[name], rows).rowcount
        if changed != len(rows):
            raise Conflict(f"{name}: {changed} of {len(rows)} rows were still as the decision saw them")

    def all(self, name: str, *values: object) -> list[Any]:
        """Run a query; return its rows."""
        rows: list[Any] = self.connection.execute(self.sql[name], values).fetchall()
        return rows

    def column(self, name: str, *values: object) -> list[Any]:
        """Run a query of one column; return its values."""
        return [value for (value,) in self.connection.execute(self.sql[name], values).fetchall()]

    def maybe(self, name: str, *values: object) -> Any:
        """Run a query; return its first row or None."""
        return self.connection.execute(self.sql[name], values).fetchone()

    def value(self, name: str, *values: object) -> Any:
        """Run a query that always has one row of one column; return that."""
        row = self.maybe(name, *values)
        assert row is not None, f"query {name} has always one row"
        (value,) = row
        return value

    def mappings(self, name: str, *values: object) -> list[Mapping[str, Any]]:
        """Run a query for eyes; return its rows as mappings of column to value."""
        cursor = self.connection.execute(self.sql[name], values)
        columns = [name for name, *_ in cursor.description]
        return [dict(zip(columns, row, strict=True)) for row in cursor]
