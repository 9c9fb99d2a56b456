"""The attempt's directory: who may be its child, and what survives a torn or missing file."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from agentd.core.grants import Grant, Outcome, OutcomeKind, Progress
from agentd.journal.encoding import Undecodable
from agentd.processes.identity import ProcessIdentity, all_pids, boot_id, descendants, identify, is_alive
from agentd.runner.attempt_files import AttemptDirectory, ChildSettings, Deadlines, Spec

GRANT = Grant("att_1", "step_1", "mig_1", "load", "load", 1, 7, "orders", 60.0, params=b"\xff")
SPEC = Spec(GRANT, ChildSettings("/etc/haulier/policy.toml", ("LISTED",), "load:publish_open"))
ME = ProcessIdentity(1, 2, "boot")


def directory(tmp_path: Path) -> AttemptDirectory:
    files = AttemptDirectory(tmp_path / "att_1")
    files.create(SPEC)
    return files


def test_a_spec_is_private_and_survives(tmp_path: Path) -> None:
    files = directory(tmp_path)
    assert files.attempt_id == "att_1"
    assert files.read_spec() == SPEC
    assert files.path.stat().st_mode & 0o077 == 0
    assert (files.path / "spec").stat().st_mode & 0o077 == 0
    files.create(SPEC)
    (files.path / "spec").write_text("{}")
    with pytest.raises(Undecodable):
        files.read_spec()


def test_an_attempt_has_one_child(tmp_path: Path) -> None:
    files = directory(tmp_path)
    assert files.read_child() is None
    assert files.claim(ME)
    assert not files.claim(replace(ME, pid=2))
    assert not files.bury()
    assert files.read_child() == ME


def test_a_child_that_comes_after_the_burial_is_refused(tmp_path: Path) -> None:
    files = AttemptDirectory(tmp_path / "att_1")
    assert files.bury()
    assert not files.claim(ME)
    assert files.read_child() is None
    assert sorted(path.name for path in files.path.iterdir()) == ["child"], "nothing temporary stays"


def test_progress_is_read_back_and_a_torn_record_is_not(tmp_path: Path) -> None:
    files = directory(tmp_path)
    assert files.read_progress() is None
    files.write_progress(Progress(1, 2, 3, "reading"))
    assert files.read_progress() == Progress(1, 2, 3, "reading")
    files.write_progress(Progress(2**70, -1, 3, "ü" * 60))
    told = files.read_progress()
    assert told is not None
    assert (told.watermark, told.total) == (2**64 - 1, 0)
    assert told.stage.startswith("üüü")
    record = bytearray((files.path / "progress").read_bytes())
    record[0] ^= 1
    (files.path / "progress").write_bytes(record)
    assert files.read_progress() is None
    (files.path / "progress").write_bytes(record[:10])
    assert files.read_progress() is None


def test_a_long_stage_is_read_back_whole(tmp_path: Path) -> None:
    files = directory(tmp_path)
    said = "waiting for a lock on 'things', held by pid 4711 of user 'ü" + "x" * 63 + "' for 3m12s"
    files.write_progress(Progress(1, 2, 3, said))
    assert files.read_progress() == Progress(1, 2, 3, said)
    # The record alone, as an agent of an earlier release reads it, holds the beginning.
    (files.path / "stage").unlink()
    told = files.read_progress()
    assert told is not None
    assert len(told.stage.encode()) == 64 and said.startswith(told.stage)
    # A text that is left over from before is not taken for this one's.
    (files.path / "stage").write_text("something else")
    assert files.read_progress() == told
    files.write_progress(Progress(1, 2, 3, "staging"))
    assert files.read_progress() == Progress(1, 2, 3, "staging")


def test_the_first_result_stays(tmp_path: Path) -> None:
    files = directory(tmp_path)
    assert files.read_result() is None
    first = Outcome("att_1", 7, OutcomeKind.SUCCEEDED, b"\x00")
    files.write_result(first)
    files.write_result(replace(first, kind=OutcomeKind.FAILED))
    assert files.read_result() == first
    assert not list(files.path.glob("result.*"))


def test_room_for_the_result_is_kept_and_given_up_for_it(tmp_path: Path) -> None:
    files = directory(tmp_path)
    files.reserve()
    assert (files.path / "reserve").stat().st_blocks * 512 >= 128 * 1024
    files.write_result(Outcome("att_1", 7, OutcomeKind.SUCCEEDED))
    assert not (files.path / "reserve").exists()
    assert files.read_end() == ""
    files.write_end("ended by SIGKILL")
    assert files.read_end() == "ended by SIGKILL"


def test_deadlines_cancel_and_points(tmp_path: Path) -> None:
    files = directory(tmp_path)
    assert files.read_deadlines() is None
    files.write_deadlines(Deadlines(float("-inf"), 1.5))
    assert files.read_deadlines() == Deadlines(float("-inf"), 1.5)
    assert not files.stop_asked()
    files.ask_to_stop("cancelled")
    assert files.stop_asked()
    files.write_point("publish_open")
    assert (files.path / "point").read_text() == "publish_open"


def test_a_process_is_known_by_more_than_its_pid() -> None:
    me = identify(os.getpid())
    assert me is not None
    assert me.boot_id == boot_id()
    assert is_alive(me)
    assert not is_alive(replace(me, start_ticks=me.start_ticks - 1))
    assert not is_alive(replace(me, boot_id="another"))
    assert identify(2**22 + 1) is None
    assert me.pid in all_pids()
    assert descendants(2**22 + 1) == []


def test_children_are_counted_while_processes_end() -> None:
    for _ in range(300):
        parent = subprocess.Popen(["/bin/sh", "-c", "/bin/true & /bin/true & wait"])
        while parent.poll() is None:
            descendants(parent.pid)
