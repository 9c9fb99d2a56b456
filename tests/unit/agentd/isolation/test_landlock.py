"""The sandbox around a step, in real processes: what is inside opens, what is not does not, however it is named."""

import os
import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from agentd.isolation.landlock import version

ROOT = Path(__file__).parents[4]
pytestmark = pytest.mark.skipif(not version(), reason="this kernel has no Landlock")

PREAMBLE = """
import errno, os, sys
from pathlib import Path
from agentd.policy.beneath import Outside
from agentd.isolation import privileges
from agentd.isolation.landlock import READ, RUN, WRITE, Opening, OutsideThread, put_up, system_openings
home = Path(sys.argv[1])
roots = (str(home / "root"),)
privileges.give_up()
outside = OutsideThread()
def enclosed(*openings, ports=None):
    put_up([*system_openings([p for p in sys.path if p] + [sys.prefix, sys.base_prefix]), *openings], ports)
def refused(work):
    try:
        work()
    except OSError as error:
        assert error.errno in (errno.EACCES, errno.EPERM, errno.EXDEV), error
        return True
    return False
"""


def told_by(home: Path, script: str) -> list[str]:
    """What a process prints that runs the script; `home` has a root with a file in it, and a file outside."""
    home.chmod(0o755)
    (home / "root").mkdir(exist_ok=True)
    (home / "root" / "inside").write_text("inside")
    (home / "secret").write_text("canary")
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + textwrap.dedent(script), str(home)],
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_only_what_was_opened_opens(tmp_path: Path) -> None:
    assert told_by(
        tmp_path,
        """
        (home / "root" / "out").symlink_to(home / "secret")
        enclosed(Opening(home / "root", WRITE, roots))
        print((home / "root" / "inside").read_text())
        (home / "root" / "new").write_text("x")
        os.link(home / "root" / "new", home / "root" / "second")
        print(refused((home / "secret").read_text))
        print(refused((home / "root" / "out").read_text))
        print(refused(lambda: (home / "made").write_text("x")))
        print(refused(lambda: os.link(home / "secret", home / "root" / "stolen")))
        print(refused(lambda: os.symlink("/etc/passwd", home / "root" / "link")))
        print(refused(lambda: os.mkfifo(home / "root" / "pipe")))
        print(refused(lambda: open("/etc/passwd")))
        print(refused(lambda: os.listdir(home)))
        """,
    ) == ["inside", *["True"] * 8]


def test_what_is_only_read_is_not_written_and_nothing_is_run(tmp_path: Path) -> None:
    assert told_by(
        tmp_path,
        """
        enclosed(Opening(home / "root", READ, roots))
        print((home / "root" / "inside").read_text())
        print(refused(lambda: (home / "root" / "inside").write_text("x")))
        print(refused(lambda: (home / "root" / "inside").unlink()))
        print(refused(lambda: os.truncate(home / "root" / "inside", 0)))
        print(refused(lambda: os.execv("/bin/true", ["true"])))
        """,
    ) == ["inside", *["True"] * 4]


def test_a_link_that_was_swapped_in_opens_no_way(tmp_path: Path) -> None:
    assert told_by(
        tmp_path,
        """
        (home / "root" / "place").symlink_to(home)
        try:
            enclosed(Opening(home / "root" / "place", WRITE, roots))
        except Outside as error:
            print("outside", error)
        """,
    ) == ["outside", str(tmp_path)]


def test_work_outside_sees_what_the_step_does_not(tmp_path: Path) -> None:
    assert told_by(
        tmp_path,
        """
        enclosed()
        print(refused((home / "secret").read_text), outside.run((home / "secret").read_text))
        try:
            outside.run(lambda: 1 / 0)
        except ZeroDivisionError:
            print("raised")
        """,
    ) == ["True", "canary", "raised"]


def test_only_the_ports_that_were_named_are_reached(tmp_path: Path) -> None:
    if version() < 4:
        pytest.skip("this kernel does not judge ports")
    with socket.create_server(("127.0.0.1", 0)) as allowed, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [each.getsockname()[1] for each in (allowed, other)]
        assert told_by(
            tmp_path,
            f"""
            import socket
            enclosed(ports=[{ports[0]}])
            socket.create_connection(("127.0.0.1", {ports[0]})).close()
            print(refused(lambda: socket.create_connection(("127.0.0.1", {ports[1]}))))
            """,
        ) == ["True"]


def test_privileges_descriptors_and_core_files_are_given_up(tmp_path: Path) -> None:
    told = told_by(
        tmp_path,
        """
        import resource
        status = dict(l.split(":", 1) for l in open("/proc/self/status").read().splitlines() if ":" in l)
        print(status["NoNewPrivs"].strip(), status["CapEff"].strip(), status["CapPrm"].strip(), status["Umask"].strip())
        print(resource.getrlimit(resource.RLIMIT_CORE)[0], len([f for f in os.listdir("/proc/self/fd") if int(f) > 2]))
        """,
    )
    kept = 0b111111
    assert told[0] == "1" and told[3:] == ["0077", "0", "1"]
    assert not int(told[1], 16) & ~kept and not int(told[2], 16) & ~kept


def test_a_link_that_flips_all_the_time_never_shows_the_canary(tmp_path: Path) -> None:
    """The race itself: a thread swaps a directory for a link out of the root, again and again, while files are read."""
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "a" / "f").write_text("inside")
    (tmp_path / "f").write_text("canary")
    (root / "b").symlink_to(tmp_path)
    stop = threading.Event()

    def flip() -> None:
        while not stop.is_set():
            for name in ("a", "b"):
                (root / "at").unlink(missing_ok=True)
                (root / "at").symlink_to(name)

    flipping = threading.Thread(target=flip)
    flipping.start()
    try:
        told = told_by(
            tmp_path,
            """
            from collections import Counter
            enclosed(Opening(home / "root", WRITE, roots))
            found = Counter()
            while min(found["inside"], found["PermissionError"]) < 50 and found.total() < 200000:
                try:
                    found[(home / "root" / "at" / "f").read_text()] += 1
                except OSError as error:
                    found[type(error).__name__] += 1
            print(found["canary"], found["inside"] >= 50, found["PermissionError"] >= 50)
            """,
        )
    finally:
        stop.set()
        flipping.join()
    assert told == ["0", "True", "True"]
