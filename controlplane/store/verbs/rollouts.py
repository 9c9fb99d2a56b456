"""Rollouts, and every host's part in them."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from controlplane.core.rollouts.model import HostState, Rollout, RolloutChanges, RolloutHost


class WaveCount(NamedTuple):
    """How many hosts of a wave are in one state."""

    wave: int
    state: HostState
    hosts: int
    asked: int  # how many of them were ever asked


class RolloutVerbs(Protocol):
    """Rollouts; a decision on one is guarded by its revision."""

    def rollout(self, rollout_id: str) -> Rollout | None:
        """Return one rollout."""
        ...

    def rollouts(self, fleet: str, limit: int) -> list[Rollout]:
        """Return at most ``limit`` rollouts of a fleet, or of all when it is empty, the newest first."""
        ...

    def watched_rollouts(self) -> list[Rollout]:
        """Return the rollouts that a look may move on, oldest first.

        They are under way, or the last of their fleet with a host that may still be heard.
        """
        ...

    def rollout_hosts(self, rollout_id: str) -> list[RolloutHost]:
        """Return every host's part in a rollout, by wave, then by agent id."""
        ...

    def rollout_counts(self, rollout_id: str) -> list[WaveCount]:
        """Return how many hosts of each wave are in each state, by wave, then by state; none of them is 0."""
        ...

    def insert_rollout(self, rollout: Rollout, hosts: Sequence[RolloutHost]) -> None:
        """Keep a rollout, whose id is new, with its hosts."""
        ...

    def save_rollout(self, changes: RolloutChanges, now: float) -> None:
        """Write a decision, and note the past of every host that it asks.

        Raises ``Conflict`` when the rollout was decided on, or a host moved, since the decision was made.
        """
        ...
