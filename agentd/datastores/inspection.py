"""Propose a Dataset's object, key and columns for data that is already on this host.

A proposal never loses anything: a column gets a type only if every one of its values has exactly one spelling in it.
What looks like a number but is not (leading zeros, a plus sign) stays text; decimals stay decimals, with the digits
seen. All rows are read, so that what is proposed is also what an extract will accept today.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from agentd.datastores.failures import StepFailure, naming_os_errors
from agentd.datastores.guessing import Guess, null_text_of
from agentd.datastores.port import (
    Datastore,
    DuckdbPlace,
    Location,
    ParquetPlace,
    PostgresqlPlace,
    open_datastore,
)
from agentd.proof.types import Column

NAME = "inspected"
_POSTGRESQL = ("postgresql://", "postgres://")


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is proposed for one object. `notes` are for people; `refused` names columns that cannot be moved exactly."""

    object: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def inspect(place: str) -> str:
    """YAML to put under a Dataset's `spec`, one document per object.

    `place` is a file or directory (CSV, Parquet, SQLite, DuckDB, by content), or a `postgresql://USER@HOST:PORT/DATABASE`
    URL; a table is chosen by `#TABLE` after either, else every table is proposed. Raises StepFailure.
    """
    where, _, table = place.partition("#")
    found = list(proposals(where, table))
    if not found:
        raise StepFailure(
            "not_found", f"{where} holds nothing to propose", "It has no tables, or no rows and no header."
        )
    return "---\n".join(map(_yaml, found))


def proposals(where: str, table: str = "") -> Iterator[Proposal]:
    """A proposal per object at the place."""
    if where.startswith(_POSTGRESQL):
        yield from _tables(open_datastore(_postgresql(where)), table)
        return
    path = Path(where).expanduser().absolute()
    with naming_os_errors(f"inspecting {where}"):
        kind = _kind_of(path)
        if kind == "csv":
            yield _csv(path)
        elif kind == "parquet":
            yield _described(open_datastore(ParquetPlace(NAME, path.parent)), path.name)
        elif kind == "duckdb":
            yield from _tables(open_datastore(DuckdbPlace(NAME, path)), table)
        else:
            from agentd.datastores.sqlite_guessing import sqlite_proposals

            for name, columns, key, refused in sqlite_proposals(path, table):
                yield Proposal(name, columns, key, (), refused)


def _postgresql(url: str) -> PostgresqlPlace:
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if parts.password:
        raise StepFailure(
            "bad_params", "the URL holds a password, which everybody on this host could read", "Set PGPASSWORD instead."
        )
    try:
        port = parts.port or 5432
    except ValueError as err:
        raise StepFailure("bad_params", f"the port in {url!r} is not a number", "Mend the URL.") from err
    return PostgresqlPlace(
        NAME,
        options.get("host") or parts.hostname or "localhost",
        int(options.get("port", port)),
        unquote(parts.path.lstrip("/")) or "postgres",
        unquote(parts.username or "") or "postgres",
        # The one variable that counts: whoever inspects is a person at a terminal, and has no Datastore to name it in.
        os.environ.get("PGPASSWORD", ""),
        options.get("schema", "public"),
        options.get("sslmode", "prefer"),
        options.get("sslrootcert", ""),
        options.get("sslcert", ""),
        options.get("sslkey", ""),
    )


def _kind_of(path: Path) -> str:
    """csv, parquet, sqlite or duckdb, by the first bytes of the file, or of the first part of a directory."""
    if path.is_dir():
        parts = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith(("_", ".")))
        if not parts:
            raise StepFailure("not_found", f"{path} is an empty directory", "Name a file, or a directory of parts.")
        return _kind_of(parts[0])
    with path.open("rb") as file:
        start = file.read(16)
    if start.startswith(b"SQLite format 3\0"):
        return "sqlite"
    if start.startswith(b"PAR1"):
        return "parquet"
    return "duckdb" if start[8:12] == b"DUCK" else "csv"


def _tables(store: Datastore, table: str) -> Iterator[Proposal]:
    for name in [table] if table else store.objects():
        yield _described(store, name)


def _described(store: Datastore, name: str) -> Proposal:
    try:
        found = store.describe(Location(NAME, name))
    except StepFailure as err:
        if err.code != "unsupported_type":
            raise
        return Proposal(name, (), refused=(err.message,))
    note = f"about {found.rows_estimate} rows" if found.rows_estimate else "row count not known"
    return Proposal(name, found.columns, found.key, (note,))


def _csv(path: Path) -> Proposal:
    from agentd.datastores.csv import CsvDatastore
    from agentd.datastores.port import CsvPlace

    delimiter = _delimiter_of(path)
    store = CsvDatastore(CsvPlace(NAME, path.parent, delimiter))
    texts: Callable[[str], Iterable[dict[str, object]]] = lambda null: store.raw(path.name, null)  # noqa: E731
    null_text = null_text_of(texts)
    guesses: dict[str, Guess] = {}
    rows = 0
    for batch in store.raw(path.name, null_text):
        for name, array in batch.items():
            guesses.setdefault(name, Guess(name)).see(array)
        rows += len(next(iter(batch.values()), []))
    if not guesses:
        first = store.parts(path.name).parts[0]
        guesses = {name: Guess(name) for name in (*store.header(first.path), *(n for n, _ in first.partitions))}
    notes = [f"{rows} rows read"]
    if delimiter != ",":
        notes.append(f"needs `delimiter: {json.dumps(delimiter)}` in the Datastore")
    if null_text:
        notes.append(f"needs `nullText: {json.dumps(null_text)}` in the Datastore")
    return Proposal(path.name, tuple(g.column(rows) for g in guesses.values()), (), tuple(notes))


def _delimiter_of(path: Path) -> str:
    """The separator that the header line uses most."""
    file = path
    if path.is_dir():
        file = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith(("_", ".")))[0]
    with file.open("rb") as opened:
        line = opened.readline(65_536).decode("utf-8", "replace")
    counts = {each: line.count(each) for each in (",", "\t", ";", "|")}
    return max(counts, key=lambda each: counts[each])


def _yaml(found: Proposal) -> str:
    lines = [f"# {note}" for note in found.notes]
    lines += [f"# cannot be moved exactly: {each}" for each in found.refused]
    lines.append(f"object: {json.dumps(found.object, ensure_ascii=False)}")
    if found.key:
        lines.append(f"key: {json.dumps(list(found.key), ensure_ascii=False)}")
    if found.columns:
        lines.append("columns:")
    for column in found.columns:
        name = json.dumps(column.name, ensure_ascii=False)
        required = ", required: true" if column.required else ""
        lines.append(f'  - {{name: {name}, type: "{column.spelled()}"{required}}}')
    return "\n".join(lines) + "\n"
