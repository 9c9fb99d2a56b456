"""A sample of what `make updater-crashes` does at every point: the updater killed at calls that change something."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit import reports
from tests.kit.mounting import can_mount
from tests.system.updater_crashes import crash_all, has_strace

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not has_strace(), reason="strace may not trace here, or is not installed"),
]
# A prime apart, so that runs of the same calls are met at different places.
EACH = 37


def test_killed_anywhere_the_updater_leaves_old_or_new(tmp_path: Path) -> None:
    manners = ["good", "crashes", "fails", "half-written", "downgrade"]
    report = crash_all(tmp_path, manners, EACH, first=5)
    assert report["points_found"] > 300
    assert report["points"] >= 8
    assert set(report["outcomes"]) == set(manners)


@pytest.mark.skipif(not can_mount(), reason="this machine lets nobody mount a small disk")
def test_killed_on_a_disk_that_fills_while_unpacking(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.system.updater_crashes", "--manner", "disk-full", "--each", "17"]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{root}:{root / 'proto'}"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / reports.DIRECTORY / "updater.json").exists()
