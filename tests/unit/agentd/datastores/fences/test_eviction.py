"""Eviction ends exactly the process that provably wrote the record, and never one that was not superseded."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentd.datastores.fences import eviction
from agentd.datastores.port.datastore import Writer

ROOT = Path(__file__).parents[5]
HOLDER = """
import signal, sys
from pathlib import Path
from agentd.datastores.fences.eviction import holding
from agentd.datastores.port.datastore import Writer
with holding(Path(sys.argv[1]), Writer("there", int(sys.argv[2]), sys.argv[3], "mig_1")):
    print("holding", flush=True)
    signal.pause()
"""


class Holder:
    """A real process that holds a file."""

    def __init__(self, file: Path, fence: int, attempt: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(file), str(fence), attempt],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "holding\n"
        self.record = file.parent / "_haulier" / "holders" / f"{file.name}.{attempt}.json"

    def stop(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)
        os.waitpid(self.process.pid, os.WUNTRACED)

    def rewrite(self, **cells: Any) -> None:
        self.record.write_text(json.dumps({**json.loads(self.record.read_text()), **cells}))

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def end(self) -> None:
        self.process.kill()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data[1].db"


@pytest.fixture
def holder(file: Path) -> Iterator[Holder]:
    found = Holder(file, 3, "att_3")
    yield found
    found.end()


def successor(fence: int, *evict: str, target: str = "there") -> Writer:
    return Writer(target, fence, f"att_{fence}", "mig_1", evict)


def test_a_stopped_holder_of_the_target_is_ended(file: Path, holder: Holder) -> None:
    holder.stop()
    eviction.evict(file, successor(4))
    assert holder.process.wait(10) == -signal.SIGKILL
    assert not holder.record.exists()


def test_a_named_attempt_is_ended_whatever_its_target(file: Path, holder: Holder) -> None:
    eviction.evict(file, successor(1, "att_3", target="elsewhere"))
    assert holder.process.wait(10) == -signal.SIGKILL


@pytest.mark.parametrize(
    "who",
    [successor(2), successor(3), successor(9, target="elsewhere"), successor(9, "att_other", target="elsewhere")],
    ids=["smaller fence", "own record", "other target", "other attempt"],
)
def test_who_is_not_superseded_is_left_alone(file: Path, holder: Holder, who: Writer) -> None:
    eviction.evict(file, who)
    assert holder.is_alive()
    assert holder.record.exists()


def test_another_file_is_left_alone(file: Path, holder: Holder) -> None:
    eviction.evict(file.with_name("data1.db"), successor(9))
    eviction.evict(file.with_name("data"), successor(9))
    assert holder.is_alive()


def test_a_record_that_names_a_stranger_kills_nobody(file: Path, holder: Holder) -> None:
    """A forged or stale record: right pid, but that process did not write it."""
    stranger = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    try:
        started = eviction.start_time(stranger.pid)
        holder.rewrite(pid=stranger.pid, start_time=started)
        eviction.evict(file, successor(9))
        assert stranger.poll() is None
        assert holder.is_alive()
    finally:
        stranger.kill()
        stranger.wait(10)


@pytest.mark.parametrize("cells", [{"boot_id": "another"}, {"pid_namespace": "another"}])
def test_a_record_of_another_boot_or_container_is_not_judged(file: Path, holder: Holder, cells: dict[str, Any]) -> None:
    holder.rewrite(**cells)
    eviction.evict(file, successor(9))
    assert holder.is_alive()
    assert holder.record.exists()


def test_a_record_whose_process_is_gone_is_swept(file: Path, holder: Holder) -> None:
    holder.end()
    assert holder.record.exists()
    eviction.evict(file, successor(1, target="elsewhere"))
    assert not holder.record.exists()


def test_torn_records_are_ignored(file: Path, holder: Holder) -> None:
    for text in ("", "{", "[]", '{"pid": "x", "attempt_id": 1, "target": 2, "fence": 3}'):
        holder.record.with_name(f"{file.name}.torn.json").write_text(text)
        eviction.evict(file, successor(1, target="elsewhere"))
    assert holder.is_alive()


def test_holding_leaves_nothing_behind(file: Path) -> None:
    with eviction.holding(file, successor(1)):
        assert len(list((file.parent / "_haulier" / "holders").iterdir())) == 1
    assert list((file.parent / "_haulier" / "holders").iterdir()) == []
