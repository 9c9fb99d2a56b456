"""How the whole is: counts for eyes and metrics, and whether the store can write."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol


class Counts(NamedTuple):
    """How many there are in each state; a state that nothing is in is left out."""

    migrations: Mapping[str, int]  # of each name the newest iteration, by the state that people see
    steps: Mapping[str, int]
    agents: Mapping[str, int]  # by liveness; without those that are gone


class HealthVerbs(Protocol):
    """Counts, and a proof that writing works."""

    def counts(self) -> Counts:
        """Return how many migrations, steps and agents there are in each state."""
        ...

    def prove_writable(self, now: float) -> None:
        """Write one small thing, another each time, so that only a store that can write succeeds."""
        ...
