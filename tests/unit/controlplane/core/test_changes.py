"""Putting decisions together."""

from dataclasses import fields
from typing import Any

from controlplane.core.changes import Changes


def test_extending_keeps_every_list_in_order() -> None:
    make: Any = Changes
    one = make(**{field.name: [f"{field.name} 1"] for field in fields(Changes)})
    other = make(**{field.name: [f"{field.name} 2"] for field in fields(Changes)})
    one.extend(other)
    for field in fields(Changes):
        assert getattr(one, field.name) == [f"{field.name} 1", f"{field.name} 2"]
        assert getattr(other, field.name) == [f"{field.name} 2"]
