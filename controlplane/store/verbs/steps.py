"""Steps: what they need, which may start, and every guarded move of them."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from controlplane.core.changes import Changes
from controlplane.core.model import Candidate, Migration, Requirements, Step, StepPlan
from controlplane.core.steps.admission import Full, UnderWay


class Body(NamedTuple):
    """The large half of a step."""

    template: str  # JSON with references left in
    params: bytes | None  # None until its references can be resolved
    result: bytes | None  # None until it succeeded


class Backlog(NamedTuple):
    """How much waits in one placement class."""

    placement_class: str
    requirements: Requirements
    ready: int
    running: int
    oldest_ready_at: float | None  # None where nothing is ready


class StepVerbs(Protocol):
    """Steps, their bodies and edges, and placement classes."""

    def apply(self, changes: Changes) -> None:
        """Write a whole decision and its events.

        Raises ``Conflict`` when a guard finds another state than the decision saw; the call must let it through, so
        that nothing of it is written.
        """
        ...

    def insert_steps(
        self,
        migration: Migration,
        ids: Sequence[str],
        plans: Sequence[StepPlan],
        classes: Sequence[str],
        first: int = 0,
    ) -> None:
        """Insert planned steps, blocked, with bodies and edges; ``ids`` and ``classes`` go with ``plans`` in order.

        ``first`` is the ordinal of the first of them in the migration; a plan needs only steps of the same call.
        """
        ...

    def steps_of(self, migration_id: str) -> list[Step]:
        """Return the steps of a migration by ordinal; none where there is no such migration."""
        ...

    def steps(self, step_ids: Sequence[str]) -> dict[str, Step]:
        """Return steps by id; one that does not exist is left out."""
        ...

    def step_named(self, migration_id: str, name: str) -> Step | None:
        """Return the step of a migration that has a name in its workflow."""
        ...

    def needs_of(self, migration_id: str) -> dict[str, list[str]]:
        """Return step id → ids of the steps that it needs; a step that needs none is left out."""
        ...

    def body(self, step_id: str) -> Body | None:
        """Return the large half of a step."""
        ...

    def bodies(self, step_ids: Sequence[str]) -> dict[str, Body]:
        """Return the large halves of steps by id; one that does not exist is left out."""
        ...

    def set_params(self, step_id: str, params: bytes) -> None:
        """Keep the parameters of a step in the place of any before. Raises ``Conflict`` where there is no such step."""
        ...

    def forget_results(self, step_ids: Sequence[str]) -> None:
        """Forget the results of steps, whose work was undone; one that has none is passed over."""
        ...

    def moved_on_by(self, step_ids: Sequence[str]) -> list[str]:
        """Return the migrations that the end of these steps may move on, each once.

        Left out, because nothing else can change: a forward step that nothing needs, while another step of its
        migration is yet to end. On the way back it is the other way round: a step frees those that it needed.
        """
        ...

    def overdue_steps(self, now: float, limit: int) -> list[Step]:
        """Return at most ``limit`` ready steps whose queue deadline has passed, the longest overdue first."""
        ...

    def wait_on(self, step_id: str, deadline_at: float) -> None:
        """Give a ready step a new queue deadline. Raises ``Conflict`` where it is not ready."""
        ...

    def candidates(self, placement_class: str, now: float, unseen_until: float, limit: int) -> list[Candidate]:
        """Return at most ``limit`` ready steps of a class that may start now: by priority, start of migration, ordinal.

        A target with a live writer is passed over; where no fence is checked, so is one whose last writer ended after
        ``unseen_until`` with nobody seeing it (promise L7).
        """
        ...

    def candidates_within(
        self, placement_class: str, now: float, unseen_until: float, full: Full, limit: int
    ) -> list[Candidate]:
        """Return what ``candidates`` does, without steps that would begin a migration where ``full`` forbids it.

        What is under way, every undo and every clean-up go on.
        """
        ...

    def under_way(self) -> list[UnderWay]:
        """Return the migrations under way, from their first forward lease until they stop moving, in order of start."""
        ...

    def ready_count(self, placement_class: str, now: float, limit: int) -> int:
        """Count the ready steps of a class whose instant has come, no further than ``limit``."""
        ...

    def backlog(self) -> list[Backlog]:
        """Return what is ready and what runs in each placement class, in order of class; also where nothing is."""
        ...

    def classes(self) -> dict[str, Requirements]:
        """Return all placement classes by name."""
        ...

    def put_class(self, name: str, requirements: Requirements) -> None:
        """Keep a placement class; one that is there stays as it is."""
        ...
