"""What is not Haulier's at the destinations, and what becomes of it (promise S10).

Known from the outside only: what somebody put there, where it lies after each effect, and what the log of events says
that a person agreed to.
"""

from typing import TYPE_CHECKING

from tests.sim.destinations import Target, Writer

if TYPE_CHECKING:
    from tests.sim.world import World


class Theirs:
    """Follows every act of an outsider and every effect of a step."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._texts: dict[str, set[str]] = {}  # target → contents of somebody that are still somewhere
        self._forgotten: set[tuple[str, str]] = set()  # target and migration of each publish whose record was lost
        self.touched: set[str] = set()

    def acted(self, target: Target, what: str) -> None:
        """Somebody did something. What they destroy of others' is no business of ours."""
        self.touched.add(target.name)
        if what in ("forget", "restore"):
            # Every migration that ever published there: those withdrawn before are withdrawn no more, for all we know.
            lost = [m for m, _ in self._world.watch.audit.migrations()]
            self._forgotten |= {(target.name, migration_id) for migration_id in lost}
        texts = {text for text in self._texts.get(target.name, ()) if _lies(target, text)}
        if what in ("write", "replace"):
            texts.add(target.content)
        self._texts[target.name] = texts

    def cleaned(self, target: Target) -> None:
        """A clean-up removed former content; what it may remove is for promise S11."""
        self._texts[target.name] = {text for text in self._texts.get(target.name, ()) if _lies(target, text)}

    def effect(self, target: Target, what: str, writer: Writer) -> None:
        """A publish or withdraw took effect: nothing of somebody's is gone, and nothing forgotten counts as undone."""
        for text in sorted(self._texts.get(target.name, ())):
            if not _lies(target, text):
                self._texts[target.name].discard(text)
                if self._is_agreed(writer.migration_id):
                    self._world.mark("a person let an undo lose what others changed")
                else:
                    self._broken(writer, f"its {what} at {target.name} destroyed {text!r}, and nobody agreed to it")
        if what == "publish":
            self._forgotten.discard((target.name, writer.migration_id))
        elif (target.name, writer.migration_id) in self._forgotten and self._is_published(writer.step_id):
            self._broken(writer, f"it counts as undone, and {target.name} had lost the record of its publish")

    def is_forgotten(self, target_name: str, migration_id: str) -> bool:
        """Whether the destination lost the record of what this migration published."""
        return (target_name, migration_id) in self._forgotten

    def _is_agreed(self, migration_id: str) -> bool:
        found = "SELECT 1 FROM event WHERE type = 'DiscardAgreed' AND migration_id = ?"
        return self._world.connection.execute(found, (migration_id,)).fetchone() is not None

    def _is_published(self, step_id: str) -> bool:
        """Whether the control plane knows that the step has published."""
        found = "SELECT result FROM step_body WHERE step_id = ?"
        return bool(self._world.connection.execute(found, (step_id,)).fetchone()[0])

    def _broken(self, writer: Writer, message: str) -> None:
        self._world.broken("S10", writer.step_id, message)


def _lies(target: Target, text: str) -> bool:
    """Whether a content is at the bare name, or kept for an undo."""
    kept = [each.kept for each in target.publications.values() if each.is_kept_there]
    return text == target.content or text in kept
