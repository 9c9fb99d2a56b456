"""Plays one attack and judges it: refused for the right reason, nothing changed, and the honest way still open."""

from dataclasses import dataclass
from pathlib import Path

from tests.attacks import on_artefacts, on_keys, on_metadata
from tests.attacks.catalogue import ATTACKS, Attack
from tests.attacks.on_controlplane import Publisher, publications
from tests.attacks.scene import Scene, Stage

assert on_artefacts and on_keys and on_metadata, "they fill the catalogue"


@dataclass(frozen=True)
class Outcome:
    """How an attack ended. `code` is empty when it was not refused."""

    attack: Attack
    where: str
    code: str
    unchanged: bool
    honest_after: bool

    @property
    def held(self) -> bool:
        """Refused for the right reason, nothing changed, and the host still takes what is honest."""
        return self.code in self.attack.codes and self.unchanged and self.honest_after


def state_of(scene: Scene, attack: Attack) -> dict[str, bytes | str]:
    """What a refused attack must leave as it is: trusted metadata, releases, and everything around them.

    The metadata that names a bad archive is truly signed, so a host may trust it from then on.
    """
    found = scene.host.state()
    if attack.kind == "malicious archive":
        found = {name: data for name, data in found.items() if not name.startswith(f"{scene.host.trusted.name}/")}
    ours = (scene.host.trusted, scene.host.here.work)
    around = (path for path in scene.home.rglob("*") if not any(path.is_relative_to(each) for each in ours))
    return found | {str(path): "" for path in (*around, *Path("/tmp").glob("evil*"))}


def against_host(stage: Stage, attack: Attack, home: Path) -> Outcome:
    """Play it against a host."""
    scene = stage.scene(home)
    attack.play(scene)
    before = state_of(scene, attack)
    code = scene.take()
    unchanged = state_of(scene, attack) == before
    return Outcome(attack, "host", code, unchanged, scene.take_honestly() == "")


def against_controlplane(stage: Stage, attack: Attack, home: Path) -> Outcome:
    """Play it against a control plane, by publishing what would be served."""
    scene = stage.scene(home)
    publisher = Publisher(scene)
    attack.play(scene)
    publisher.honest()
    before = publisher.state()
    code = publisher.attacked()
    return Outcome(attack, "control plane", code, publisher.state() == before, True)


def every() -> list[tuple[str, Attack]]:
    """Where and what."""
    return [("host", each) for each in ATTACKS] + [("control plane", each) for each in publications()]


def play(stage: Stage, where: str, attack: Attack, home: Path) -> Outcome:
    """Play one."""
    return (against_host if where == "host" else against_controlplane)(stage, attack, home)
