"""A memory of limited size: what was put in last stays."""

from collections.abc import Mapping
from typing import Generic, TypeVar

V = TypeVar("V")


class Newest(Generic[V]):
    """Values by name; the name that was put in first makes room."""

    def __init__(self, values: Mapping[str, V]) -> None:
        self._values = dict(values)

    def put(self, name: str, value: V, names_max: int) -> None:
        """Remember a value as the newest, and at most `names_max` in all."""
        self._values.pop(name, None)
        self._values[name] = value
        while len(self._values) > names_max:
            del self._values[next(iter(self._values))]

    def get(self, name: str, default: V) -> V:
        """What was put in under a name."""
        return self._values.get(name, default)

    def __contains__(self, name: str) -> bool:
        return name in self._values
