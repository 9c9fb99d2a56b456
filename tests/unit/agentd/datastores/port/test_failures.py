"""Errors of the operating system become one clear sentence."""

import errno
import os
from pathlib import Path

import pytest

from agentd.datastores.port.failures import Fenced, StepFailure, naming_os_errors


def test_a_full_disk_says_what_was_being_done() -> None:
    # A device on which every write fails for lack of space.
    with pytest.raises(StepFailure) as caught, naming_os_errors("staging parts"):  # noqa: SIM117
        with Path("/dev/full").open("wb", buffering=0) as full:
            full.write(b"x")
    assert (caught.value.code, caught.value.retryable) == ("disk_full", True)
    assert caught.value.message.startswith("staging parts:")
    assert "Free space" in caught.value.hint


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(StepFailure) as caught, naming_os_errors("opening"):
        (tmp_path / "nothing").read_bytes()
    assert caught.value.code == "not_found"
    assert str(tmp_path / "nothing") in caught.value.message


def test_a_failure_of_ours_passes_unchanged() -> None:
    with pytest.raises(Fenced) as caught, naming_os_errors("opening"):
        raise Fenced("there", 3, "it has accepted fence 4 of att_4")
    assert str(caught.value).startswith("target 'there' refused fence 3: it has accepted fence 4 of att_4 (fenced).")
    assert not caught.value.retryable


@pytest.mark.parametrize("number", [errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.ENODEV, errno.ENXIO])
def test_a_file_system_that_is_away_is_an_outage(number: int) -> None:
    with pytest.raises(StepFailure) as caught, naming_os_errors("reading a staged part"):
        raise OSError(number, os.strerror(number), "/mnt/staging/part")
    assert (caught.value.code, caught.value.unreachable) == ("unreachable", True)
    assert caught.value.message.startswith("reading a staged part: /mnt/staging/part ")
