"""Limits without control groups: what the kernel keeps for one process, and what is counted."""

import subprocess
import sys
from pathlib import Path

import pytest

from agentd.isolation import rlimits
from agentd.policy.limits import Limits
from agentd.processes.identity import boottime

ROOT = Path(__file__).parents[4]
GREEDY = """
from agentd.policy.limits import Limits
from agentd.isolation import rlimits
assert rlimits.keep(Limits(memory_bytes_max=50_000_000), memory_is_in_cgroup=False) == 50_000_000
taken = [b"x" * 30_000_000]
try:
    taken.append(b"x" * 30_000_000)
except MemoryError:
    print("refused")
"""


def test_memory_is_refused_to_a_process_beyond_its_limit() -> None:
    done = subprocess.run(
        [sys.executable, "-c", GREEDY],
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "refused\n"


def test_a_cgroup_keeps_memory_instead() -> None:
    assert rlimits.keep(Limits(memory_bytes_max=1), memory_is_in_cgroup=True) == 1
    assert rlimits.keep(Limits(), memory_is_in_cgroup=False) == 0


@pytest.mark.parametrize(
    ("limits", "use", "code"),
    [
        (Limits(), (1e9, 10**18), ""),
        (Limits(run_s_max=5), (0.0, 0), "time_limit"),
        (Limits(run_s_max=50), (0.0, 0), ""),
        (Limits(cpu_s_max=2), (2.5, 0), "cpu_limit"),
        (Limits(cpu_s_max=3), (2.5, 0), ""),
        (Limits(written_bytes_max=10), (2.5, 11), "written_limit"),
        (Limits(written_bytes_max=10), (2.5, 10), ""),
    ],
)
def test_what_is_counted_ends_by_its_name(limits: Limits, use: tuple[float, int], code: str) -> None:
    assert rlimits.over(limits, boottime() - 10, lambda: use) == code
    if code:
        failure = rlimits.failure_of(code, limits)
        assert failure.code == code and "_max" in failure.message and "raise" in failure.hint
