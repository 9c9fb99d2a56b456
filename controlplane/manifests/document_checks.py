"""Checks of one document by itself that go beyond the form of its fields."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from controlplane.manifests.compiling.workflow_checks import check_workflow
from controlplane.manifests.kinds.dataset import DatasetSpec
from controlplane.manifests.kinds.migration import MigrationSpec
from controlplane.manifests.kinds.workflow import WorkflowSpec
from controlplane.manifests.sql.guard import SqlRefused, Statement, check_select
from controlplane.manifests.text.findings import FieldPath, Problem, shown


def check_document(spec: BaseModel) -> list[Problem]:
    """Return what is wrong in a spec whose fields have the right form."""
    if isinstance(spec, WorkflowSpec):
        return check_workflow(spec)
    if isinstance(spec, DatasetSpec):
        return _check_dataset(spec)
    if isinstance(spec, MigrationSpec):
        return _check_migration(spec)
    return []


def _check_dataset(spec: DatasetSpec) -> list[Problem]:
    problems = _twice([change.name for change in spec.transformations], ("spec", "transformations"))
    for index, change in enumerate(spec.transformations):
        problems += _check_sql(change.sql, Statement.TRANSFORM, ("spec", "transformations", index, "sql"))
    return problems


def _check_migration(spec: MigrationSpec) -> list[Problem]:
    problems = _twice([query.name for query in spec.test_queries], ("spec", "testQueries"))
    if spec.transform is not None:
        problems += _check_sql(spec.transform, Statement.TRANSFORM, ("spec", "transform"))
    elif spec.to.columns or spec.to.key:
        field = "columns" if spec.to.columns else "key"
        message = f"without a transform the destination has the dataset's own {field}"
        problems.append(Problem(("spec", "to", field), message, f"remove {field}, or add a transform"))
    for index, query in enumerate(spec.test_queries):
        at: FieldPath = ("spec", "testQueries", index)
        problems += _check_sql(query.sql, Statement.TEST_QUERY, (*at, "sql"))
        widths = {len(row) for row in query.expect}
        if len(widths) > 1:
            problems.append(Problem((*at, "expect"), "the expected rows differ in their number of cells", ""))
    return problems


def _twice(names: Sequence[str], at: FieldPath) -> list[Problem]:
    return [
        Problem((*at, index, "name"), f"the name {shown(name)} is used twice", "give each its own name")
        for index, name in enumerate(names)
        if name in names[:index]
    ]


def _check_sql(sql: str, statement: Statement, at: FieldPath) -> list[Problem]:
    try:
        check_select(sql, statement)
    except SqlRefused as error:
        return [Problem(at, f"line {error.line} of this SQL: {error}", error.hint)]
    return []
