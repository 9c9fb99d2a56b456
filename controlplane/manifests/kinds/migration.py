"""The Migration kind: one dataset going from its home to another under one workflow."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from controlplane.manifests.kinds.dataset import COLUMNS_MAX, Columns, ObjectName, check_key
from controlplane.manifests.kinds.model import Duration, Identifier, Line, Model, Name, Priority, Text
from controlplane.manifests.kinds.waivers import WaiverText


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return value


Cell = Annotated[Annotated[str, Field(max_length=100_000)] | None, BeforeValidator(_cell)]


class TestQuerySpec(Model):
    """One question to the destination, with the rows expected for an answer."""

    # The name begins with Test, which would make pytest collect the class.
    __test__ = False

    name: Line = Field(description="Name for messages.")
    sql: Text = Field(
        description="One SELECT in the destination's dialect; files see the dataset as the view `dataset`."
    )
    expect: tuple[tuple[Cell, ...], ...] = Field(description="Expected rows in order: lists of cells; null is NULL.")


class DestinationSpec(Model):
    """Where a migration goes."""

    datastore: Name = Field(description="Name of the destination's Datastore.")
    object: ObjectName = Field(description="Table name, or path below the datastore's root.")
    if_exists: Literal["refuse", "replace"] = Field(
        default="refuse", description="What to do with an object that is already there."
    )
    columns: Columns = Field(default=(), description="Columns after a transform. Unset means whatever it yields.")
    key: tuple[Line, ...] = Field(default=(), max_length=COLUMNS_MAX, description="Primary key after a transform.")

    @model_validator(mode="after")
    def _consistent(self) -> DestinationSpec:
        error = check_key(self.key, self.columns) if self.key else None
        if error is not None:
            raise error
        return self


class RetentionSpec(Model):
    """How long what a migration leaves behind is kept once it has ended."""

    staged: Duration | None = Field(default=None, description="Staged parts. Unset means the control plane's setting.")
    former: Duration | None = Field(
        default=None,
        description="Former content of the destination, kept for rollback. Unset means the control plane's setting.",
    )


class MigrationSpec(Model):
    """What moves, where to, and how."""

    dataset: Name = Field(description="Name of the Dataset.")
    workflow: Name = Field(description="Name of the Workflow.")
    to: DestinationSpec = Field(description="The destination.")
    staging: Name = Field(description="Name of the parquet Datastore for staged parts.")
    transform: Text | None = Field(default=None, description="One SELECT over the view `input`.")
    test_queries: tuple[TestQuerySpec, ...] = Field(
        default=(), max_length=1000, description="Questions that validate asks."
    )
    waive: tuple[WaiverText, ...] = Field(
        default=(), max_length=1000, description="What a replaced object may lose: KIND, or KIND:NAME for one of them."
    )
    retention: RetentionSpec = Field(default=RetentionSpec(), description="How long what it leaves behind is kept.")
    parameters: dict[Identifier, Any] = Field(default={}, description="Values of the workflow's parameters.")
    priority: Priority | None = Field(default=None, description="Higher moves first. Unset means the dataset's.")
    start: Literal["auto", "manual"] = Field(default="manual", description="auto starts as soon as it is applied.")
