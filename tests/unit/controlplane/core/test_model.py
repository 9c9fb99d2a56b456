"""Ids and fences."""

import doctest

from hypothesis import given
from hypothesis import strategies as st

from controlplane.core import events, model, states
from controlplane.core.events import asked_by
from controlplane.core.model import attempt_id, first_fence
from controlplane.core.steps import placement


@given(generation=st.integers(1, 2**31 - 1), granted=st.integers(0, 2**32 - 1))
def test_every_fence_of_a_newer_generation_passes_every_older_one(generation: int, granted: int) -> None:
    assert first_fence(generation) + granted < first_fence(generation + 1)
    assert first_fence(generation) + granted < 2**63


@given(st.integers(1, 2**60), st.integers(1, 2**60), st.integers(1, 1000), st.integers(1, 1000))
def test_no_two_attempts_share_an_id(step: int, other: int, number: int, another: int) -> None:
    same = attempt_id(f"step_{step:x}", number) == attempt_id(f"step_{other:x}", another)
    assert same == ((step, number) == (other, another))


def test_who_asked_is_part_of_what_people_read() -> None:
    assert asked_by("", "wrong table") == "wrong table"
    assert asked_by("", "") == ""
    assert asked_by("ada", "") == "by ada"
    assert asked_by("ada", "wrong table") == "wrong table (by ada)"


def test_the_examples_in_the_docstrings_are_true() -> None:
    for module in (events, model, placement, states):
        assert doctest.testmod(module).failed == 0
