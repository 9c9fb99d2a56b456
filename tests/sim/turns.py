"""Whose turn it is: grants come in order of priority and start, and limits of migrations under way hold (promise S8).

Learned from the log and the rows alone: a step that was ready before a grant, and still is after the commit, was passed
over by it.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from controlplane.core.events import Event
from controlplane.core.model import Attempt, Step
from controlplane.core.states import Direction, StepState
from controlplane.core.steps.admission import UnderWay

if TYPE_CHECKING:
    from tests.sim.world import World


class Turns:
    """Follows the log, event by event."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._readied: dict[str, int] = {}  # step -> number of the event that made it ready last
        self._number = 0
        self._under_way: set[str] = set()
        self._rows: list[UnderWay] = []
        self._ready: dict[str, list[Step]] = {}  # placement class -> steps that are ready after this commit

    def before_look(self) -> None:
        """A commit is about to be followed."""
        self._rows = self._world.tx.under_way()
        self._ready = {}

    def follow(self, event: Event) -> None:
        """Take in one event."""
        self._number += 1
        if event.type == "StepReadied":
            self._readied[event.subject] = self._number

    def granted(self, event: Event, attempt: Attempt, writers: Mapping[str, str]) -> None:
        """A lease was granted: nobody who may have it, and comes before, was passed over."""
        granted = self._world.tx.steps([attempt.step_id])[attempt.step_id]
        limited = self._world.limits.on_migrations
        under_way = {each.id for each in self._rows}
        for step in self._still_ready(granted.placement_class):
            if _comes_before(step, granted) and step.ready_at < event.at and self._was_ready(step):
                begins = step.direction is Direction.FORWARD and step.migration_id not in under_way
                if step.target not in writers and step.fenced and not (limited and begins):
                    self._world.broken("S8", attempt.step_id, f"granted although {step.id} waits and comes before it")

    def after_look(self) -> None:
        """A commit was followed: whatever has set out in it had room."""
        before, self._under_way = self._under_way, {each.id for each in self._rows}
        plane, limits = self._world.plane, self._world.limits
        set_out = [each for each in self._rows if each.id not in before]
        if not set_out or plane is None or plane.sessions.offers.limits != limits:
            return
        if self._used_up():
            self._world.mark("a limit of migrations was used up")
        if limits.migrations_in_all is not None and len(self._rows) > limits.migrations_in_all:
            told = f"{len(self._rows)} migrations are under way, allowed are {limits.migrations_in_all}"
            self._world.broken("S8", set_out[0].id, told)
        for datastore, most in limits.migrations.items():
            here = [each for each in self._rows if each.touches(datastore)]
            if len(here) > most and any(each.touches(datastore) for each in set_out):
                told = f"{len(here)} migrations are under way at {datastore}, allowed are {most}"
                self._world.broken("S8", set_out[0].id, told)

    def _used_up(self) -> bool:
        limits = self._world.limits
        return len(self._rows) == limits.migrations_in_all or any(
            sum(each.touches(datastore) for each in self._rows) == most for datastore, most in limits.migrations.items()
        )

    def _still_ready(self, placement_class: str) -> list[Step]:
        if placement_class not in self._ready:
            found = self._world.connection.execute(
                "SELECT id FROM step WHERE state = ? AND placement_class = ?", (StepState.READY, placement_class)
            )
            self._ready[placement_class] = list(self._world.tx.steps([row[0] for row in found]).values())
        return self._ready[placement_class]

    def _was_ready(self, step: Step) -> bool:
        return self._readied.get(step.id, self._number) < self._number


def _comes_before(step: Step, granted: Step) -> bool:
    if step.priority != granted.priority:
        return step.priority > granted.priority
    return (int(step.migration_id[4:], 16), step.ordinal) < (int(granted.migration_id[4:], 16), granted.ordinal)
