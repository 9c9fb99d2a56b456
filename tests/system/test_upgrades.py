"""A real upgrade in the middle of a long copy: the same process goes on, under the same fence."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentd.processes.identity import is_alive
from tests.system.upgrades import BOUND_S, Copying, run

ROWS = 900_000
# The first step must outlast a switch and a crash, on any machine.
VERY_SLOW = 0.08

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def copying() -> Iterator[Copying]:
    """A Haulier whose agent was installed as a release, and a dataset that takes long to copy."""
    with tempfile.TemporaryDirectory(prefix="haulier-upgrades-") as root:
        found = Copying(Path(root), ROWS)
        try:
            found.rise()
            # The first upgrade measures the release before it, too, and takes longer.
            found.switch(found.prepare())
            found.settle()
            yield found
        finally:
            found.close()


def test_an_upgrade_and_a_crash_do_not_touch_a_running_copy(copying: Copying) -> None:
    # How long the gap in progress is says as much about a busy machine as about us; `make upgrades` measures that.
    built = copying.prepare()
    name = copying.start_copy()
    attempt_id, who = copying.running()
    with copying.slowed(who, VERY_SLOW), copying.watched(attempt_id) as watch:
        copying.switch(built)
        assert is_alive(who), "the same process, by pid and start, works on"
        watch.until_growth(copying.kill_daemon(), BOUND_S)
        assert is_alive(who)
    copying.settle()
    copying.scene.require_end([name], "MigrationSucceeded", BOUND_S)
    copying.require_first_attempts(name)


def test_upgrades_in_a_row(copying: Copying) -> None:
    report = run(copying, 2)
    assert report["ok"], report
