"""`make test-containers`: the images built, pushed to a registry and pulled again, run as nobody, moving a dataset; the
Kubernetes manifests against the schemas of several versions.

Needs root, podman, runc, docker-registry and mmdebstrap; it says what is missing and never passes without it. Figures
go to build/reports/containers.json.
"""

import contextlib
import importlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.install import cargo
from tests.install.box import ROOT, Missing, base
from tests.kit import reports
from tests.kit.processes import NotInTime, until
from tests.kit.verbs import leave
from tests.system.scene import free_port

SCHEMAS = ("1.28", "1.31", "1.34", "1.37")
# Enough for an agent and a step's libraries; not for the step that asks for a gigabyte.
MEMORY = "700m"
USER = 65532
# Where root itself may not raise limits, podman's own defaults are too high.
LIMITS = ("--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096")
HOG = "import time; kept = bytearray(1_500_000_000); time.sleep(60)"


class Podman:
    """A podman with a storage of its own, below `place`."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir()
        self._command = ["podman", "--root", f"{place}/root", "--runroot", f"{place}/run", "--tmpdir", f"{place}/tmp"]
        self._command += ["--cgroup-manager=cgroupfs", "--events-backend=file", "--runtime=runc"]

    def try_(self, *words: str, stdin: str = "", bound_s: float = 300.0) -> subprocess.CompletedProcess[str]:
        """Run it, whatever comes of it."""
        return subprocess.run(
            [*self._command, *words],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=bound_s,
            # Podman's monitor leaves a note where it was started when a container runs out of memory.
            cwd=self.place,
        )

    def do(self, *words: str, stdin: str = "", bound_s: float = 600.0) -> str:
        """Run it; it must succeed. Returns what it printed."""
        ran = self.try_(*words, stdin=stdin, bound_s=bound_s)
        assert ran.returncode == 0, f"podman {' '.join(words)[:300]}\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}"
        return ran.stdout.strip()

    def run(self, name: str, image: str, *options: str) -> None:
        """Start a container that may do as little as a pod of ours may."""
        confined = [
            *LIMITS,
            "--read-only",
            "--cap-drop=ALL",
            "--security-opt=no-new-privileges",
            "--tmpfs=/tmp:mode=1777",
        ]
        self.do("run", "--detach", "--name", name, *confined, *options, image)

    def is_healthy(self, name: str) -> bool:
        """What the image's own check says."""
        return self.try_("healthcheck", "run", name).returncode == 0

    def until(self, what: str, holds: Callable[[], bool], bound_s: float = 90.0) -> None:
        """Look until it holds; raises NotInTime with the containers' last words."""
        try:
            until(holds, bound_s, what)
        except NotInTime as error:
            said = [self.try_("logs", "--tail", "20", each) for each in ("plane", "agent")]
            raise NotInTime(f"{error}\n" + "\n".join(each.stdout + each.stderr for each in said)) from None

    def close(self) -> None:
        """End and remove all of it."""
        self.try_("rm", "--all", "--force", "--time", "2")
        self.try_("rmi", "--all", "--force")
        subprocess.run(["umount", f"{self.place}/root/overlay"], check=False, capture_output=True)
        shutil.rmtree(self.place, ignore_errors=True)
        for group in sorted(Path("/sys/fs/cgroup").glob("**/libpod_parent"), reverse=True):
            # Groups of other podmen's containers are not empty, and stay.
            for each in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
                with contextlib.suppress(OSError):
                    each.rmdir()
            with contextlib.suppress(OSError):
                group.rmdir()


def needs() -> None:
    """Raise Missing, naming what this machine lacks."""
    if os.geteuid() != 0:
        raise Missing("root: containers are made of namespaces and control groups")
    for program in ("podman", "runc", "docker-registry", "mmdebstrap"):
        if shutil.which(program) is None:
            raise Missing(f"apt-get install --no-install-recommends {program}")


def check_manifests(figures: dict[str, Any]) -> None:
    """The plain manifests are what the chart gives, and both variants of the chart fit the schemas."""
    sys.path.insert(0, str(ROOT / "packaging"))
    chart, schemas = (importlib.import_module(name) for name in ("plain_manifests", "kubernetes_validate"))
    plain = [sys.executable, str(ROOT / "packaging" / "plain_manifests.py"), "--check"]
    assert subprocess.run(plain, check=False).returncode == 0
    checked = 0
    for values in ({}, {"agents": {"kind": "DaemonSet", "labels": {"zone": "b"}, "nodeSelector": {"data": "yes"}}}):
        for document in yaml.safe_load_all(chart.render(values)):
            for version in SCHEMAS:
                schemas.validate(document, version, strict=True)
                checked += 1
    figures["kubernetes_documents_checked"] = checked


def build(podman: Podman, figures: dict[str, Any]) -> None:
    """Both images, out of release trees, on a minimal Debian 12."""
    sys.path.insert(0, str(ROOT / "packaging"))
    images = importlib.import_module("images")
    archive = base("container-base", "python3.11,tini,ca-certificates")
    podman.do("import", str(archive), "localhost/debian:12")
    for side in ("agentd", "controlplane"):
        tree = podman.place / "tree" / side
        build_tree = [
            sys.executable,
            str(ROOT / "packaging" / "tree.py"),
            "build",
            "--for",
            side,
            "--output",
            str(tree),
        ]
        subprocess.run(build_tree, check=True, capture_output=True)
        podman.do(*images.words_of(side, tree, f"localhost/haulier-{side}:test", "localhost/debian:12"))
        size = int(podman.do("image", "inspect", "--format", "{{.Size}}", f"localhost/haulier-{side}:test"))
        figures[f"image_{side}_mb"] = round(size / 1e6, 1)


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@contextlib.contextmanager
def registry(place: Path) -> Iterator[str]:
    """A real registry on loopback; gives its address."""
    port = free_port()
    place.mkdir(parents=True)
    config = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(place / "data")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    (place / "config.yml").write_text(json.dumps(config), encoding="utf-8")
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(place / "config.yml")], stdout=log, stderr=log)
    try:
        until(lambda: answers(port), 30, "the registry to answer", place / "log")
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def push_and_pull(podman: Podman, address: str, figures: dict[str, Any]) -> None:
    """Both images leave for the registry, are forgotten here, and come back the same."""
    for side in ("agentd", "controlplane"):
        here, there = f"localhost/haulier-{side}:test", f"{address}/haulier-{side}:test"
        podman.do("tag", here, there)
        identity = podman.do("image", "inspect", "--format", "{{.Id}}", here)
        podman.do("push", "--tls-verify=false", there)
        podman.do("rmi", "--force", here, there)
        began_at = time.monotonic()
        podman.do("pull", "--tls-verify=false", there)
        figures[f"pull_{side}_s"] = round(time.monotonic() - began_at, 1)
        assert podman.do("image", "inspect", "--format", "{{.Id}}", there) == identity
        podman.do("tag", there, here)


def own(directory: Path) -> Path:
    """A directory that the images' user may write to."""
    directory.mkdir(parents=True)
    os.chown(directory, USER, USER)
    return directory


def policy(python_digest: str) -> str:
    """The host's policy for the agent in its container."""
    return (
        cargo.POLICY.replace('"validate"]', '"validate", "run_program"]')
        + f"""
[programs.hog]
path = "/usr/bin/python3.11"
sha256 = "{python_digest}"
arguments = ["-c", "{HOG}"]
safe_to_repeat = "it keeps nothing"
undo = ""
"""
    )


def join(podman: Podman, data: Path) -> None:
    """A control plane and an agent that joins it, in one network with nothing else in it."""
    own(data / "plane"), own(data / "agent"), own(data / "haulier")
    for name in ("exports", "staging", "field"):
        own(data / "haulier" / name)
    podman.do("run", "--detach", "--name=net", "--network=none", *LIMITS, "localhost/debian:12", "sleep", "infinity")
    state = f"--volume={data}/plane:/var/lib/haulier-controlplane"
    podman.run("plane", "localhost/haulier-controlplane:test", "--network=container:net", state)
    podman.until("the control plane to be healthy", lambda: podman.is_healthy("plane"))
    token = data / "token"
    token.write_text(haulier(podman, "token", "create", "--agent", "mover"), encoding="utf-8")
    token.chmod(0o400)
    os.chown(token, USER, USER)
    digest = podman.do(
        "run",
        "--rm",
        *LIMITS,
        "--network=none",
        "--entrypoint=sha256sum",
        "localhost/haulier-agentd:test",
        "/usr/bin/python3.11",
    )
    (data / "policy.toml").write_text(policy(digest.split()[0]), encoding="utf-8")
    mounts = [f"{data}/agent:/var/lib/haulier-agentd", f"{data}/haulier:{cargo.DATA}", f"{token}:/run/haulier/token:ro"]
    mounts.append(f"{data}/policy.toml:/etc/haulier/policy.toml:ro")
    options = [
        "--network=container:net",
        "--env=HAULIER_AGENT_NAME=mover",
        f"--memory={MEMORY}",
        f"--memory-swap={MEMORY}",
    ]
    podman.run("agent", "localhost/haulier-agentd:test", *options, *(f"--volume={mount}" for mount in mounts))
    podman.until("the agent to be healthy", lambda: podman.is_healthy("agent"))
    for name in ("plane", "agent"):
        assert podman.do("exec", name, "id", "-u") == str(USER)
        assert podman.try_("exec", name, "touch", "/opt/haulier/x").returncode != 0, "its root can be written to"


def haulier(podman: Podman, *words: str, stdin: str = "") -> str:
    """The command `haulier` beside the control plane, as its administrator."""
    profile = "--env=HAULIER_PROFILE=/var/lib/haulier-controlplane/operator.json"
    return podman.do("exec", "--interactive", profile, "plane", "haulier", *words, stdin=stdin)


def migrate(podman: Podman, data: Path, name: str) -> None:
    """A dataset arrives, proven."""
    (data / "haulier" / "exports" / f"{name}.csv").write_text(cargo.rows(1000), encoding="utf-8")
    haulier(podman, "apply", "-", stdin=cargo.MANIFESTS + "---" + cargo.moving(name))
    haulier(podman, "migration", "start", name, "--wait")
    assert "re-read 1,000 rows" in haulier(podman, "migration", "get", name)


def flip_health(podman: Podman) -> None:
    """Each check says no while it should, and yes again after."""
    # The first process is the one that reaps; its only child is the program.
    server = podman.do("exec", "plane", "cat", "/proc/1/task/1/children").split()[0]
    podman.do("exec", "plane", "sh", "-c", f"kill -STOP {server}")
    assert not podman.is_healthy("plane"), "a control plane that hangs is healthy"
    podman.do("exec", "plane", "sh", "-c", f"kill -CONT {server}")
    podman.until("the control plane to be healthy again", lambda: podman.is_healthy("plane"))
    podman.do("stop", "--time", "20", "plane")
    podman.until("the agent to be unready", lambda: not podman.is_healthy("agent"))
    assert podman.try_("exec", "agent", "haulier-agentd", "check", "--probe", "liveness").returncode == 0
    podman.do("start", "plane")
    podman.until("the agent to be ready again", lambda: podman.is_healthy("agent"))


def exhaust_memory(podman: Podman, data: Path, figures: dict[str, Any]) -> None:
    """A step that wants more than the container may have dies alone."""
    incarnation = status_of(podman)["incarnation"]
    workflow = """
apiVersion: haulier/v1
kind: Workflow
metadata: {name: greedy}
spec:
  steps:
    - name: hog
      kind: run_program
      params: {program: hog}
      retry: {attempts: 1}
"""
    manifests = (
        workflow + "---" + cargo.moving("small", "greedy").split("---")[1].replace("workflow: copy", "workflow: greedy")
    )
    haulier(podman, "apply", "-", stdin=manifests)
    profile = "--env=HAULIER_PROFILE=/var/lib/haulier-controlplane/operator.json"
    ended = podman.try_("exec", profile, "plane", "haulier", "migration", "start", "greedy", "--wait")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    told = json.loads(haulier(podman, "migration", "get", "greedy", "-o", "json"))
    failure = told["steps"][0]["attempts"][-1]["failure"]
    assert "SIGKILL" in failure["message"], failure
    figures["greedy_step_ended"] = failure["message"]
    assert status_of(podman)["incarnation"] == incarnation, "the daemon died with its step"
    assert podman.do("inspect", "--format", "{{.RestartCount}} {{.State.Running}}", "agent") == "0 true"
    migrate(podman, data, "after")


def status_of(podman: Podman) -> dict[str, Any]:
    """What the agent's daemon says of itself."""
    told: dict[str, Any] = json.loads(podman.do("exec", "agent", "haulier-agentd", "status", "-o", "json"))
    return told


def main() -> int:
    figures: dict[str, Any] = {}
    try:
        needs()
    except Missing as missing:
        print(f"test-containers needs: {missing}", file=sys.stderr)
        return 3
    # Podman wants a short path.
    place = Path(tempfile.mkdtemp(prefix="haulier-", dir="/var/tmp"))
    place.chmod(0o755)
    podman = Podman(place / "podman")
    data = place / "data"
    try:
        with registry(place / "registry") as address:
            stages: tuple[tuple[str, Callable[[], None]], ...] = (
                ("check manifests", lambda: check_manifests(figures)),
                ("build", lambda: build(podman, figures)),
                ("push and pull", lambda: push_and_pull(podman, address, figures)),
                ("join", lambda: join(podman, data)),
                ("migrate", lambda: migrate(podman, data, "small")),
                ("flip health", lambda: flip_health(podman)),
                ("exhaust memory", lambda: exhaust_memory(podman, data, figures)),
            )
            for name, stage in stages:
                began_at = time.monotonic()
                print(f"{name:22}", end="", flush=True)
                stage()
                print(f" ok  {time.monotonic() - began_at:5.1f} s", flush=True)
    except (AssertionError, NotInTime) as error:
        print(f" FAILED\n{error}")
        return 1
    finally:
        podman.close()
        shutil.rmtree(place, ignore_errors=True)
    for name, value in figures.items():
        print(f"  {name:34} {value}")
    print(f"report: {reports.write('containers', figures)}")
    return 0


if __name__ == "__main__":
    leave(main)
