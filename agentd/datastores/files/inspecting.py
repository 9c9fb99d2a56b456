"""Propose Datasets for CSV and Parquet files."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from agentd.datastores.files.compression import require_plain
from agentd.datastores.files.csv import CsvDatastore
from agentd.datastores.files.first_part import first_part
from agentd.datastores.files.parquet import ParquetDatastore
from agentd.datastores.files.places import CsvPlace, ParquetPlace
from agentd.datastores.forms.guessing import Guess, null_text_of
from agentd.datastores.inspection.describing import NAME, described
from agentd.datastores.inspection.text import Proposal, Store
from agentd.datastores.port.engine import Failed
from agentd.datastores.port.failures import StepFailure


def csv_proposals(where: str, table: str, failed: Failed) -> Iterator[Proposal]:
    """The proposal for a file, or a directory of parts, by all of its rows."""
    del table, failed
    yield _csv(Path(where))


def parquet_proposals(where: str, table: str, failed: Failed) -> Iterator[Proposal]:
    """The proposal for a file, or a directory of parts, by its schema."""
    del table, failed
    path = Path(where)
    store = Store("parquet", (("root", str(path.parent)),))
    yield described(ParquetDatastore(ParquetPlace(NAME, path.parent)), path.name, store)


def _csv(path: Path) -> Proposal:
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
    with (first_part(path) if path.is_dir() else path).open("rb") as opened:
        line = opened.readline(65_536).decode("utf-8", "replace")
    counts = {each: line.count(each) for each in (",", "\t", ";", "|")}
    return max(counts, key=lambda each: counts[each])
