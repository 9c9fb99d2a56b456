"""The Dataset kind: a named body of data with one home at a time, an owner and consumers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from controlplane.manifests.engines.files import Delimiter
from controlplane.manifests.kinds.column_types import UnknownType, parse_type
from controlplane.manifests.kinds.model import (
    Duration,
    Line,
    Model,
    Name,
    Priority,
    StepName,
    Text,
    YesNo,
    duration_s,
    refusal,
)
from controlplane.manifests.text.findings import shown, suggestion

# The most columns that a PostgreSQL table can have.
COLUMNS_MAX = 1600
SHOWN_FOR = "7d"


def _type(value: str) -> str:
    try:
        parse_type(value)
    except UnknownType as error:
        raise refusal(str(error), error.hint) from None
    return value


def _object(value: str) -> str:
    # One spelling for one place: a write target and its fence are known by this name.
    if "\\" in value or any(part in ("", ".", "..") for part in value.split("/")) or value != value.strip():
        raise refusal(
            "this must be a table's name, or a plain path below the datastore's root", "for example flights/2013.csv"
        )
    if value.split("/")[0].casefold().startswith(("_haulier", "haulier_")):
        raise refusal("names that begin with _haulier or haulier_ are Haulier's own", "choose another name")
    return value


def _consumer(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


ObjectName = Annotated[Line, AfterValidator(_object)]


class ColumnSpec(Model):
    """One column."""

    name: Line = Field(description="Name as the engine spells it.")
    type: Annotated[str, AfterValidator(_type)] = Field(
        description="bool, int64, decimal(p,s), float64, text, bytes, date, timestamp or timestamptz."
    )
    required: YesNo = Field(default=False, description="True where NULL is refused.")


class Consumer(Model):
    """A team or system that reads the dataset."""

    name: Line = Field(description="Who reads it.")
    contact: Line | None = Field(default=None, description="How to reach them.")
    location: Line | None = Field(default=None, description="Where their code is.")


class Transformation(Model):
    """A change of shape that this dataset needs on its way."""

    name: StepName = Field(description="Unique in the dataset.")
    sql: Text = Field(description="One SELECT over the view `input`.")
    description: Text = Field(default="", description="Why, for people.")


def _columns(columns: tuple[ColumnSpec, ...]) -> tuple[ColumnSpec, ...]:
    if len({column.name for column in columns}) < len(columns):
        raise refusal(f"the column {shown(_twice([column.name for column in columns]))} is declared twice")
    return columns


def _twice(names: list[str]) -> str:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return ""


Columns = Annotated[tuple[ColumnSpec, ...], Field(max_length=COLUMNS_MAX), AfterValidator(_columns)]


def check_key(key: tuple[str, ...], columns: tuple[ColumnSpec, ...]) -> PydanticCustomError | None:
    """Return what is wrong with a primary key, or None. Undeclared columns allow any key."""
    if len(set(key)) < len(key):
        return refusal(f"the key names the column {shown(_twice(list(key)))} twice")
    names = {column.name for column in columns}
    for name in key:
        if names and name not in names:
            return refusal(f"the key names the column {shown(name)}, which is not declared", suggestion(name, names))
    return None


class DatasetSpec(Model):
    """Where a dataset lives, who owns it, who reads it."""

    owner: Line = Field(description="Team or person who answers for the dataset.")
    datastore: Name = Field(description="Name of the Datastore it lives in now.")
    object: ObjectName = Field(description="Table name, or path below the datastore's root.")
    delimiter: Delimiter | None = Field(
        default=None, description="Field separator of this CSV file. Unset means the Datastore's."
    )
    null_text: Text | None = Field(
        default=None, description="Text that stands for NULL in this CSV file. Unset means the Datastore's."
    )
    columns: Columns = Field(default=(), description="Columns in order. CSV and SQLite sources must declare them.")
    key: tuple[Line, ...] = Field(default=(), max_length=COLUMNS_MAX, description="Columns of the primary key.")
    depends_on: tuple[Name, ...] = Field(
        default=(),
        max_length=1000,
        description="Datasets that must move first. Does not act yet: it is warned about.",
    )
    consumers: tuple[Annotated[Consumer, BeforeValidator(_consumer)], ...] = Field(
        default=(), max_length=1000, description="Who reads it: names, or mappings with name, contact and location."
    )
    priority: Priority = Field(default=0, description="Higher moves first.")
    window: Line | None = Field(
        default=None,
        description="When it may move. Does not act yet: it is warned about.",
    )
    transformations: tuple[Transformation, ...] = Field(
        default=(),
        max_length=1000,
        description="Changes of shape it needs. Do not act: see transform of a Migration.",
    )
    show_values: YesNo = Field(
        default=False, description="True where values of rows that differ may be sent to the control plane."
    )
    show_values_for: Duration | None = Field(
        default=None, description="How long the control plane keeps such values. Unset means 7d."
    )

    @model_validator(mode="after")
    def _consistent(self) -> DatasetSpec:
        error = check_key(self.key, self.columns) if self.key else None
        if error is not None:
            raise error
        if self.show_values_for is not None and not self.show_values:
            raise refusal("showValuesFor says nothing while no values are shown", "add showValues: true, or remove it")
        return self

    @property
    def values_shown_for_s(self) -> float:
        """Seconds for which the control plane keeps values of rows that differ; 0 where they stay on their host."""
        return duration_s(self.show_values_for or SHOWN_FOR) if self.show_values else 0.0
