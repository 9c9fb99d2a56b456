"""What a proof tells of the data: keys, names of columns and shapes of values.

The values themselves leave the host only where the Dataset says so, and then only in fields of their own
(`key_json` of a row without a key, `columns_json`, `found_rows_json`), so that the control plane can withhold them from
viewers and let them go in time. No text holds one.
"""

import json
from collections.abc import Sequence

from haulier.v1 import kinds_pb2 as k

from agentd.datastores.forms.text_cells import shape
from agentd.datastores.port.datastore import Cells
from agentd.proof.diff import Row, RowDifference

ANSWER_ROWS_MAX = 100
_ROWS_TOLD_MAX, _CELLS_TOLD_MAX = 3, 8


def difference(row: RowDifference, *, values: bool) -> k.RowDifference:
    """A differing row as the contract has it; with its values only if `values`."""
    told = k.RowDifference(kind=row.kind)
    if row.key:
        told.key_json = _object(row.key)
    else:
        told.row_digest = row.digest
    wanted, got = row.expected or {}, row.found or {}
    for name in row.changed():
        told.changed.add(column=name, expected_shape=_look(wanted[name]), found_shape=_look(got.get(name)))
    if values and told.changed:
        told.columns_json = json.dumps({n: [wanted[n], got.get(n)] for n in row.changed()}, ensure_ascii=False)
    if values and not row.key and (wanted or got):
        told.key_json = _object(wanted or got)
    return told


def answer(name: str, expected: list[Cells], found: list[Cells], *, passed: bool, values: bool) -> k.Check:
    """The check of a test query. What was expected stands in the manifest; what was found is shown only if `values`."""
    told = _told(expected, [["NULL" if c is None else c for c in row] for row in expected[:_ROWS_TOLD_MAX]])
    check = k.Check(name=name, passed=passed, expected=told, expected_rows_json=map(_array, expected))
    if passed:
        # Equal to what the manifest has, so nothing new is told.
        check.found = told
        return check
    check.found = _told(found, [[_look(c) for c in row[:_CELLS_TOLD_MAX]] for row in found[:_ROWS_TOLD_MAX]])
    if values:
        check.found_rows_json.extend(map(_array, found[:ANSWER_ROWS_MAX]))
    return check


def _look(cell: str | None) -> str:
    return "NULL" if cell is None else shape(cell)


def _told(rows: Sequence[Cells], shown: Sequence[Sequence[str]]) -> str:
    """ "2 rows: (1, a); (2, b)"."""
    if not rows:
        return "no rows"
    count = "1 row" if len(rows) == 1 else f"{len(rows)} rows"
    listed = "; ".join(
        f"({', '.join(row)}{', …' if len(row) < len(whole) else ''})" for row, whole in zip(shown, rows, strict=False)
    )
    return f"{count}: {listed}" + ("; …" if len(shown) < len(rows) else "")


def _object(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False)


def _array(row: Cells) -> str:
    return json.dumps(row, ensure_ascii=False)
