"""The helper by which verbs and system tests find what daemons are loud about."""

from pathlib import Path

import pytest

from tests.kit.quiet import NotQuiet, loud_lines, require_quiet

LOG = """\
2026-12-01 10:00:00,001 INFO haulier.agentd said ERROR and CRITICAL in passing
2026-12-01 10:00:01,002 WARNING haulier.rpc: a caller was refused
2026-12-01 10:00:02,003 ERROR haulier.loops: loop dispatcher failed: StoreFailed: the disk is full
Traceback (most recent call last):
  File "x.py", line 1, in y
StoreFailed: the disk is full
2026-12-01 10:00:03,004 CRITICAL haulier.agentd the control plane's audit log is not what this agent saw
<3>haulier.agentd not reloaded: no such file
<6>haulier.agentd all is well
Traceback (most recent call last):
  File "z.py", line 1, in grpc
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "agent.log"
    path.write_text(LOG)
    return path


def test_errors_and_tracebacks_are_found_and_words_in_passing_are_not(log: Path) -> None:
    assert [line.split(": ")[0] for line in loud_lines([log, log.with_name("missing.log")])] == [
        f"agent.log:{number}" for number in (3, 4, 7, 8, 10)
    ]
    with pytest.raises(NotQuiet, match=r"agent\.log:7: .*CRITICAL"):
        require_quiet([log])


def test_what_was_caused_is_passed_over_with_its_own_traceback_alone(log: Path) -> None:
    left = loud_lines([log], [r"ERROR haulier\.loops: .*the disk is full", "not reloaded"])
    assert [line.split(": ")[0] for line in left] == ["agent.log:7", "agent.log:10"]
