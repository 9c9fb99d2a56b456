"""Whatever ends a verb, or a run of tests, ends everything that it has started."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.kit.processes import alive
from tests.kit.warden import ENDING

ROOT = Path(__file__).parents[2]
BOUND_S = 60.0
# A child, one that does not heed SIGTERM, and one that has left its session and its parent; then a line, and for ever.
STARTS_SOME = """
import os, signal, subprocess, sys
from tests.kit.verbs import leave

FOR_EVER = "import sys, time; print('runs', flush=True); time.sleep(3600)"

def started(*changes):
    code = ";".join([*changes, FOR_EVER])
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    process.stdout.readline()

def main():
    started()
    started("import signal", "signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    started("import os", "os.fork() and os._exit(0)", "os.setsid()")
    print("started", flush=True)
    HOW

if __name__ == "__main__":
    leave(main, keeps=KEEPS)
"""
# A test that has a real PostgreSQL, says so, and goes on for ever.
WITH_A_SERVER = """
import signal
from tests.kit import postgres
postgres_server = postgres.postgres_server

def test_it(postgres_server, capsys):
    with capsys.disabled():
        print("started", flush=True)
    signal.pause()
"""


@contextmanager
def running(*command: str) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """A program in a group of its own that has said that it started its children, and those."""
    # Whoever runs the tests may have been started with signals ignored, which children inherit.
    command = ("env", "--default-signal=INT,HUP,TERM", *command)
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0
    ) as program:
        assert program.stdout is not None
        found: list[psutil.Process] = []
        try:
            for line in program.stdout:
                if "started" in line or "enrolling" in line:
                    break
            else:
                raise AssertionError("it ended")
            found += psutil.Process(program.pid).children(recursive=True)
            yield program, found
        finally:
            if program.poll() is None:
                found += psutil.Process(program.pid).children(recursive=True)
            for each in found:
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            program.kill()


def left(found: list[psutil.Process]) -> list[psutil.Process]:
    return [each for each in found if each.is_running() and alive(each.pid)]


@pytest.mark.parametrize("number", ENDING, ids=lambda number: signal.Signals(number).name)
@pytest.mark.parametrize("to_all", [False, True], ids=["to it alone", "to its group"])
def test_a_signal_ends_all_that_a_verb_has_started(number: signal.Signals, to_all: bool) -> None:
    code = STARTS_SOME.replace("HOW", "signal.pause()").replace("KEEPS", "True")
    with running(sys.executable, "-c", code) as (verb, found):
        assert len(found) == 4, "the verb itself and three others"
        (os.killpg if to_all else os.kill)(verb.pid, number)
        said = verb.communicate(timeout=BOUND_S)[0]
        assert verb.returncode == 128 + number
        assert said.strip() == f"stopped by {number.name}"
        assert not left(found)


@pytest.mark.parametrize("how", ["return 3", "raise SystemExit(3)", "os._exit(3)"])
def test_what_a_verb_has_left_is_ended(how: str) -> None:
    with running(sys.executable, "-c", STARTS_SOME.replace("HOW", how).replace("KEEPS", "True")) as (verb, found):
        verb.communicate(timeout=BOUND_S)
        assert verb.returncode == 3
        assert not left(found)


def test_a_verb_that_was_killed_leaves_nothing_either() -> None:
    code = STARTS_SOME.replace("HOW", "os.kill(os.getpid(), signal.SIGKILL)").replace("KEEPS", "False")
    with running(sys.executable, "-c", code) as (verb, found):
        verb.communicate(timeout=BOUND_S)
        assert verb.returncode == 128 + signal.SIGKILL
        assert not left(found)


def test_only_what_is_kept_on_purpose_goes_on() -> None:
    with running(sys.executable, "-c", STARTS_SOME.replace("HOW", "").replace("KEEPS", "True")) as (verb, found):
        verb.wait(timeout=BOUND_S)
        assert verb.returncode == 0
        assert len(left(found)) == 3


@pytest.mark.parametrize("number", ENDING, ids=lambda number: signal.Signals(number).name)
def test_a_stopped_run_of_tests_leaves_no_server_behind(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_configure\n")
    (tmp_path / "test_it.py").write_text(WITH_A_SERVER)
    command = (sys.executable, "-m", "tests.kit.warden", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path))
    with running(*command) as (tests, found):
        servers = [each for each in psutil.process_iter(["name"]) if each.info["name"] == "postgres"]
        of_it = [each for each in servers if each in found]
        assert of_it, "the server is below the warden, though it has gone to the background"
        tests.send_signal(number)
        tests.communicate(timeout=BOUND_S)
        assert tests.returncode == 128 + number
        assert not left(found)
        assert not [each for each in of_it if Path("/proc", str(each.pid)).exists()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: signal.Signals(number).name)
def test_make_that_is_stopped_leaves_nothing_of_a_real_verb(number: signal.Signals) -> None:
    with running("make", "bench-fleet", "AGENTS=20") as (make, found):
        assert len(found) >= 3, "the warden, the verb, and its control plane"
        # SIGTERM to make alone; Ctrl-C as a terminal does it, to all of them.
        (os.killpg if number is signal.SIGINT else os.kill)(make.pid, number)
        make.communicate(timeout=BOUND_S)
        assert make.returncode
        assert not left(found)
