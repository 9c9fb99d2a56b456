"""Values of rows inside a result of `validate`: whether it holds any, and the same result without them.

Keys, names of columns and shapes stay. Values may be there only where the Dataset said ``showValues: true`` when its
migration was planned, and not for ever; see docs/security.md.
"""

from __future__ import annotations

import json
from collections.abc import Collection

from google.protobuf.message import DecodeError
from haulier.v1 import kinds_pb2

KIND = "validate"
_WITHHELD = "another answer"


def shown_for_s(params: bytes) -> float:
    """Return for how many seconds an attempt's values may be kept: 0 where none may leave the host."""
    told = kinds_pb2.ValidateParams.FromString(params)
    return told.show_values_for_s if told.show_values else 0.0


def holds_values(result: bytes) -> bool:
    """Tell whether a result holds values of rows beyond their keys. What cannot be read may."""
    proof = _read(result)
    if proof is None or not proof.values_apart:
        return True
    rows = any(row.columns_json or (row.key_json and row.row_digest) for row in proof.differences)
    return rows or any(check.found_rows_json for check in proof.checks)


def without_values(params: bytes, result: bytes) -> bytes:
    """Return a result as it is without values of rows. One that cannot be read becomes empty."""
    proof = _read(result)
    if proof is None:
        return b""
    told = kinds_pb2.ValidateParams.FromString(params)
    key = {*told.source.key, *told.destination.key}
    questions = {question.name for question in told.test_queries}
    for row in proof.differences:
        _keep_names(row, key, apart=proof.values_apart)
    for check in proof.checks:
        check.ClearField("found_rows_json")
        # Agents of before wrote the rows, or what the engine said of them, into the text.
        if not proof.values_apart and check.name in questions and not check.passed:
            check.found = _WITHHELD
    proof.values_apart = True
    return proof.SerializeToString()


def retold(params: bytes, result: bytes) -> str:
    """Say again, from a result without values, why a dataset is not proven."""
    told, proof = kinds_pb2.ValidateParams.FromString(params), kinds_pb2.ValidateResult.FromString(result)
    failed = ", ".join(check.name for check in proof.checks if not check.passed)
    rows = f"; {proof.differences_count} rows differ" if proof.differences_count else ""
    return f"dataset {told.destination.dataset!r} is not proven: checks failed: {failed}{rows}"


def mixes_values(result: bytes) -> bool:
    """Tell whether a result is of an agent that may write values into any text, its failure's message too."""
    proof = _read(result)
    return proof is None or not proof.values_apart


def _keep_names(row: kinds_pb2.RowDifference, key: Collection[str], *, apart: bool) -> None:
    if not row.changed:
        row.changed.extend(kinds_pb2.ColumnDifference(column=name) for name in _names(row.columns_json))
    row.columns_json = ""
    if row.row_digest:
        row.key_json = ""
    elif not apart:
        cells = _names(row.key_json)
        kept = {name: value for name, value in cells.items() if name in key}
        row.key_json = json.dumps(kept, ensure_ascii=False) if kept else ""


def _names(text: str) -> dict[str, object]:
    try:
        value = json.loads(text) if text else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _read(result: bytes) -> kinds_pb2.ValidateResult | None:
    try:
        return kinds_pb2.ValidateResult.FromString(result)
    except DecodeError:
        return None
