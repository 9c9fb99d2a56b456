"""One round: the demo's migrations once more, under new names and to new places."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import yaml

from tests.demo import setting
from tests.kit.processes import NotInTime
from tests.kit.world import World

LOOK_S = 0.5
# What a migration is called while it has not ended.
OPEN = {"running", "waiting", "restoring", "cancelling", "rolling_back"}


@dataclass(frozen=True, slots=True)
class Round:
    """The migrations of one round: base name → name in this round."""

    names: dict[str, str]

    def wait(self, world: World, bound_s: float, open_max: int = 0) -> None:
        """Wait until at most ``open_max`` of the migrations have not ended. Raises ``NotInTime``."""
        deadline_at = time.monotonic() + bound_s
        while True:
            # The control plane may be dead just now: code 3 says so, and its supervisor brings it back.
            text = world.haulier("migration", "list", "-o", "json", codes=(0, 3))
            open_ones = [m["name"] for m in _migrations(text, set(self.names.values())) if m["state"] in OPEN]
            if text and len(open_ones) <= open_max:
                return
            if time.monotonic() > deadline_at:
                raise NotInTime(f"waited {bound_s:g} s for {', '.join(open_ones) or 'the control plane'}")
            time.sleep(LOOK_S)

    def outcomes(self, world: World) -> dict[str, dict[str, Any]]:
        """Return base name → the migration as the control plane shows it."""
        base = {name: key for key, name in self.names.items()}
        text = world.haulier("migration", "list", "-o", "json")
        return {base[m["name"]]: m for m in _migrations(text, set(base))}

    def steps(self, world: World) -> Iterator[dict[str, Any]]:
        """Yield every step of the round with its attempts."""
        for name in self.names.values():
            yield from world.haulier_json("migration", "get", name)["steps"]


def baseline(world: World) -> dict[str, dict[str, Any]]:
    """Move everything once, undisturbed; return base name → migration. Raises ``NotInTime``."""
    found: dict[str, dict[str, Any]] = {}
    for names in setting.waves():
        world.haulier("migration", "start", *names)
        one = Round({name: name for name in names})
        one.wait(world, 300.0)
        found |= one.outcomes(world)
    broken = [
        f"{name} is {m['state']}: {m.get('reason', '')}" for name, m in found.items() if m["state"] != "succeeded"
    ]
    if broken:
        raise NotInTime("the undisturbed run did not succeed: " + "; ".join(broken))
    return found


def start_round(world: World, number: int) -> Round:
    """Apply and start the migrations of one round."""
    directory = world.root / "rounds"
    directory.mkdir(exist_ok=True)
    names = {}
    documents = []
    for file in sorted(setting.MANIFESTS.glob("wave-*.yaml")):
        for document in yaml.safe_load_all(file.read_text(encoding="utf-8")):
            base = document["metadata"]["name"]
            names[base] = document["metadata"]["name"] = f"{base}-r{number}"
            document["spec"]["to"]["object"] = _moved(document["spec"]["to"]["object"], number)
            for query in document["spec"].get("testQueries", ()):
                query["sql"] = query["sql"] + f"_r{number}"
            documents.append(document)
    path = directory / f"round-{number}.yaml"
    path.write_text(yaml.safe_dump_all(documents, sort_keys=False), encoding="utf-8")
    _until_taken(world, "apply", str(path))
    _until_taken(world, "migration", "start", *names.values())
    return Round(names)


def _moved(name: str, number: int) -> str:
    """Give an object a place of its own; a file keeps its ending."""
    path = PurePosixPath(name)
    return str(path.with_name(f"{path.stem}_r{number}{path.suffix}"))


def _until_taken(world: World, *arguments: str) -> None:
    """Repeat an idempotent command while the control plane is being killed under it."""
    for _ in range(60):
        if world.haulier(*arguments, codes=(0, 3, 6)) or world.haulier(*arguments, codes=(0, 3, 6)):
            return
        time.sleep(LOOK_S)
    raise NotInTime(f"haulier {arguments[0]} was not taken")


def _migrations(text: str, names: set[str]) -> list[dict[str, Any]]:
    return [m for m in yaml.safe_load(text or "{}").get("migrations", []) if m["name"] in names]
