"""What the test of the packages asks of a host, in its words."""

import json
import shutil
import time
from pathlib import Path

from tests.install import cargo
from tests.install.box import Box

# What a host writes by itself, whoever is installed on it.
_NOBODYS = (
    "/proc /sys /dev /run /tmp /var/log /var/cache /var/lib/dpkg /var/lib/apt /var/lib/systemd /var/tmp "
    "/etc/passwd /etc/group /etc/shadow /etc/gshadow /etc/.pwd.lock /etc/subuid /etc/subgid /etc/machine-id /" + "root "
    "/var/lib/private /srv/packages /etc/hosts"
).split()


class Host:
    """One box, and the packages that it may be given, by version."""

    def __init__(self, box: Box, packages: Path) -> None:
        self.box = box
        self._packages = packages
        self._before: set[str] = set()

    # Packages.

    def install(self, version: str, *options: str) -> float:
        """Install all debs of a version; return the seconds it took."""
        place = self.lay_out(version, "*.deb")
        began_at = time.monotonic()
        told = " ".join(("-y", "--no-install-recommends", *options))
        self.box.do(f"DEBIAN_FRONTEND=noninteractive apt-get install {told} {place}/*.deb", bound_s=300)
        return time.monotonic() - began_at

    def lay_out(self, version: str, *patterns: str) -> str:
        """Copy what was built of a version into the box; return where to."""
        inside = f"/srv/packages/{version}"
        place = self.box.place / inside.lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        for pattern in patterns:
            for each in (self._packages / version).glob(pattern):
                shutil.copyfile(each, place / each.name)
        return inside

    def remember_files(self) -> None:
        """Take down every file there is."""
        self._before = self._files()

    def new_files(self) -> list[str]:
        """What is there that was not there then, apart from what a host writes by itself."""
        ignored = tuple(f"{name}/" for name in _NOBODYS)
        new = sorted(self._files() - self._before)
        return [name for name in new if not f"{name}/".startswith(ignored) and not f"{name}".endswith("-")]

    def _files(self) -> set[str]:
        return set(self.box.do("find / -xdev -print").splitlines())

    # Services.

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.box.do(f"systemctl show -P {name} {unit}")

    def state_of(self, unit: str) -> str:
        """`active`, `inactive`, …"""
        return self.show(unit, "ActiveState")

    def pid_of(self, unit: str) -> int:
        """The daemon's process; 0 without one."""
        return int(self.show(unit, "MainPID"))

    def until_active(self, unit: str) -> float:
        """Wait until a service has said that it is ready."""
        return self.box.until(f"systemctl is-active -q {unit}", 60, f"{unit} to be active")

    def until_restarted(self, unit: str, before: int) -> float:
        """Wait for another process than `before`."""
        seconds = self.box.until(
            f'pid=$(systemctl show -P MainPID {unit}); [ "$pid" != 0 ] && [ "$pid" != {before} ]',
            60,
            f"{unit} to restart",
        )
        return seconds + self.until_active(unit)

    def journal(self, unit: str) -> str:
        """What a service and systemd said of it since the box booted."""
        return self.box.do(f"journalctl -q -b --no-pager -u {unit}")

    def exposure(self, unit: str) -> float:
        """`systemd-analyze security` of a unit as it is loaded, drop-ins included: 0 is best, 10 worst."""
        told = self.box.do(f"systemd-analyze security --no-pager {unit} | tail -n 1")
        return float(told.split(":", 1)[1].split()[0])

    def resident_mb(self, unit: str) -> float:
        """Memory that a daemon's own process has resident."""
        told = self.box.do(f"grep VmRSS /proc/{self.pid_of(unit)}/status")
        return round(int(told.split()[1]) / 1024, 1)

    def daemon_can_write(self, directory: str) -> bool:
        """Whether the agent could write there, in its own mount namespace and as its own user."""
        return self._as_daemon(f"touch {directory}/.written && rm {directory}/.written")

    def daemon_can_read(self, file: str) -> bool:
        """Whether the agent could read a file."""
        return self._as_daemon(f"cat {file}")

    def _as_daemon(self, script: str) -> bool:
        inside = f"nsenter -t {self.pid_of('haulier-agentd')} -m setpriv --reuid haulier-agent --clear-groups"
        return self.box.run(f"{inside} sh -c '{script}'").returncode == 0

    # Haulier.

    def until_answered(self) -> None:
        """Wait until the control plane answers."""
        self.box.until("haulier status", 60, "the control plane to answer")

    def until_ready(self) -> None:
        """Wait until the agent has a session."""
        self.box.until("haulier-agentd check", 60, "the agent to be ready")

    def until_version(self, version: str) -> None:
        """Wait until daemon and client are of a version."""
        self.until_version_of_agent(version)
        assert version in self.box.do("haulier version")

    def until_version_of_agent(self, version: str) -> None:
        """Wait until the daemon is of a version."""
        self.until_ready()
        self.box.until(f"haulier-agentd status | grep -q 'version {version}$'", 30, f"the agent to run {version}")

    def migrate(self, name: str, rows: int) -> float:
        """Move a new dataset and look at its proof; return the seconds it took."""
        self.apply(name, rows)
        began_at = time.monotonic()
        self.box.do(f"haulier migration start {name} --wait", bound_s=300)
        self._proven(name, rows)
        return round(time.monotonic() - began_at, 1)

    def apply(self, name: str, rows: int) -> None:
        """Put a dataset of so many rows there, and say where it should go."""
        self.box.do(cargo.writing(name, rows))
        self.box.write(f"/srv/{name}.yaml", cargo.moving(name))
        self.box.do(f"haulier apply /srv/{name}.yaml")

    def start_long(self, name: str) -> None:
        """Start a migration that takes its time."""
        self.apply(name, cargo.LONG_ROWS)
        self.box.do(f"haulier migration start {name}")

    def finish_long(self, name: str) -> None:
        """Wait for its end: proven, and with no step tried twice."""
        self.box.do(f"haulier migration watch {name}", bound_s=600)
        self._proven(name, cargo.LONG_ROWS)
        for step in self._steps(name):
            assert len(step["attempts"]) == 1, f"{step['name']} was tried again: {step['attempts']}"

    def running_step(self) -> tuple[str, int]:
        """The attempt that runs, and its process."""
        script = (
            "for each in /proc/[0-9]*; do place=$(readlink $each/cwd) || continue; "
            "case $place in /var/lib/haulier-agentd/attempts/*) echo ${each#/proc/} ${place##*/}; break;; esac; done"
        )
        self.box.until(f"{script} | grep -q .", 30, "a step to run")
        pid, attempt = self.box.do(script).split()
        return attempt, int(pid)

    def _steps(self, name: str) -> list[dict[str, list[object]]]:
        told = json.loads(self.box.do(f"haulier migration get {name} -o json"))
        steps: list[dict[str, list[object]]] = told["steps"]
        return steps

    def _proven(self, name: str, rows: int) -> None:
        told = self.box.do(f"haulier migration get {name}")
        assert "succeeded" in told.splitlines()[0], told
        assert f"re-read {rows:,} rows" in told, told

    def troubles(self) -> str:
        """The end of the journal, for a person who wants to know why."""
        return self.box.run("journalctl -q --no-pager -n 60; systemctl --failed --no-pager").stdout
