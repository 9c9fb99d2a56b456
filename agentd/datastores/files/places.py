"""Where a datastore of files is."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class CsvPlace:
    """CSV files below `root`. `null_text` stands for NULL in an unquoted field.

    Of this and of each place of files: `file_mode` and `group` are those of files that are made, 0 and "" where the
    Datastore says nothing."""

    name: str
    root: Path
    delimiter: str = ","
    null_text: str = ""
    file_mode: int = 0
    group: str = ""


@dataclass(frozen=True, slots=True)
class ParquetPlace:
    """Parquet files below `root`."""

    name: str
    root: Path
    file_mode: int = 0
    group: str = ""
