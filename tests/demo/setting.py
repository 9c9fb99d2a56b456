"""The demo's world: three agents, a PostgreSQL, the data laid out, the manifests filled in and applied."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.demo.dataset import TABLES, fetch
from tests.kit.world import Timing, World

AGENTS = ("alpha", "bravo", "charlie")
SLOTS = 2
MANIFESTS = Path(__file__).parent / "manifests"
# Short leases, so that what a kill interrupts goes on within seconds.
TIMING = Timing(lease_ttl_s=12.0, heartbeat_s=2.0)


def world(root: Path) -> World:
    """Return the demo's world below ``root``; nothing is started."""
    return World(root, AGENTS, TIMING)


def rise(haulier: World, cache: Path, environment: Mapping[str, str] | None = None) -> None:
    """Start whatever does not run yet and apply the manifests; safe to repeat."""
    lay_out(haulier, fetch(cache))
    postgres = haulier.start_postgres()
    if haulier.pid("controlplane") is None:
        haulier.start_controlplane()
    for name in AGENTS:
        haulier.join_agent(name, slots=SLOTS, labels={"host": name})
        if haulier.pid(name) is None:
            haulier.start_agent(name, environment)
    haulier.haulier("apply", str(fill_in(haulier, postgres)))
    haulier.wait_for_agents()


def lay_out(haulier: World, source: Path) -> None:
    """Copy the CSV files to where an upstream team would deliver them."""
    for place in ("exports", "lake", "staging", "field", "analytics"):
        (haulier.data / place).mkdir(parents=True, exist_ok=True)
    for table in TABLES:
        target = haulier.data / "exports" / f"{table}.csv"
        if not target.exists():
            shutil.copyfile(source / f"{table}.csv", target)


def fill_in(haulier: World, postgres: Mapping[str, Any]) -> Path:
    """Write the manifests with this machine's places in them; return their directory."""
    directory = haulier.root / "manifests"
    directory.mkdir(parents=True, exist_ok=True)
    values = {"@DATA@": str(haulier.data)} | {f"@PG_{key.upper()}@": str(value) for key, value in postgres.items()}
    for template in sorted(MANIFESTS.glob("*.yaml")):
        text = template.read_text(encoding="utf-8")
        for mark, value in values.items():
            text = text.replace(mark, value)
        (directory / template.name).write_text(text, encoding="utf-8")
    return directory


def waves() -> list[list[str]]:
    """Return the names of the migrations, wave by wave, in the order of their files."""
    found = []
    for file in sorted(MANIFESTS.glob("wave-*.yaml")):
        documents = yaml.safe_load_all(file.read_text(encoding="utf-8"))
        found.append([document["metadata"]["name"] for document in documents])
    return found
