"""People and programs that work at the destinations past Haulier, and those who then say what may be lost."""

from random import Random
from typing import TYPE_CHECKING

from tests.sim.destinations import Target

if TYPE_CHECKING:
    from tests.sim.plane import Plane
    from tests.sim.world import World

ACTS = ("write", "write", "replace", "replace", "forget", "restore", "lose kept")
REASON = "nobody needs it"


class Outsiders:
    """Act at random instants while faults are active, in some of the histories."""

    def __init__(self, world: "World", rng: Random) -> None:
        self._world = world
        self._rng = rng
        self._every_s = rng.choice((1e9, 1e9, 30.0, 12.0))
        self._acts = 0

    def begin(self) -> None:
        """Let the first act come."""
        if self._every_s < 1e9:
            self._world.loop.call_later(self._rng.expovariate(1 / self._every_s), self._act)

    def _act(self) -> None:
        if not self._world.faults.active:
            return
        if self._rng.random() < 0.25:
            self._agree_to_loss()
        else:
            self._touch()
        self.begin()

    def _touch(self) -> None:
        """Do something to a target on which Haulier has published. An open transaction keeps everybody out."""
        targets = self._world.destinations.targets.values()
        free = [each for each in targets if each.fenced and each.publications and not each.transaction]
        if not free:
            return
        target = self._rng.choice(free)
        what = self._rng.choice(ACTS)
        self._acts += 1
        self._world.event(f"outsider: {what}", target.name)
        self._do(what, target)
        self._world.watch.theirs.acted(target, what)

    def _do(self, what: str, target: Target) -> None:
        if what == "write":
            target.write(f" and row {self._acts} of somebody")
        elif what == "replace":
            target.replace(f"table {self._acts} of somebody")
        elif what == "lose kept":
            newest = target.newest()
            assert newest is not None, "it was asked for"
            newest.is_kept_there = False
        else:
            target.forget()
            if what == "restore":
                target.replace(target.initial)

    def _agree_to_loss(self) -> None:
        """Somebody lets a rollback lose whatever was changed."""
        name = self._rng.choice(list(self._world.load.planned))

        async def ask(plane: "Plane") -> None:
            migration_id = await plane.migrations.undo(name, "MigrationRollbackAsked", REASON, discard_changes=True)
            self._world.watch.undo_answered(migration_id)

        self._world.operators.ask(f"rollback {name}, discarding changes", ask)
