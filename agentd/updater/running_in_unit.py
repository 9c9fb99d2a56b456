"""Programs of a release as a unit of systemd: in the sandbox that the agent itself lives in, and the updater in a far
narrower one, without network and without the right to become anybody.

The unit is `haulier-agentd-program@DIGEST.service`. It takes its arguments from a file of root's, and its output goes
into two named pipes beside it, of which the end is kept: no output fills memory or disk.
"""

import os
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from agentd.updater.running import AGENT, NOT_ENDED, OUTPUT_BYTES_MAX, Said
from agentd.updater.settings import UpdaterSettings

# As the unit says.
PLACE = Path("/run/haulier-updater")
_UNITS = "haulier-agentd-program@{}.service"
_CALL_WAIT_S = 30.0
_PIECE_BYTES = 64 * 1024
_EXITED = "1"


class InUnit:
    """As a unit, which systemd starts, bounds and clears away."""

    def __init__(self, settings: UpdaterSettings) -> None:
        self._settings = settings
        self._is_clear = False

    def run(self, digest: str, arguments: Sequence[str], wait_s: float) -> Said:
        """As the port says."""
        unit = _UNITS.format(digest)
        began_at = time.monotonic()
        wrong = self._fault_of(unit, digest)
        if wrong:
            return Said(NOT_ENDED, "", wrong, 0.0)
        if not self._is_clear:
            # What an updater that was killed may have left running.
            self._clear()
        PLACE.mkdir(mode=0o700, exist_ok=True)
        (PLACE / "arguments").write_text(environment_of(arguments), encoding="utf-8")
        out, err = Pipe(PLACE / "output"), Pipe(PLACE / "errors")
        code, why = self._ended(unit, wait_s)
        self._clear()
        return Said(code, out.end(), err.end() or why, time.monotonic() - began_at)

    def _ended(self, unit: str, wait_s: float) -> tuple[int, str]:
        """Start the unit and wait for its end; the exit code, and what systemd says of a failure."""
        self._is_clear = False
        # It is of the sort oneshot: started means that it has ended.
        started = _systemctl("start", unit, wait_s=wait_s)
        if started.returncode in (0, NOT_ENDED):
            return started.returncode, ""
        told = _properties(unit, "ExecMainCode", "ExecMainStatus", "Result")
        result = told.get("Result", "")
        if result in ("", "success"):
            return NOT_ENDED, started.stderr
        status = int(told["ExecMainStatus"])
        code = status if told["ExecMainCode"] == _EXITED else -status
        # Where it was not even started there is no status.
        return code or NOT_ENDED, f"systemd says {result}: journalctl -u {unit}"

    def _fault_of(self, unit: str, digest: str) -> str:
        """What is wrong where the unit runs another file than the release's."""
        program = self._settings.tree(digest) / AGENT
        told = _properties(unit, "ExecStart")
        if f"path={program} ;" in told.get("ExecStart", ""):
            return ""
        return f"{unit} does not run {program}: let it, with systemctl edit {_UNITS.format('')}"

    def _clear(self) -> None:
        # Stopping it kills its whole control group.
        for verb in ("stop", "reset-failed"):
            _systemctl(verb, _UNITS.format("*"), wait_s=_CALL_WAIT_S)
        self._is_clear = True


def is_there() -> bool:
    """Whether systemd runs here and knows the unit: one package may bring it, and another release the updater."""
    try:
        return _properties(_UNITS.format("any"), "LoadState").get("LoadState") == "loaded"
    except OSError:
        return False


def environment_of(arguments: Sequence[str]) -> str:
    """The file that the unit takes its arguments from. systemd reads words twice: the file's, then the command's."""
    words = " ".join(_quoted(each, '"\\') for each in arguments)
    return f"ARGUMENTS={_quoted(words, chr(34) + chr(92) + '`$')}\n"


def _quoted(text: str, special: str) -> str:
    return '"' + "".join(f"\\{letter}" if letter in special else letter for letter in text) + '"'


def _properties(unit: str, *names: str) -> dict[str, str]:
    told = _systemctl("show", *(f"--property={name}" for name in names), unit, wait_s=_CALL_WAIT_S).stdout
    return {name: value for name, found, value in (line.partition("=") for line in told.splitlines()) if found}


def _systemctl(verb: str, *words: str, wait_s: float) -> subprocess.CompletedProcess[str]:
    command = ["systemctl", verb, *words]
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=wait_s, check=False
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, NOT_ENDED, "", "")


class Pipe:
    """A named pipe of which the end of what was written is kept: no program can fill memory or disk by it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.unlink(missing_ok=True)
        os.mkfifo(path, 0o600)
        self._reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        # Held open until the program has ended: before it begins there is no end.
        self._writing = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        os.set_blocking(self._reading, True)
        self._kept = b""
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def end(self) -> str:
        """The last of what was written, once nobody writes any more; the pipe goes."""
        os.close(self._writing)
        self._thread.join(_CALL_WAIT_S)
        self._path.unlink(missing_ok=True)
        return self._kept.decode("utf-8", "replace")

    def _drain(self) -> None:
        with os.fdopen(self._reading, "rb", buffering=0) as pipe:
            while piece := pipe.read(_PIECE_BYTES):
                self._kept = (self._kept + piece)[-OUTPUT_BYTES_MAX:]
