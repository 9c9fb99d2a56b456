"""What an ended migration leaves behind, how long it is kept, and what rollback can still do."""

from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import NamedTuple

from controlplane.core.model import Migration, Step
from controlplane.core.states import MIGRATION_ENDED, MigrationState, StepState

CLEAN_UP = "clean_up"  # the step kind
CLEAN_UP_SUFFIX = ".clean-up"  # no step of a workflow can be named so


class Left(StrEnum):
    """What a step leaves behind."""

    STAGED = "staged"  # parts, for steps after it
    FORMER = "former"  # what was at the destination before, for rollback


LEAVES_SOMETHING = MIGRATION_ENDED - {MigrationState.CANCELLED, MigrationState.ROLLED_BACK}
LEFT_BY = {"extract": Left.STAGED, "transform": Left.STAGED, "load": Left.FORMER}


class Kept(NamedTuple):
    """How long one migration's leftovers are kept after its end, and when their clean-up was planned. Seconds."""

    migration_id: str
    staged_s: float | None  # None: as long as the control plane is set to
    former_s: float | None
    staged_planned_at: float | None = None  # None: not yet
    former_planned_at: float | None = None

    def within(self, default: "Kept", limit_s: float) -> "Kept":
        """Fill in what the manifest leaves open; nothing is kept longer than the history that its clean-up needs."""
        staged_s = default.staged_s if self.staged_s is None else self.staged_s
        former_s = default.former_s if self.former_s is None else self.former_s
        assert staged_s is not None and former_s is not None, "a default is whole"
        return self._replace(staged_s=min(staged_s, limit_s), former_s=min(former_s, limit_s))

    def until(self, left: Left, ended_at: float) -> float:
        """Return when the clean-up of what is ``left`` is due."""
        kept_s = self.staged_s if left is Left.STAGED else self.former_s
        assert kept_s is not None, "terms are filled in first"
        return ended_at + kept_s

    def planned_at(self, left: Left) -> float | None:
        """Return when the clean-up of what is ``left`` was planned."""
        return self.staged_planned_at if left is Left.STAGED else self.former_planned_at

    def planned(self, lefts: Collection[Left], now: float) -> "Kept":
        """Remember that the clean-up of these was planned."""
        staged = now if Left.STAGED in lefts else self.staged_planned_at
        return self._replace(
            staged_planned_at=staged, former_planned_at=now if Left.FORMER in lefts else self.former_planned_at
        )


def due(migration: Migration, kept: Kept, now: float) -> frozenset[Left]:
    """Tell which leftovers of a migration have been kept long enough; none while it has not ended."""
    if migration.state not in MIGRATION_ENDED or migration.ended_at is None:
        return frozenset()
    ended_at = migration.ended_at
    return frozenset(left for left in Left if kept.planned_at(left) is None and kept.until(left, ended_at) <= now)


def to_clean(steps: Sequence[Step], lefts: Collection[Left]) -> list[Step]:
    """Return the steps that left something of these sorts behind, and that no clean-up was planned for.

    A step that was undone has taken everything with it.
    """
    names = {step.name for step in steps}
    return [
        step
        for step in steps
        if LEFT_BY.get(step.kind) in lefts
        and step.touched
        and step.state not in (StepState.UNDONE, StepState.CANCELLED)
        and step.name + CLEAN_UP_SUFFIX not in names
    ]


def former_may_be_gone(steps: Sequence[Step]) -> bool:
    """Tell whether a clean-up of former content was begun: from then on nobody can promise to put it back."""
    loads = {step.name for step in steps if LEFT_BY.get(step.kind) is Left.FORMER}
    return any(
        step.kind == CLEAN_UP and step.touched and step.name.removesuffix(CLEAN_UP_SUFFIX) in loads for step in steps
    )


class WayBack(StrEnum):
    """What a rollback of a migration that succeeded would do."""

    REMOVES = "removes"  # what was published; nothing was there before
    RESTORES = "restores"  # what was there before
    REFUSED = "refused"  # what was there before was removed


def way_back(migration: Migration, steps: Sequence[Step], *, was_empty: bool) -> WayBack | None:
    """Tell what a rollback would do now; None for a migration that has not succeeded. ``was_empty`` says that nothing
    was at the destination before."""
    if migration.state is not MigrationState.SUCCEEDED:
        return None
    if was_empty:
        return WayBack.REMOVES
    return WayBack.REFUSED if former_may_be_gone(steps) else WayBack.RESTORES
