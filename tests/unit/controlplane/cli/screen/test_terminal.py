"""What arrives at a real terminal (a pty), and what does not."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from haulier.v1 import operator_pb2 as op

from controlplane.cli.screen.terminal import Look, look_of
from tests.unit.controlplane.cli.far_side import FarSide

ROOT = Path(__file__).resolve().parents[5]
RUNNING = op.MigrationSummary(
    migration_id="mig_a", name="a" * 60, state="running", steps_total=2, current_step="load", watermark=5, total=10
)
DONE = op.MigrationSummary(
    migration_id="mig_a", name="a" * 60, state="succeeded", steps_total=2, steps_done=2, verified_rows=10
)
HIDE_CURSOR, SHOW_CURSOR = b"\x1b[?25l", b"\x1b[?25h"


class Terminal:
    """A program at a terminal of 80 columns and 24 lines."""

    def __init__(self, process: "subprocess.Popen[bytes]", screen: int) -> None:
        self.process = process
        self._screen = screen
        self.seen = b""

    def read_until(self, wanted: bytes) -> None:
        """Reads until `wanted` was seen; the test's own time limit bounds it."""
        while wanted not in self.seen:
            piece = self._piece()
            assert piece, f"the program ended without {wanted!r}: {self.seen!r}"
            self.seen += piece

    def read_all(self) -> bytes:
        """Reads until the program has ended."""
        while piece := self._piece():
            self.seen += piece
        return self.seen

    def _piece(self) -> bytes:
        try:
            return os.read(self._screen, 65536)
        except OSError:
            # Linux answers EIO once the last program has left the terminal.
            return b""


@contextmanager
def at_a_terminal(far: FarSide, tmp_path: Path, *arguments: str, **variables: str) -> Iterator[Terminal]:
    profile = far.write_profile(tmp_path / "p.json")
    screen, seat = pty.openpty()
    fcntl.ioctl(seat, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    inherited = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS", "LINES")}
    environment = {
        **inherited,
        "TERM": "xterm",
        "HAULIER_PROFILE": str(profile),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "proto")]),
        **variables,
    }
    command = [sys.executable, "-m", "controlplane.cli.main", *arguments]
    # A shell that started the tests in the background has them, and all below them, ignore SIGINT.
    command = ["env", "--default-signal=INT", *command]
    with subprocess.Popen(command, env=environment, stdin=seat, stdout=seat, stderr=seat) as process:
        os.close(seat)
        try:
            yield Terminal(process, screen)
        finally:
            process.kill()
            os.close(screen)


def text_of(output: bytes) -> str:
    """Output without the sequences that paint and move."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output.decode())


def test_a_join_token_comes_in_the_command_to_give(far: FarSide, tmp_path: Path) -> None:
    far.says("CreateJoinToken", op.CreateJoinTokenResponse(token="haulier-join.here:1.a.b", ttl_s=60))
    with at_a_terminal(far, tmp_path, "token", "create", "--agent", "host-a", TERM="dumb") as terminal:
        text = text_of(terminal.read_all())
    # A terminal that cannot be painted is still read by a person.
    assert "haulier-join.here:1.a.b" in text
    with at_a_terminal(far, tmp_path, "token", "create", "--agent", "host-a") as terminal:
        lines = text_of(terminal.read_all()).splitlines()
    assert lines[-1] == "haulier-agentd join --name host-a haulier-join.here:1.a.b"


def test_a_table_is_coloured_and_cut_to_the_width(far: FarSide, tmp_path: Path) -> None:
    far.says("ListMigrations", op.ListMigrationsResponse(migrations=[DONE]))
    with at_a_terminal(far, tmp_path, "migration", "list") as terminal:
        output = terminal.read_all()
    assert "\x1b[32m✓ succeeded" in output.decode()
    lines = text_of(output).splitlines()
    assert max(len(line) for line in lines) <= 80
    assert "aaa…" in lines[1]


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_can_be_refused(far: FarSide, tmp_path: Path, variables: dict[str, str]) -> None:
    far.says("ListMigrations", op.ListMigrationsResponse(migrations=[DONE]))
    with at_a_terminal(far, tmp_path, "migration", "list", **variables) as terminal:
        output = terminal.read_all()
    assert b"\x1b" not in output
    assert "✓ succeeded" in output.decode()


def test_a_watch_repaints_itself_and_leaves_the_result(far: FarSide, tmp_path: Path) -> None:
    chapters = [RUNNING] * 3 + [DONE]
    far.says(
        "ListMigrations",
        lambda _request: op.ListMigrationsResponse(migrations=[chapters.pop(0) if len(chapters) > 1 else DONE]),
    )
    with at_a_terminal(far, tmp_path, "migration", "watch") as terminal:
        output = terminal.read_all()
        assert terminal.process.wait(20) == 0
    assert HIDE_CURSOR in output
    assert output.rindex(SHOW_CURSOR) > output.rindex(HIDE_CURSOR)
    text = text_of(output)
    assert "25%" in text
    assert "✓ succeeded 1 · 10 rows proven" in text.splitlines()[-1]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_watch_gives_the_cursor_back(
    far: FarSide, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    far.says("ListMigrations", op.ListMigrationsResponse(migrations=[RUNNING]))
    with at_a_terminal(far, tmp_path, "migration", "watch") as terminal:
        terminal.read_until(b"0 of 1 ended")
        terminal.process.send_signal(number)
        output = terminal.read_all()
        assert terminal.process.wait(20) == code
    assert output.rindex(SHOW_CURSOR) > output.rindex(HIDE_CURSOR)
    assert b"Traceback" not in output


def test_a_terminal_that_knows_no_symbols_gets_escapes_and_no_failure(far: FarSide, tmp_path: Path) -> None:
    far.says("ListMigrations", op.ListMigrationsResponse(migrations=[DONE]))
    with at_a_terminal(far, tmp_path, "migration", "list", PYTHONIOENCODING="ascii") as terminal:
        output = terminal.read_all()
        assert terminal.process.wait(20) == 0
    assert b"\\u2713 succeeded" in output


class Tty:
    """As much of a stream as the look depends on."""

    def __init__(self, terminal: bool) -> None:
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.parametrize(
    ("terminal", "environment", "look"),
    [
        (False, {}, (False, False)),
        (False, {"TERM": "xterm"}, (False, False)),
        (True, {"TERM": "xterm"}, (True, True)),
        (True, {"TERM": "xterm", "NO_COLOR": ""}, (True, True)),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, (True, False)),
        (True, {"TERM": "dumb"}, (False, False)),
    ],
)
def test_looks(terminal: bool, environment: dict[str, str], look: tuple[bool, bool]) -> None:
    found = look_of(Tty(terminal), environment)
    assert (found.terminal, found.colour) == look


def test_where_nobody_looks_everything_fits() -> None:
    assert Look(terminal=False, colour=False, width=80).fits(1000)
    assert not Look(terminal=True, colour=False, width=80).fits(81)
    assert Look(terminal=True, colour=False, width=80, wide=True).fits(81)
