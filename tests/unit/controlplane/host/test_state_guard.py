"""One control plane per state directory."""

import os
from pathlib import Path

import pytest

from controlplane.host.state_guard import StateGuard, StateTaken


def test_a_second_one_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    first = StateGuard(tmp_path)
    with pytest.raises(StateTaken, match=rf"another haulier-controlplane \(process {os.getpid()}\) runs on {tmp_path}"):
        StateGuard(tmp_path)
    first.release()
    second = StateGuard(tmp_path)
    second.release()


def test_what_an_ended_process_left_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("4194304000\n")
    guard = StateGuard(tmp_path)
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    guard.release()


def test_another_directory_is_free(tmp_path: Path) -> None:
    guards = [StateGuard(tmp_path)]
    (tmp_path / "other").mkdir()
    guards.append(StateGuard(tmp_path / "other"))
    for guard in guards:
        guard.release()
