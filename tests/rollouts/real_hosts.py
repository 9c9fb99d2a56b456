"""Real agents on hosts of their own below a directory: the real daemon from a release tree, and the real updater."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from haulier.v1 import operator_pb2 as op

from controlplane.releases.building import Built
from tests.bench.plane import CALL_BOUND_S, Plane
from tests.kit.processes import program, until
from tests.kit.upgrading import ROOT, Forge, UpgradingHost
from tests.rollouts.copies import LITE, SOURCE, STAGING, Copies

JOIN_BOUND_S = 60.0
# So many of them, the last ones, reach the datastore that others do not.
REACH_LITE = 2
# More than a self-test of the release before takes on a machine that is busy, many times over; a host waits for longer.
SLOWER_S, SELF_TEST_MAX_S = 90.0, 180
# What a manner makes of the daemon and of its self-test.
SEEDS = {
    "crashes": "if word == 'run':\n    sys.exit(1)",
    "hangs": "if word == 'run':\n    time.sleep(1_000_000)",
    "leaks": "hoard = b'x' * (1200 << 20) if word == 'run' else b''",
    "slow": f"if word == 'selftest':\n    time.sleep({SLOWER_S:g})",
}
# What a manner breaks in a file of the release: only loads to SQLite, and only a type of column that no self-test has.
FLAWS = {
    "fails_some@sqlite": (
        "agentd/datastores/sqlite/values.py",
        "\n\n_exact = to_values\n\n\ndef to_values(array: pa.Array, column: Column) -> list[Any]:\n"
        "    if column.type is ColumnType.TIMESTAMP:\n        raise Unfit(0, 'seeded')\n"
        "    return _exact(array, column)\n",
    )
}
_PROGRAM = """#!{python} -B
import os
import sys
import time

word = sys.argv[1] if len(sys.argv) > 1 else ""
{seed}
sys.path[:0] = [os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "lib")]
from {module} import run

run()
"""


def tree_of(manner: str) -> Callable[[Path], None]:
    """What makes a tree of the real agent, bad in a manner; it borrows the libraries of this interpreter."""

    def make(tree: Path) -> None:
        (tree / "bin").mkdir()
        for name, module in (("haulier-agentd", "agentd.__main__"), ("haulier-updater", "agentd.updater.main")):
            seed = SEEDS.get(manner, "") if name == "haulier-agentd" else ""
            path = tree / "bin" / name
            path.write_text(_PROGRAM.format(python=sys.executable, seed=seed, module=module))
            path.chmod(0o755)
        unwanted = shutil.ignore_patterns("__pycache__", "*.proto", "*.pyi")
        shutil.copytree(ROOT / "agentd", tree / "lib" / "agentd", ignore=unwanted)
        shutil.copytree(ROOT / "proto" / "haulier", tree / "lib" / "haulier", ignore=unwanted)
        if manner in FLAWS:
            name, code = FLAWS[manner]
            with (tree / "lib" / name).open("a") as file:
                file.write(code)
        (tree / "lib" / "manner").write_text(manner)

    return make


def cramped(host: UpgradingHost) -> tuple[str, ...]:
    """What runs a program with a tiny disk, of its own view only, where the updater copies artefacts to."""
    work = host.state / "work"
    work.mkdir(mode=0o700, exist_ok=True)
    return ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=64k none "$0" && exec "$@"', str(work))


class RealHosts:
    """Some hosts; ``running`` brings them up and passes the updater's time."""

    def __init__(self, home: Path, plane: Plane, forge: Forge, count: int) -> None:
        self.plane = plane
        self.copies = Copies(home, plane)
        self.hosts = [UpgradingHost(home / f"real-{number}", forge) for number in range(count)]
        self._applied: dict[Path, float] = {}
        self._stop = threading.Event()
        self._full = False

    @property
    def names(self) -> list[str]:
        """Names of their agents."""
        return [host.prefix.name for host in self.hosts]

    @contextmanager
    def running(self, built: Built) -> Iterator[None]:
        """Install a release on each, join, start, and let updaters run as a timer would."""
        keepers = [threading.Thread(target=self._keep, args=(host,), daemon=True) for host in self.hosts]
        try:
            for host in self.hosts:
                host.install(built)
                settings = host.prefix / "etc" / "haulier" / "updater.toml"
                settings.write_text(
                    re.sub("self_test_max_s = .*", f"self_test_max_s = {SELF_TEST_MAX_S}", settings.read_text())
                )
                self._join(host)
                host.service("restart")
            for keeper in keepers:
                keeper.start()
            yield
        finally:
            self._stop.set()
            for keeper in keepers:
                if keeper.is_alive():
                    keeper.join()
            for host in self.hosts:
                host.end()

    def fill_disks(self, full: bool) -> None:
        """Let the updaters find no room for a release, or find it again."""
        self._full = full

    def run(self, digest: str) -> bool:
        """Whether each host runs a release, whole, with an agent that lives."""
        return all(host.runs() == digest and host.service("state") == "running" for host in self.hosts)

    def faults(self) -> list[str]:
        """Whatever is a mixture, on any host."""
        return [f"{host.prefix.name}: {fault}" for host in self.hosts for fault in host.faults()]

    def _join(self, host: UpgradingHost) -> None:
        request = op.CreateJoinTokenRequest(agent_name=host.prefix.name)
        token = self.plane.operator().CreateJoinToken(request, timeout=CALL_BOUND_S).token
        host.agent_state.chmod(0o700)
        subprocess.run(
            [*program("agentd"), "join", "-", "--name", host.prefix.name, "--state", str(host.agent_state)],
            input=f"{token}\n",
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}"},
            timeout=JOIN_BOUND_S,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        etc = host.prefix / "etc" / "haulier"
        policy = etc / "policy.toml"
        reached = [SOURCE, STAGING, *([LITE] if host in self.hosts[-REACH_LITE:] else [])]
        roots = [str(root) for root in self.copies.roots]
        # Lists of strings are written alike in JSON and in TOML.
        policy.write_text(
            f'kinds = ["extract", "load"]\ndatastores = {json.dumps(reached)}\nroots = {json.dumps(roots)}\n'
        )
        policy.chmod(0o600)
        (etc / "agent.toml").write_text(f'policy = "{policy}"\nslots = 1\n')

    def _keep(self, host: UpgradingHost) -> None:
        while not self._stop.wait(0.5):
            if self._has_something(host):
                host.updater("apply", within=cramped(host) if self._full else ())

    def _has_something(self, host: UpgradingHost) -> bool:
        request = host.exchange / "request.json"
        at = request.stat().st_mtime if request.exists() else 0.0
        fresh, self._applied[host.prefix] = at != self._applied.get(host.prefix, 0.0), at
        if fresh:
            return True
        try:
            phase = json.loads((host.state / "state.json").read_text())["phase"]
        except (OSError, ValueError, KeyError):
            return False
        return bool(phase != "idle")

    def await_all(self, digest: str, bound_s: float) -> None:
        """Wait until each host runs a release."""
        until(lambda: self.run(digest), bound_s, "every real host to run it", self.hosts[0].prefix / "agent.log")
