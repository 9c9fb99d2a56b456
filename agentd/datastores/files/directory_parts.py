"""The files of a directory of parts: which are read, what their directories' names say, which are passed over.

A directory named `key=value` is a column (as Hive, Spark and DuckDB write them): every row below it has that value.
Nothing is passed over in silence. What hides rows or might is refused; hidden files that hold none by convention, and
files of another kind, are named.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa

from agentd.datastores.fences.eviction import OWN_DIRECTORY
from agentd.datastores.forms.arrow_form import require_names, required_is_null
from agentd.datastores.forms.text_cells import Unfit, from_text
from agentd.datastores.port.failures import StepFailure
from agentd.proof.types import Column, Columns, ColumnType, arrow_schema, arrow_type

# Directories of table formats, in which a file may hold rows that were deleted since.
_FORMATS = {"_delta_log": "Delta Lake", ".hoodie": "Hudi", "_iceberg": "Iceberg"}
_COMPRESSED = (".gz", ".bz2", ".zst", ".xz", ".lz4", ".zip", ".snappy", ".br", ".zlib")
# Files beside parts that hold no rows by convention, and what is Haulier's own.
_EMPTY = re.compile(r"_SUCCESS|_metadata|_common_metadata|.*\.crc")
_NULL = "__HIVE_DEFAULT_PARTITION__"
_PARTITION = re.compile(r"([^=]+)=(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Part:
    """One file to read, and the (column, value) that each directory above it names; None is NULL."""

    path: Path
    partitions: tuple[tuple[str, str | None], ...] = ()

    def own(self, columns: Columns, found: list[str], place: str) -> Columns:
        """Those of `columns` that the file itself must have. `found` are the file's; refuses by name what differs."""
        names = [name for name, _ in self.partitions]
        for name in names:
            if name in found:
                raise StepFailure(
                    "partitions_differ",
                    f"{place} has the column {name!r}, and so has its directory {name}=…",
                    "Drop the column from the files, or rename the directories.",
                )
        require_names([*found, *names], columns, place)
        return tuple(c for c in columns if c.name not in names)

    def typed(self, columns: Columns, place: str) -> dict[str, pa.Array]:
        """One value per partition column, in its declared type; refuses by name a value that does not fit."""
        wanted = {c.name: c for c in columns}
        found: dict[str, pa.Array] = {}
        for name, value in self.partitions:
            column = wanted.get(name, Column(name, ColumnType.TEXT))
            where = f"directory {name}=…"
            try:
                found[name] = from_text(pa.array([None if value is None else value.encode()], pa.binary()), column)
            except Unfit as err:
                raise StepFailure(
                    "value_does_not_fit",
                    f"{place}, {where}: {err.why}",
                    "Its digits are shown as 9 and its letters as a. Declare it as text, or rename the directory.",
                ) from err
            if column.required and found[name].null_count:
                raise required_is_null(place, column, where)
        return found

    def texts(self, rows: int) -> dict[str, pa.Array]:
        """The values that its directories name, as columns of bytes of so many rows."""
        return {
            name: pa.array([None if value is None else value.encode()] * rows, pa.binary())
            for name, value in self.partitions
        }

    def complete(self, batch: pa.RecordBatch, columns: Columns, place: str) -> pa.RecordBatch:
        """A batch of the file's own columns, with those that its directories name, in order."""
        if not self.partitions:
            return batch
        typed = self.typed(columns, place)
        arrays = [
            pa.repeat(typed[c.name][0], batch.num_rows).cast(arrow_type(c)) if c.name in typed else batch.column(c.name)
            for c in columns
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(columns))


@dataclass(frozen=True, slots=True)
class Parts:
    """What a directory holds: parts in order of path, and the names, relative to it, of files that are not read."""

    parts: tuple[Part, ...]
    skipped: tuple[str, ...] = ()


def parts_of(directory: Path, root: Path, suffixes: tuple[str, ...], holds_rows: Callable[[Path], bool]) -> Parts:
    """Find them below `directory`, which lies below `root`. `holds_rows` looks into a file of another name.

    Raises StepFailure by name for what might hide rows: links that lead out or to directories, table formats, files
    that hold rows under a name that is not read, and parts that are not all partitioned by the same columns.
    """
    parts: list[Part] = []
    skipped: list[str] = []
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        if OWN_DIRECTORY in path.relative_to(directory).parts:
            continue
        if path.name in _FORMATS or (path.parent.name == "metadata" and path.name.endswith(".metadata.json")):
            raise _format(directory, _FORMATS.get(path.name, "Iceberg"))
        if path.is_symlink():
            _require_link(path, name, root)
        if path.is_dir():
            continue
        hidden = any(each.startswith(("_", ".")) for each in path.relative_to(directory).parts)
        if path.suffix in suffixes and path.is_file() and not hidden:
            parts.append(Part(path, _partitions(path.relative_to(directory), directory)))
        elif not path.is_file():
            raise _hidden(directory, name, "is neither a file nor a directory")
        elif not hidden and (_is_named_like(path, suffixes) or holds_rows(path)):
            raise _hidden(directory, name, "holds rows under a name that is not read")
        elif not _EMPTY.fullmatch(path.name):
            skipped.append(name)
    _require_alike(parts, directory)
    return Parts(tuple(parts), tuple(skipped))


def _is_named_like(path: Path, suffixes: tuple[str, ...]) -> bool:
    """Whether a name is that of a part but for its case or a compression: PART.CSV, part.csv.gz."""
    name = path.name.lower()
    while name.endswith(_COMPRESSED):
        name = name[: name.rindex(".")]
    return name.endswith(suffixes) or (name != path.name.lower() and "." not in name)


def _require_link(path: Path, name: str, root: Path) -> None:
    target = path.resolve()
    if not path.exists():
        raise _hidden(path.parent, name, "is a link that leads nowhere")
    if path.is_dir():
        raise _hidden(path.parent, name, "is a link to a directory, which is not followed")
    if not target.is_relative_to(root.resolve()):
        raise _hidden(path.parent, name, "is a link that leaves the datastore's root")


def _partitions(below: Path, directory: Path) -> tuple[tuple[str, str | None], ...]:
    found: list[tuple[str, str | None]] = []
    for part in below.parts[:-1]:
        match = _PARTITION.fullmatch(part)
        if match is None:
            continue
        try:
            name, value = (unquote(each, errors="strict") for each in match.groups())
        except UnicodeDecodeError:
            raise _hidden(directory, part, "is a partition directory whose name is not UTF-8") from None
        found.append((name, None if value == _NULL else value))
    return tuple(found)


def _require_alike(parts: list[Part], directory: Path) -> None:
    for part in parts:
        names = [name for name, _ in part.partitions]
        first = [name for name, _ in parts[0].partitions]
        if names != first or len(set(names)) < len(names):
            said = "/".join(f"{name}=…" for name in names) or "no key=value directory"
            wanted = "/".join(f"{name}=…" for name in first) or "no key=value directory"
            raise StepFailure(
                "partitions_differ",
                f"{directory}: {part.path.relative_to(directory).name} lies in {said}, "
                f"{parts[0].path.relative_to(directory).name} in {wanted}",
                "Give every part the same key=value directories, or name the directories as datasets of their own.",
            )


def _hidden(directory: Path, name: str, why: str) -> StepFailure:
    return StepFailure(
        "rows_hidden",
        f"{directory}: {name!r} {why}",
        "Move it away, or rename it so that it is read as a part.",
    )


def _format(directory: Path, found: str) -> StepFailure:
    return StepFailure(
        "rows_hidden",
        f"{directory} is a {found} table: some of its files may hold rows that were deleted since",
        "Export the table's present rows to a directory of their own, and name that.",
    )
