"""Migrations and their iterations, and how they look to people."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from controlplane.core.model import Migration
from controlplane.core.states import MigrationState, shown_state


class Selectable(NamedTuple):
    """A Migration that was applied or started, with all that people select it by."""

    name: str
    migration_id: str  # of its newest iteration; empty when it never started
    state: str  # of that
    labels: Mapping[str, str]
    owner: str  # of its dataset


class ReplannedStep(NamedTuple):
    """A step that is planned anew."""

    step_id: str
    placement_class: str
    template: str
    params: bytes | None  # None: those of before stay until the step is ready again, because its undo needs them


class Progress(NamedTuple):
    """How far the first running attempt of a migration has come."""

    stage: str
    watermark: int
    total: int
    done_bytes: int


class MigrationSummary(NamedTuple):
    """A migration at a glance. Clean-ups are not among its steps here."""

    id: str
    name: str
    dataset: str
    workflow: str
    state: MigrationState
    reason: str
    reason_code: str  # of the first step that failed or is stuck; empty where there is none
    source: str
    destination: str
    created_at: float
    ended_at: float | None
    iteration: int
    iterations: int  # how many its name has
    labels: Mapping[str, str]  # of its manifest as it is applied now
    owner: str  # of its dataset as it is applied now; empty where that is not applied
    steps_done: int
    steps_total: int
    current_step: str  # empty when every step has ended
    progress: Progress | None  # None while nothing runs
    results: Mapping[str, bytes]  # of its succeeded extract and validate steps, by kind

    @property
    def shown(self) -> str:
        """The state that people see."""
        return shown_state(self.state, working=self.progress is not None)


class MigrationVerbs(Protocol):
    """Migrations, what they were planned from, and their summaries."""

    def insert_migration(self, migration: Migration) -> None:
        """Insert a started migration; its id is new, and no other iteration of its name is open."""
        ...

    def migration(self, migration_id: str) -> Migration | None:
        """Return one migration."""
        ...

    def migration_by_name(self, name: str) -> Migration | None:
        """Return the newest iteration of a name."""
        ...

    def iterations_of(self, name: str) -> list[Migration]:
        """Return all iterations of a name, oldest first."""
        ...

    def newest_iterations(self) -> dict[str, Migration]:
        """Return name → newest iteration, of every name that was ever started."""
        ...

    def migrations_at(self, place: str) -> list[Migration]:
        """Return every migration that publishes at a destination, oldest first."""
        ...

    def asking_at(self, place: str) -> list[Migration]:
        """Return the failed and stuck migrations to a destination, in order of id."""
        ...

    def published_fence(self, migration: Migration) -> int:
        """Return the fence under which a migration published at its destination; 0 where it did not, or is undone."""
        ...

    def movable_migration_ids(self) -> list[str]:
        """Return the open migrations that a look may move on, in order of id.

        Left out are those that only wait for a step to end.
        """
        ...

    def migration_ids(self) -> list[str]:
        """Return all migrations that were not compacted, in order of id."""
        ...

    def selectable(self) -> list[Selectable]:
        """Return every Migration that was applied or started, in order of name."""
        ...

    def basis(self, migration_id: str) -> dict[str, int]:
        """Return "Kind/name" → generation of what an iteration was planned from; empty where nobody kept it."""
        ...

    def put_basis(self, migration_id: str, generations: Mapping[str, int]) -> None:
        """Keep the generations that an iteration was planned from, in the place of any before."""
        ...

    def replan(self, migration_id: str, source: str, steps: Sequence[ReplannedStep]) -> None:
        """Give a migration another source and some of its steps another plan.

        Raises ``Conflict`` where one of them does not exist.
        """
        ...

    def discards_changes(self, migration_id: str) -> bool:
        """Tell whether a person agreed that the undo of a migration may lose what others changed."""
        ...

    def discard_changes(self, migration_id: str) -> None:
        """Keep that a person agreed to it; a repeat changes nothing."""
        ...

    def summaries(
        self, states: Sequence[str], after: str, limit: int, *, every_iteration: bool = False
    ) -> list[MigrationSummary]:
        """Return at most ``limit`` migrations whose id follows ``after``, in order of id.

        Of a name it is the newest iteration, or every one; no ``states`` means all of them.
        """
        ...

    def summary(self, migration_id: str) -> MigrationSummary | None:
        """Return one migration at a glance, whichever iteration it is."""
        ...
