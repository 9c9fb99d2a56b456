"""Clean-ups: retentions that run out, people who do not wait for them, and what must stay (promise S11).

Known from the outside only: what the log says of ends and of people's words, and what a clean-up takes.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from controlplane.core.events import Event
from controlplane.core.migrations.clean_up import CLEAN_UP_SUFFIX, LEAVES_SOMETHING, Kept, Left
from tests.sim.destinations import Target, Writer

if TYPE_CHECKING:
    from tests.sim.plane import Plane
    from tests.sim.world import World

LEFT_BY = {"sim-publish": Left.FORMER, "sim-check": Left.STAGED}
HISTORY_S = 20_000.0


def clean_up_params(kind: str, step_id: str, params: bytes) -> tuple[bytes, str]:
    """As the product's of this name, for the step kinds of the simulator."""
    done = json.loads(params)
    told = {
        "does": "clean_up",
        "left": LEFT_BY[kind],
        "of_step": step_id,
        "rows": 0,
        "ticks": 1,
        "tick_s": done["tick_s"],
        "fails": done["undo_fails"],
        "undo_fails": (0.0, 0.0, 0.0),
        "refutes": 0.0,
    }
    return json.dumps(told).encode(), "lake"


class Tidying:
    """In some of the histories: retentions are short, and people ask for clean-ups while faults are active."""

    def __init__(self, world: "World", rng: Random) -> None:
        self._world = world
        self._rng = rng
        self.wanted = rng.random() < 0.4
        self._every_s = rng.choice((1e9, 40.0, 15.0))
        self.terms = (rng.choice((5.0, 60.0, 1e9)), rng.choice((5.0, 40.0, 120.0, 1e9)), HISTORY_S)
        self._asked: set[str] = set()  # migrations whose clean-up somebody asked for
        if self.wanted:
            for name, planned in world.load.planned.items():
                staged_s, former_s = rng.choice((None, None, 10.0)), rng.choice((None, None, 20.0, 200.0))
                world.load.planned[name] = replace(planned, staged_kept_s=staged_s, former_kept_s=former_s)

    def begin(self) -> None:
        """Let the first wish come."""
        if self.wanted and self._every_s < 1e9:
            self._world.loop.call_later(self._rng.expovariate(1 / self._every_s), self._act)

    def _act(self) -> None:
        if not self._world.faults.active:
            return
        names = None if self._rng.random() < 0.2 else [self._rng.choice(list(self._world.load.planned))]

        async def ask(plane: "Plane") -> None:
            await plane.clean_ups.ask(names, "operator")

        self._world.operators.ask(f"clean up {names or 'all'}", ask)
        if names and self._rng.random() < 0.5:
            self._change_mind(names[0])
        self.begin()

    def _change_mind(self, name: str) -> None:
        """Whoever let go of the former content wants it back."""

        async def ask(plane: "Plane") -> None:
            migration_id = await plane.migrations.undo(
                name, "MigrationRollbackAsked", "changed their mind", discard_changes=self._rng.random() < 0.3
            )
            self._world.watch.undo_answered(migration_id)

        later_s = self._rng.choice((0.0, 0.05, 1.0, 10.0, 20.0, 40.0))
        self._world.loop.call_later(later_s, self._world.operators.ask, f"rollback {name} after all", ask)

    # What the log says.

    def committed(self, events: Sequence[Event]) -> None:
        """Look at what was planned in a commit: something allowed it."""
        asked = {event.subject for event in events if event.type == "MigrationCleanUpAsked"}
        self._asked |= asked
        for event in events:
            migration_id = event.migration_id
            if event.type != "StepPlanned" or migration_id is None or not event.detail.endswith(CLEAN_UP_SUFFIX):
                continue
            if migration_id in self._asked:
                self._world.mark("a person asked for a clean-up")
                continue
            self._world.mark("a retention ran out")
            self._require_due(event, migration_id)

    def _require_due(self, event: Event, migration_id: str) -> None:
        tx = self._world.tx
        migration, kept = tx.migration(migration_id), tx.kept(migration_id)
        assert migration is not None and kept is not None, "its events name it"
        step = next(each for each in tx.steps_of(migration_id) if each.id == event.subject)
        names = {each.name: each.kind for each in tx.steps_of(migration_id)}
        left = LEFT_BY[names[step.name.removesuffix(CLEAN_UP_SUFFIX)]]
        terms = kept.within(Kept("", *self.terms[:2]), HISTORY_S)
        if migration.ended_at is not None and event.at + 0.01 < terms.until(left, migration.ended_at):
            self._broken(event.subject, f"what is {left} was to be kept for longer, and nobody asked for its clean-up")

    # What reaches a destination.

    def effect(self, target: Target, what: str, writer: Writer) -> None:
        """A clean-up took something, or an undo missed what a clean-up has taken."""
        migration = self._world.tx.migration(writer.migration_id)
        assert migration is not None, "a step of it was granted"
        if what == "withdraw in vain":
            self._broken(writer.step_id, f"an undo was begun, and what it puts back at {target.name} was cleaned up")
            return
        if what == "remove parts":
            self._world.mark("staged parts were cleaned up")
            return
        self._world.mark("former content was cleaned up")
        self._world.watch.theirs.cleaned(target)
        if migration.state not in LEAVES_SOMETHING:
            self._broken(writer.step_id, f"former content at {target.name} was removed, and it is {migration.state}")

    def _broken(self, subject: str, message: str) -> None:
        self._world.broken("S11", subject, message)
