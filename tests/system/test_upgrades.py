"""A real upgrade in the middle of a long copy: the same process goes on, under the same fence, with hardly a pause."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentd.runner.identity import is_alive
from tests.system.upgrades import BOUND_S, GAP_MAX_S, Copying, run, start_s

ROWS = 900_000
# One of so many tries must show what a switch takes by itself.
TRIES = 3
# Where to start a process that loads the daemon takes longer than this, the machine is busy with something else, and
# the bar is for a machine that is as much faster.
START_S = 1.0

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
    gaps: list[float] = []
    digests = set()
    for _ in range(TRIES):
        built = copying.prepare()
        name = copying.start_copy()
        attempt_id, who = copying.running()
        with copying.slowed(who), copying.watched(attempt_id) as watch:
            began_at, switched_at = copying.switch(built)
            assert is_alive(who), "the same process, by pid and start, works on"
            upgraded = watch.gap_s(began_at, switched_at)
            crashed = watch.until_growth(copying.kill_daemon(), BOUND_S)
            assert is_alive(who)
        copying.settle()
        copying.scene.require_end([name], "MigrationSucceeded", BOUND_S)
        copying.require_first_attempts(name)
        digests.add(copying.digest(name))
        gaps.append(max(*upgraded, crashed) / max(1.0, start_s() / START_S))
        if gaps[-1] < GAP_MAX_S:
            break
    assert min(gaps) < GAP_MAX_S, gaps
    assert len(digests) == 1


def test_upgrades_in_a_row(copying: Copying) -> None:
    report = run(copying, 2)
    assert report["ok"], report
