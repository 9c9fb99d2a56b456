"""Which control groups an agent may use, by what the kernel shows; and how each version is told its limits."""

from pathlib import Path

import pytest

from agentd.isolation import cgroups
from agentd.isolation.cgroups import Cgroups
from agentd.policy.limits import Limits

LIMITS = Limits(memory_bytes_max=1000, cores_max=1.5, processes_max=7, io_bytes_per_s_max=5)


def grouped(tmp_path: Path, version: int) -> Cgroups:
    """Cgroups in plain directories, which keep nothing and show what would be written."""
    groups = {name: tmp_path / name for name in cgroups.CONTROLLERS}
    for group in groups.values():
        group.mkdir()
    return Cgroups(groups, dict.fromkeys(groups, version), {}, LIMITS, (str(tmp_path),))


@pytest.mark.parametrize(
    ("version", "written"),
    [
        (
            2,
            {
                "memory/att_1/memory.max": "1000",
                "memory/att_1/memory.swap.max": "0",
                "memory/att_1/memory.oom.group": "1",
                "cpu/att_1/cpu.max": "150000 100000",
                "pids/att_1/pids.max": "7",
            },
        ),
        (
            1,
            {
                "memory/att_1/memory.limit_in_bytes": "1000",
                "cpu/att_1/cpu.cfs_quota_us": "150000",
                "pids/att_1/pids.max": "7",
            },
        ),
    ],
)
def test_each_version_is_told_in_its_own_words(tmp_path: Path, version: int, written: dict[str, str]) -> None:
    made = grouped(tmp_path, version).make("att_1")
    assert made == {name: str(tmp_path / name / "att_1") for name in cgroups.CONTROLLERS}
    for name, text in written.items():
        assert (tmp_path / name).read_text() == text
    limited = {path.name for path in (tmp_path / "io" / "att_1").iterdir()}
    assert limited <= {"io.max", "blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device"}


@pytest.mark.parametrize(("version", "name"), [(2, "memory.events"), (1, "memory.oom_control")])
def test_the_kernel_tells_that_memory_ran_out(tmp_path: Path, version: int, name: str) -> None:
    found = grouped(tmp_path, version)
    found.make("att_1")
    assert not found.memory_ran_out("att_1")
    told = tmp_path / "memory" / "att_1" / name
    told.write_text("oom 3\noom_kill 0\n")
    assert not found.memory_ran_out("att_1")
    told.write_text("oom 3\noom_kill 1\n")
    assert found.memory_ran_out("att_1")


def test_a_cgroup_that_cannot_be_made_is_left_out(tmp_path: Path) -> None:
    found = grouped(tmp_path, 2)
    (tmp_path / "cpu").rmdir()
    (tmp_path / "cpu").touch()
    assert set(found.make("att_1")) == {"memory", "pids", "io"}


def test_cgroups_of_nobody_are_swept(tmp_path: Path) -> None:
    found = grouped(tmp_path, 2)
    for name in ("att_1", "att_2"):
        (tmp_path / "cpu" / name).mkdir()
    found.sweep({"att_1"})
    assert [path.name for path in (tmp_path / "cpu").iterdir()] == ["att_1"]


@pytest.mark.parametrize(
    ("own", "may"),
    [("/system.slice/haulier-agentd.service/daemon", True), ("/system.slice/haulier-agentd.service", False)],
)
def test_under_systemd_the_daemon_needs_a_group_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str, may: bool
) -> None:
    """Where it has none, a restart while steps live would be refused, so no cgroup is made and it is said why."""
    place = tmp_path / own.lstrip("/")
    place.mkdir(parents=True)
    (place / "cgroup.controllers").write_text("cpu io memory pids\n")
    shown = {
        "/proc/self/cgroup": [f"0::{own}"],
        "/proc/self/mountinfo": [f"30 24 0:26 / {tmp_path} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"],
    }
    read = cgroups._lines
    monkeypatch.setattr(cgroups, "_lines", lambda path: shown.get(str(path)) or read(path))
    found = cgroups.find("haulier-x")
    if may:
        assert set(found.groups.values()) == {place.parent / "haulier-x"}
        assert (place.parent / "cgroup.subtree_control").exists()
        assert set(found.told().values()) == {cgroups.ENFORCED}
    else:
        assert not found.groups
        assert all("DelegateSubgroup=daemon" in why for why in found.told().values())


def test_without_control_groups_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "_lines", lambda path: [])
    found = cgroups.find("haulier-x")
    assert not found.groups and all("no hierarchy" in why for why in found.told().values())
