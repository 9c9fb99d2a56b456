"""A host of its own below a directory, with the real updater, real signed releases, and a small service manager."""

import compileall
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import Any

from agentd.core.release_state import Release, Request, request_to_text
from agentd.disk import durable
from agentd.updater.unpacking import faults_of
from agentd.updater.verifying import ARTEFACT, METADATA, Verified, trust
from controlplane.releases import building
from controlplane.releases.building import Built
from controlplane.releases.keys import KeyRing
from controlplane.releases.signing import SigningDesk, first_root

ROOT = Path(__file__).parents[2]
KIT = Path(__file__).parent
BOUND_S = 300.0
_NUMBERS = itertools.count(1)


class Forge:
    """Someone who builds and signs releases now, below `home`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        now = datetime.now(UTC)
        self._offline, self._online = (
            KeyRing(home / "keys", "correct horse offline", kdf_rounds=1),
            KeyRing(home / "online", "correct horse online", kdf_rounds=1),
        )
        self.root = first_root(self._offline, self._online, now, {}, {})
        self.repository = home / "repository"
        SigningDesk(self.repository, now).begin(self.root)

    def release(self, version: str, make: Callable[[Path], None], min_from: str = "") -> Built:
        """Build what `make` puts into a directory, sign it, and publish it in the repository."""
        tree = self.home / f"tree-{next(_NUMBERS)}"
        tree.mkdir(parents=True)
        make(tree)
        built = building.build(tree, version, os.uname().machine, min_from, self.home / f"{tree.name}.tar.zst")
        desk = SigningDesk(self.repository, datetime.now(UTC))
        desk.add(built, self._offline, "")
        desk.refresh(self._online)
        return built


def stand_in(manner: str) -> Callable[[Path], None]:
    """What makes the tree of a release with a stand-in for the agent."""

    def make(tree: Path) -> None:
        (tree / "bin").mkdir()
        program = tree / "bin" / "haulier-agentd"
        source = (KIT / "stand_in_agent.py").read_text()
        program.write_text(f"#!{sys.executable} -IS\n{source}")
        program.chmod(0o755)
        (tree / "bin" / "manner").write_text(manner)
        (tree / "lib").mkdir()
        for number in range(5):
            (tree / "lib" / f"data-{number}").write_text(f"{manner}\n" * 200)

    return make


def real(change: Callable[[Path], None] | None = None) -> Callable[[Path], None]:
    """What makes the tree of a release with the real agent, which may be changed for the worse first.

    Its own code comes with it; the libraries are those of this interpreter."""

    def make(tree: Path) -> None:
        copied = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "agentd", tree / "lib" / "agentd", ignore=copied)
        shutil.copytree(ROOT / "proto" / "haulier", tree / "lib" / "haulier", ignore=copied)
        (tree / "bin").mkdir()
        for name, module in (("haulier-agentd", "agentd.__main__"), ("haulier-updater", "agentd.updater.main")):
            program = tree / "bin" / name
            program.write_text(
                f"#!{sys.executable} -I\nimport os, sys\nsys.dont_write_bytecode = True\n"
                "lib = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), 'lib')\n"
                f"sys.path.insert(0, lib)\nfrom {module} import run\nrun()\n"
            )
            program.chmod(0o755)
        if change is not None:
            change(tree)
        # As a package has it: nothing is compiled at every start.
        compileall.compile_dir(tree / "lib", quiet=1, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)

    return make


@dataclass
class UpgradingHost:
    """One host below `prefix`; `command` is how its updater is run."""

    prefix: Path
    forge: Forge
    agent: Path | None = None  # where state and agent.toml of a real agent lie, below the prefix
    command: Sequence[str] = field(default=(sys.executable, "-m", "agentd.updater.main"))

    @property
    def home(self) -> Path:
        return self.prefix / "opt" / "haulier"

    @property
    def state(self) -> Path:
        return self.prefix / "var" / "lib" / "haulier-updater"

    @property
    def agent_state(self) -> Path:
        return self.prefix / "var" / "lib" / "haulier-agentd" if self.agent is None else self.agent / "state"

    @property
    def agent_config(self) -> Path:
        return (self.agent or self.prefix / "etc" / "haulier") / "agent.toml"

    @property
    def exchange(self) -> Path:
        return self.agent_state / "upgrade"

    # Made by an installation.

    def install(self, built: Built) -> None:
        """What a package does: the release, its links, the trusted root, the service."""
        for path in (self.home / "versions", self.state, self.exchange, self.prefix / "etc" / "haulier"):
            path.mkdir(parents=True, exist_ok=True)
        self.unpack(built)
        for name in ("current", "updater"):
            (self.home / name).symlink_to(f"versions/{built.digest}")
        trust(self.forge.root, self.state / "tuf")
        service = self.prefix / "service"
        script = KIT / "stand_in_service.py"
        told = (self.prefix, self.agent_state, self.agent_config, "SIGKILL" if self.agent is None else "SIGTERM")
        arguments = " ".join(str(each) for each in told)
        service.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {script} {arguments} "$@"\n')
        service.chmod(0o755)
        lines = [f'program = "{service}"', "disk_free_min_bytes = 0", "self_test_max_s = 60"]
        lines += [f'agent_state = "{self.agent_state}"', f'agent_config = "{self.agent_config}"']
        (self.prefix / "etc" / "haulier" / "updater.toml").write_text("\n".join([*lines, ""]))

    def unpack(self, built: Built) -> None:
        """Put a release among the versions."""
        from agentd.updater.unpacking import unpack

        told = (built.version, built.digest, built.architecture, built.min_from, built.length, built.unpacked_bytes)
        unpack(Verified(built.path, *told), self.home / "versions")

    # What the agent does.

    def fetch(self, built: Built) -> None:
        """Leave a release for the updater to take."""
        incoming = self.exchange / "incoming"
        shutil.rmtree(incoming, ignore_errors=True)
        shutil.copytree(self.forge.repository / "metadata", incoming / METADATA)
        shutil.copyfile(built.path, incoming / ARTEFACT)

    def ask(self, built: Built, probation_s: float = 1.0, request_id: str = "") -> str:
        """Ask for a release; returns the request's id."""
        request_id = request_id or f"req_{next(_NUMBERS)}"
        path = building.target_path(built.version, built.architecture)
        request = Request(request_id, "roll_1", Release(built.version, built.digest), path, probation_s)
        durable.replace(self.exchange / "request.json", request_to_text(request).encode())
        return request_id

    def told(self) -> dict[str, Any]:
        """What the updater told the agent last."""
        found: dict[str, Any] = json.loads((self.exchange / "status.json").read_text())
        return found

    # The updater.

    def updater(self, *verb: str, within: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Run the updater; returns how it ended, also when it was killed. What it logs is kept in ``updater.log``."""
        done = subprocess.run(
            [*within, *self.command, "--prefix", str(self.prefix), *verb],
            capture_output=True,
            text=True,
            timeout=BOUND_S,
            check=False,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}"},
        )
        with (self.prefix / "updater.log").open("a", encoding="utf-8") as log:
            log.write(done.stderr)
        return done

    def logs(self) -> list[Path]:
        """The logs of agent and updater."""
        return [self.prefix / "agent.log", self.prefix / "updater.log"]

    def apply(self) -> None:
        """One pass that must go well."""
        done = self.updater("apply")
        assert done.returncode == 0, done.stderr

    def settle(self, passes_max: int = 40) -> str:
        """Pass after pass, as a timer would, until nothing is under way; returns the phase."""
        phase = ""
        for _ in range(passes_max):
            self.apply()
            phase = self.remembered()["phase"]
            if phase == "idle":
                break
        return phase

    def remembered(self) -> dict[str, Any]:
        """The updater's own state."""
        found: dict[str, Any] = json.loads((self.state / "state.json").read_text())
        return found

    def service(self, word: str) -> str:
        """Ask the service manager."""
        said = subprocess.run([self.prefix / "service", word], capture_output=True, text=True, timeout=60, check=True)
        return said.stdout.strip()

    # What must hold.

    def runs(self) -> str:
        """The digest that `current` says."""
        return (self.home / "current").readlink().name

    def faults(self) -> list[str]:
        """Whatever is not as it must be at any moment: links to whole releases, no mixture."""
        found = []
        for name in ("current", "previous", "updater"):
            link = self.home / name
            if link.is_symlink():
                found += [f"{name}: {each}" for each in faults_of(link)]
            elif name == "current":
                found.append("there is no current release")
        return found

    def junk(self) -> list[str]:
        """What a finished pass must not leave behind."""
        places = (self.home, self.home / "versions", self.state, self.exchange, *self.state.glob("*/"))
        return [str(each) for place in places for each in place.glob("*.new*")] + [
            str(each) for each in (self.home / "versions").glob(".*")
        ]

    def end(self) -> None:
        """End the agent that runs here."""
        if (self.prefix / "service").exists():
            self.service("stop")
