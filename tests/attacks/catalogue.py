"""Attacks by name: what each does, and with which codes it must be refused."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.attacks.scene import Scene

Play = Callable[[Scene], None]


@dataclass(frozen=True)
class Attack:
    """One attack on a host. `play` prepares it; `codes` are the refusals that are right."""

    kind: str
    name: str
    codes: tuple[str, ...]
    play: Play

    @property
    def title(self) -> str:
        """What it does, in one line."""
        return (self.play.__doc__ or "").strip().rstrip(".")


ATTACKS: list[Attack] = []


def attack(kind: str, *codes: str) -> Callable[[Play], Play]:
    """Put a play into the catalogue."""

    def keep(play: Play) -> Play:
        ATTACKS.append(Attack(kind, play.__name__, codes, play))
        return play

    return keep
