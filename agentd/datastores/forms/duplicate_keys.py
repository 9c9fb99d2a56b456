"""Failure for a declared key that names more than one row: which columns, and what such a key looks like."""

from collections.abc import Sequence

from agentd.datastores.forms.text_cells import shape
from agentd.datastores.port.failures import StepFailure


def key_not_unique(place: str, key: Sequence[str], found: Sequence[object] | None = None) -> StepFailure:
    """`found` is one key that is there twice, told by the shapes of its values; None where it was not found again."""
    names = ", ".join(repr(name) for name in key)
    shapes = "" if found is None else f", for instance {' and '.join(shape(_text(v)) for v in found)}"
    return StepFailure(
        "key_not_unique",
        f"{place}: the declared key ({names}) names more than one row{shapes}",
        "Mend `key` in the Dataset, or remove the doubled rows at the source or in a transform.",
    )


def _text(value: object) -> object:
    return value if isinstance(value, str | bytes) else str(value)
