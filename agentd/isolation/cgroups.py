"""Control groups around attempts, where this host lets the agent make them; and which limits they keep.

A cgroup holds all processes of one attempt, even those that began a session of their own: it limits them together,
tells whether memory ran out in it, and ends them together. A controller that cannot be had is reported, and why.
"""

import contextlib
import hashlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agentd.policy.limits import Limits

CONTROLLERS = ("memory", "cpu", "pids", "io")
ENFORCED = "enforced"
# Under systemd the daemon itself must be in a group of this name below its unit's, or a restart would be refused while
# steps live: a group with controllers for its children can take no process itself.
OWN_GROUP = "daemon"
_V1_NAMES = {"io": "blkio"}
_PERIOD_US = 100_000
_EMPTY_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class _Mount:
    """A mounted hierarchy: which controllers, which version, and our own group in it."""

    version: int
    controllers: frozenset[str]
    own: Path
    is_root: bool


@dataclass(slots=True)
class Cgroups:
    """Cgroups of one agent. `groups` maps a controller to the directory in which cgroups are made; `reasons` says why
    the other controllers have none."""

    groups: dict[str, Path] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    roots: tuple[str, ...] = ()

    def told(self) -> dict[str, str]:
        """Each controller with "enforced", or why it is not."""
        return {
            name: ENFORCED if name in self.groups else self.reasons.get(name, "no control groups")
            for name in CONTROLLERS
        }

    def make(self, attempt_id: str) -> dict[str, str]:
        """Make the attempt's cgroups with the limits of now; returns controller → directory to join. Never raises: what
        could not be made is left out, and its limit is kept in another way or not at all."""
        made = {}
        for controller, group in self.groups.items():
            cgroup = group / attempt_id
            try:
                cgroup.mkdir(parents=True, exist_ok=True)
                for name, value in self._settings(controller):
                    (cgroup / name).write_text(value, encoding="ascii")
            except OSError:
                continue
            made[controller] = str(cgroup)
        return made

    def _settings(self, controller: str) -> Iterator[tuple[str, str]]:
        limits, is_second = self.limits, self.versions[controller] == 2
        if controller == "memory" and limits.memory_bytes_max:
            yield ("memory.max" if is_second else "memory.limit_in_bytes"), str(limits.memory_bytes_max)
            if is_second:
                yield "memory.swap.max", "0"
                yield "memory.oom.group", "1"
        elif controller == "cpu" and limits.cores_max:
            quota = max(1000, int(limits.cores_max * _PERIOD_US))
            yield from [("cpu.max", f"{quota} {_PERIOD_US}")] if is_second else [("cpu.cfs_quota_us", str(quota))]
        elif controller == "pids" and limits.processes_max:
            yield "pids.max", str(limits.processes_max)
        elif controller == "io" and limits.io_bytes_per_s_max:
            most = limits.io_bytes_per_s_max
            for device in sorted(_devices(self.roots)):
                if is_second:
                    yield "io.max", f"{device} rbps={most} wbps={most}"
                else:
                    yield "blkio.throttle.read_bps_device", f"{device} {most}"
                    yield "blkio.throttle.write_bps_device", f"{device} {most}"

    def memory_ran_out(self, attempt_id: str) -> bool:
        """Whether the kernel ended a process of this attempt because the attempt needed too much memory."""
        if "memory" not in self.groups:
            return False
        name = "memory.events" if self.versions["memory"] == 2 else "memory.oom_control"
        with contextlib.suppress(OSError, ValueError):
            told = (self.groups["memory"] / attempt_id / name).read_text(encoding="ascii")
            return any(line.startswith("oom_kill ") and int(line.split()[1]) > 0 for line in told.splitlines())
        return False

    def end(self, attempt_id: str) -> None:
        """Kill whatever is left in the attempt's cgroups and remove them. Blocks for at most a few seconds."""
        for group in set(self.groups.values()):
            _end(group / attempt_id)

    def close(self) -> None:
        """Remove the groups themselves, unless steps live on in them."""
        for group in set(self.groups.values()):
            with contextlib.suppress(OSError):
                group.rmdir()

    def sweep(self, known: set[str]) -> None:
        """Remove cgroups that are empty and belong to no attempt that is remembered."""
        for group in set(self.groups.values()):
            with contextlib.suppress(OSError):
                for cgroup in [each for each in group.iterdir() if each.is_dir() and each.name not in known]:
                    with contextlib.suppress(OSError):
                        cgroup.rmdir()


def name_for(state: Path) -> str:
    """Name of the groups of the agent with this state directory, the same after each restart."""
    return f"haulier-{hashlib.sha256(bytes(state)).hexdigest()[:12]}"


def join(cgroups: Sequence[str]) -> set[str]:
    """Put this process into cgroups; returns those that took it."""
    joined = set()
    for cgroup in set(cgroups):
        with contextlib.suppress(OSError):
            Path(cgroup, "cgroup.procs").write_text("0", encoding="ascii")
            joined.add(cgroup)
    return joined


def _end(cgroup: Path) -> None:
    if not cgroup.is_dir():
        return
    give_up_at = time.monotonic() + _EMPTY_WAIT_S
    while True:
        with contextlib.suppress(OSError):
            (cgroup / "cgroup.kill").write_text("1", encoding="ascii")
        for pid in _members(cgroup):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            cgroup.rmdir()
            return
        if time.monotonic() > give_up_at:
            return
        time.sleep(0.01)


def _members(cgroup: Path) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(line) for line in (cgroup / "cgroup.procs").read_text(encoding="ascii").split()]
    return []


def find(name: str, make: bool = True) -> Cgroups:
    """The cgroups that this process can make, in groups called `name`. Without `make` it only looks."""
    found = Cgroups()
    mounts = list(_mounts())
    for controller in CONTROLLERS:
        mount = next((each for each in mounts if _V1_NAMES.get(controller, controller) in each.controllers), None)
        if mount is None:
            mount = next((each for each in mounts if controller in each.controllers), None)
        if mount is None:
            found.reasons[controller] = "no hierarchy of control groups has this controller"
            continue
        try:
            found.groups[controller] = _group_in(mount, controller, name, make)
            found.versions[controller] = mount.version
        except OSError as error:
            found.reasons[controller] = f"{mount.own}: {error.strerror or error}"
        except _NotSafe as error:
            found.reasons[controller] = str(error)
    return found


class _NotSafe(Exception):
    """Cgroups could be made, and would do harm."""


def _group_in(mount: _Mount, controller: str, name: str, make: bool) -> Path:
    if mount.version == 1:
        group = mount.own / name
    elif mount.own.name == OWN_GROUP:
        group = mount.own.parent / name
    elif mount.is_root:
        group = mount.own / name
    else:
        raise _NotSafe(
            f"the daemon is not in a group {OWN_GROUP!r} of its own: DelegateSubgroup={OWN_GROUP} in its unit"
        )
    if not os.access(group.parent, os.W_OK):
        raise PermissionError(13, f"may not make groups in {group.parent}; Delegate=yes in its unit lets it")
    if make:
        group.mkdir(exist_ok=True)
        for each in (group.parent, group) if mount.version == 2 else ():
            (each / "cgroup.subtree_control").write_text(f"+{controller}", encoding="ascii")
    return group


def _mounts() -> Iterator[_Mount]:
    """Hierarchies that are mounted here, with our own group in each."""
    own = {}
    for line in _lines("/proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        own[controllers] = path
    for line in _lines("/proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        root, point = before.split()[3:5]
        if kind == "cgroup2" and "" in own:
            place = Path(point, os.path.relpath(own[""], root))
            has = frozenset("".join(_lines(place / "cgroup.controllers")).split())
            yield _Mount(2, has, place, is_root=own[""] == "/")
        elif kind == "cgroup":
            for controllers, path in own.items():
                named = set(controllers.split(","))
                if controllers and named <= set(options.split(",")):
                    yield _Mount(1, frozenset(named), Path(point, os.path.relpath(path, root)), is_root=path == "/")


def _lines(path: str | Path) -> list[str]:
    with contextlib.suppress(OSError):
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    return []


def _devices(paths: Sequence[str]) -> set[str]:
    """Whole disks that hold the paths, as major:minor; file systems without one are left out."""
    found = set()
    for path in paths:
        with contextlib.suppress(OSError):
            number = Path(path).stat().st_dev
            here = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve(strict=True)
            disk = here.parent if (here / "partition").exists() else here
            found.add((disk / "dev").read_text(encoding="ascii").strip())
    return found
