"""Propose Datasets for data that is already on this host: object, key, columns, and how their files are read.

A proposal never loses anything: a column gets a type only if every one of its values has exactly one spelling in it.
What looks like a number but is not (leading zeros, a plus sign) stays text; decimals stay decimals, with the digits
seen. All rows are read, so that what is proposed is also what an extract will accept today.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from agentd.datastores.files.compression import require_plain
from agentd.datastores.forms.guessing import Guess, null_text_of
from agentd.datastores.inspection.text import Proposal, Store, manifests_text, name_of, spec_text
from agentd.datastores.inspection.url import PREFIXES, postgresql_place
from agentd.datastores.opening import open_datastore
from agentd.datastores.port.datastore import CsvPlace, Datastore, DuckdbPlace, Location, ParquetPlace
from agentd.datastores.port.failures import StepFailure, naming_os_errors

NAME = "inspected"


@dataclass(frozen=True, slots=True)
class Inspected:
    """What was found: YAML, and what could not be looked at, a sentence each."""

    text: str
    failures: tuple[str, ...] = ()


def inspect(place: str) -> Inspected:
    """YAML to put under a Dataset's `spec`, one document for each object.

    `place` is a file or directory (CSV, Parquet, SQLite, DuckDB, by content), or a `postgresql://USER@HOST:PORT/DATABASE`
    URL; a table is chosen by `#TABLE` after either, else every table is proposed. A directory is one dataset of parts.
    Raises StepFailure.
    """
    where, _, table = place.partition("#")
    failures: list[str] = []
    found = list(proposals(where, table, failures.append))
    _require_some(found, failures, where)
    return Inspected("---\n".join(map(spec_text, found)), tuple(failures))


def inspect_whole(place: str, owner: str, datastore: str = "") -> Inspected:
    """Whole manifests: a Datastore for the place and a Dataset, owned by `owner`, for each object.

    Each file of a directory is a dataset of its own, and so is each directory in it, whose files are its parts. What
    cannot be read is told among the failures, and does not keep others from being proposed. Raises StepFailure.
    """
    where, _, table = place.partition("#")
    failures: list[str] = []
    path = Path(where).expanduser().absolute()
    if where.startswith(PREFIXES) or not path.is_dir():
        found = list(proposals(where, table, failures.append))
    else:
        found = [each for entry in _entries(path) for each in _of_entry(entry, failures.append)]
    _require_some(found, failures, where)
    name = datastore or name_of(postgresql_place(where, NAME).database if where.startswith(PREFIXES) else path.stem)
    return Inspected(manifests_text(found, owner, name), tuple(failures))


def _require_some(found: list[Proposal], failures: list[str], where: str) -> None:
    if not found and not failures:
        raise StepFailure(
            "not_found", f"{where} holds nothing to propose", "It has no tables, or no rows and no header."
        )


def _entries(directory: Path) -> list[Path]:
    return sorted(each for each in directory.iterdir() if not each.name.startswith(("_", ".")))


def _of_entry(entry: Path, failed: Callable[[str], None]) -> list[Proposal]:
    """Proposals for one file or directory of parts; one that cannot be read is told."""
    try:
        return list(proposals(str(entry), "", failed))
    except StepFailure as failure:
        failed(f"{entry.name}: {failure.message}. {failure.hint}".rstrip())
        return []


def proposals(where: str, table: str = "", failed: Callable[[str], None] | None = None) -> Iterator[Proposal]:
    """A proposal for each object at the place. ``failed`` is told of a table that cannot be read, where there are
    others; without it the first such table is raised as StepFailure."""
    if where.startswith(PREFIXES):
        place = postgresql_place(where, NAME, os.environ.get("PGPASSWORD", ""))
        fields = [("host", place.host), ("port", place.port), ("database", place.database), ("user", place.user)]
        fields += [("schema", place.schema), ("sslmode", place.sslmode)]
        fields += [(key, getattr(place, key)) for key in ("sslrootcert", "sslcert", "sslkey") if getattr(place, key)]
        notes = ("passwordRef: env:NAME, file:/PATH or credential:NAME, where the role needs a password",)
        yield from _tables(open_datastore(place), table, Store("postgresql", tuple(fields), notes), failed)
        return
    path = Path(where).expanduser().absolute()
    with naming_os_errors(f"inspecting {where}"):
        kind = _kind_of(path)
        if kind == "csv":
            yield _csv(path)
        elif kind == "parquet":
            store = Store("parquet", (("root", str(path.parent)),))
            yield _described(open_datastore(ParquetPlace(NAME, path.parent)), path.name, store)
        elif kind == "duckdb":
            store = Store("duckdb", (("path", str(path)),))
            yield from _tables(open_datastore(DuckdbPlace(NAME, path)), table, store, failed)
        else:
            from agentd.datastores.sqlite.guessing import sqlite_proposals

            store = Store("sqlite", (("path", str(path)),))
            for name, columns, key, refused in sqlite_proposals(path, table):
                yield Proposal(name, columns, key, (), refused, {}, store)


def _kind_of(path: Path) -> str:
    """csv, parquet, sqlite or duckdb, by the first bytes of the file, or of the first part of a directory."""
    if path.is_dir():
        return _kind_of(_first_part(path))
    require_plain(path)
    with path.open("rb") as file:
        start = file.read(16)
    if start.startswith(b"SQLite format 3\0"):
        return "sqlite"
    if start.startswith(b"PAR1"):
        return "parquet"
    return "duckdb" if start[8:12] == b"DUCK" else "csv"


def _first_part(directory: Path) -> Path:
    parts = sorted(p for p in directory.rglob("*") if p.is_file() and not p.name.startswith(("_", ".")))
    if not parts:
        raise StepFailure("not_found", f"{directory} is an empty directory", "Name a file, or a directory of parts.")
    return parts[0]


def _tables(datastore: Datastore, table: str, store: Store, failed: Callable[[str], None] | None) -> Iterator[Proposal]:
    for name in [table] if table else datastore.objects():
        try:
            yield _described(datastore, name, store)
        except StepFailure as failure:
            if table or failed is None:
                raise
            failed(f"{name}: {failure.message}. {failure.hint}".rstrip())


def _described(datastore: Datastore, name: str, store: Store) -> Proposal:
    try:
        found = datastore.describe(Location(NAME, name))
    except StepFailure as err:
        if err.code != "unsupported_type":
            raise
        return Proposal(name, (), refused=(err.message,), store=store)
    note = f"about {found.rows_estimate} rows" if found.rows_estimate else "row count not known"
    return Proposal(name, found.columns, found.key, (note,), store=store)


def _csv(path: Path) -> Proposal:
    from agentd.datastores.files.csv import CsvDatastore

    delimiter = _delimiter_of(path)
    store = CsvDatastore(CsvPlace(NAME, path.parent, delimiter))
    for part in store.parts(path.name).parts:
        require_plain(part.path)
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
    broken = next((guess.name for guess in guesses.values() if not guess.is_utf8), None)
    if broken is not None:
        message = f"{path}: column {broken!r} holds bytes that are not UTF-8"
        raise StepFailure("corrupt_file", message, "Write the file again in UTF-8.")
    options = {"delimiter": delimiter} if delimiter != "," else {}
    options |= {"nullText": null_text} if null_text else {}
    columns = tuple(guess.column(rows) for guess in guesses.values())
    found = Proposal(path.name, columns, (), (f"{rows} rows read",), options=options)
    return replace(found, store=Store("csv", (("root", str(path.parent)),)))


def _delimiter_of(path: Path) -> str:
    """The separator that the header line uses most."""
    with (_first_part(path) if path.is_dir() else path).open("rb") as opened:
        line = opened.readline(65_536).decode("utf-8", "replace")
    counts = {each: line.count(each) for each in (",", "\t", ";", "|")}
    return max(counts, key=lambda each: counts[each])
