"""CSV files with a header line. Columns are declared by the manifest: text alone never decides a type.

Reading is strict: every record has the header's number of fields, every quote is closed, every value means exactly one
value of its column. An unquoted field that equals the NULL text is NULL; a quoted one never is.
"""

import codecs
import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv as pacsv

from agentd.datastores.files.directory import DirectoryDatastore
from agentd.datastores.files.places import CsvPlace
from agentd.datastores.forms.arrow_form import require_names, required_is_null
from agentd.datastores.forms.copy_text import quoted_lines
from agentd.datastores.forms.text_cells import Unfit, from_text
from agentd.datastores.port.datastore import Description, Location
from agentd.datastores.port.definitions import Definition
from agentd.datastores.port.failures import StepFailure
from agentd.datastores.port.sharing import Sharing
from agentd.disk import durable
from agentd.proof.types import Column, Columns, ColumnType, arrow_schema

_BLOCK_BYTES = 8 * 1024 * 1024
_SAMPLE_BYTES = 256 * 1024


class _Counted:
    """A file that counts the quotes read from it: an odd number means that the last one was never closed."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.quotes = 0
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        self.quotes += block.count(b'"')
        return block

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True


class CsvDatastore(DirectoryDatastore):
    """CSV files below one root."""

    engine = "csv"
    suffixes = (".csv", ".tsv", ".txt")

    def __init__(self, place: CsvPlace) -> None:
        super().__init__(place.name, place.root, Sharing(place.name, place.file_mode, place.group))
        self.delimiter = place.delimiter or ","
        self.null_text = place.null_text

    def header(self, path: Path) -> list[str]:
        """Column names of a file."""
        try:
            # What is not UTF-8 further on is named with its line when it is read; in a name it matches no column.
            with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
                return next(csv.reader(file, delimiter=self.delimiter), [])
        except csv.Error as err:
            raise StepFailure(
                "corrupt_file", f"{path}: the header line is not CSV in UTF-8", "Write the file again in UTF-8."
            ) from err

    def _has_records(self, path: Path) -> bool:
        """Whether anything follows the header line; the reader below takes a lone header for a broken file."""
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            reader = csv.reader(file, delimiter=self.delimiter)
            next(reader, None)
            try:
                return next(reader, None) is not None
            except csv.Error:
                return True

    def names_of(self, path: Path) -> list[str]:
        """Names in the header line."""
        return self.header(path)

    def describe_file(self, path: Path, location: Location) -> Description:
        """The declared columns, which a file cannot say."""
        if not location.columns:
            raise StepFailure(
                "columns_not_declared",
                f"{self.name}:{location.object}: a CSV file has no types, and the Dataset declares no columns",
                "Declare the columns; `haulier inspect` proposes them.",
            )
        return Description(location.columns, location.key, _rows_estimate(path))

    def define_file(self, path: Path) -> list[Definition]:
        """Nothing: a CSV file has its rows only."""
        del path
        return []

    def holds_rows(self, path: Path) -> bool:
        """Whether its name says nothing: such a file may well be a part."""
        return not path.suffix

    def read_file(self, path: Path, columns: Columns) -> Iterator[pa.RecordBatch]:
        """All rows in exact Arrow form."""
        place = f"{self.name}:{path.name}"
        names = self.header(path)
        require_names(names, columns, place)
        if not self._has_records(path):
            return
        rows = 0
        with path.open("rb") as file:
            if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
                file.seek(0)
            counted = _Counted(file)
            try:
                for batch in self._reader(counted, names, self.null_text):
                    yield self._typed(batch, columns, path, rows)
                    rows += batch.num_rows
            except pa.ArrowInvalid as err:
                raise self._broken(path, err) from err
            if counted.quotes % 2:
                raise StepFailure(
                    "corrupt_file",
                    f"{place}: a quote is never closed, so the file may be cut short",
                    "Write the file again, with quotes inside values doubled.",
                )

    def raw(self, found: str, null_text: str) -> Iterator[dict[str, Any]]:
        """Columns of bytes, batch by batch, with only NULL told apart: what a proposal of types is made from."""
        for part in self.parts(found).parts:
            path = part.path
            names = self.header(path)
            require_names(names, tuple(Column(n, ColumnType.TEXT) for n in names), f"{self.name}:{path.name}")
            if not self._has_records(path):
                continue
            with path.open("rb") as file:
                if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
                    file.seek(0)
                try:
                    for batch in self._reader(_Counted(file), names, null_text):
                        yield dict(zip(names, batch.columns, strict=True)) | part.texts(batch.num_rows)
                except pa.ArrowInvalid as err:
                    raise self._broken(path, err) from err

    def _broken(self, path: Path, err: Exception) -> StepFailure:
        if "straddling" in str(err):
            return StepFailure(
                "value_does_not_fit",
                f"{self.name}:{path.name}: a record is longer than {_BLOCK_BYTES >> 20} MiB",
                "Split the record, or look for a quote that is never closed.",
            )
        # The library quotes the record; its numbers are all that may leave the host.
        found = re.search(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)", str(err))
        which = f"record {found[1]}, the header being 1," if found and found[1] else "a record"
        said = f"{which} has not {found[2]} fields but {found[3]}" if found else "a record is not CSV in UTF-8"
        return StepFailure("corrupt_file", f"{self.name}:{path.name}: {said}", "Mend the record in the source file.")

    def _reader(self, file: _Counted, names: list[str], null_text: str) -> Iterator[pa.RecordBatch]:
        options = pacsv.ConvertOptions(
            column_types={n: pa.binary() for n in names},
            null_values=[null_text],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        reader = pacsv.open_csv(
            pa.PythonFile(file, mode="r"),
            read_options=pacsv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
            parse_options=pacsv.ParseOptions(
                delimiter=self.delimiter, newlines_in_values=True, ignore_empty_lines=False
            ),
            convert_options=options,
        )
        yield from reader

    def _typed(self, batch: pa.RecordBatch, columns: Columns, path: Path, rows: int) -> pa.RecordBatch:
        arrays = []
        for column in columns:
            try:
                found = from_text(batch.column(column.name), column)
            except Unfit as err:
                where = self._where(path, rows + err.index)
                raise StepFailure(
                    "value_does_not_fit",
                    f"{self.name}:{path.name}, {where}, column {column.name!r}: {err.why}",
                    "Its digits are shown as 9 and its letters as a. Mend the value, declare another type, or set the "
                    "Datastore's nullText if it stands for NULL.",
                ) from err
            if column.required and found.null_count:
                index = found.is_null().index(pa.scalar(True)).as_py()
                raise required_is_null(f"{self.name}:{path.name}", column, self._where(path, rows + index))
            arrays.append(found)
        return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(columns))

    def _where(self, path: Path, index: int) -> str:
        """Line and record of a row, found by reading again: only ever done to explain a failure."""
        csv.field_size_limit(2**31 - 1)
        try:
            with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
                reader = csv.reader(file, delimiter=self.delimiter)
                for record, _ in enumerate(reader):
                    if record == index + 1:
                        return f"line {reader.line_num}"
        except csv.Error:
            pass
        return f"record {index + 1}"

    def write_file(self, path: Path, columns: Columns, batches: Iterator[pa.RecordBatch]) -> int:
        """A header line, then one record per row with every value quoted and NULL as the NULL text."""
        rows = 0
        header = self.delimiter.join('"' + c.name.replace('"', '""') + '"' for c in columns) + "\n"
        with path.open("xb") as file:
            file.write(header.encode())
            for batch in batches:
                file.write(self._lines(batch, columns, path, rows))
                rows += batch.num_rows
            durable.sync_file(file)
        return rows

    def _lines(self, batch: pa.RecordBatch, columns: Columns, path: Path, rows: int) -> bytes:
        try:
            return quoted_lines(batch, columns, self.delimiter, self.null_text)
        except Unfit as err:
            raise StepFailure(
                "value_does_not_fit",
                f"{self.name}:{path.name}: row {rows + err.index + 1}: {err.why}",
                "Mend it in a transform.",
            ) from err


def _rows_estimate(path: Path) -> int:
    """About how many rows a file has, by the length of its first lines."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(_SAMPLE_BYTES)
    lines = start.count(b"\n")
    return 0 if lines < 2 else max(0, round(lines * size / len(start)) - 1)
