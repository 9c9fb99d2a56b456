"""Ends a program with everything it started, however it ends and whatever session, user or parent that has by then.

    python -m tests.kit.warden MODULE [ARGUMENT …]     as python -m MODULE, under a warden
    python -m tests.kit.warden FILE.py [ARGUMENT …]    as python FILE.py

The program runs in a child. The warden above it adopts every process below that loses its parent (a daemon that went to
the background, a step that outlives its agent), so at the end it knows whom nobody has ended. A signal that asks it to
end is passed on, so that the program can tidy up. What is left then, or takes too long, is killed.
"""

import ctypes
import os
import signal
import sys
import time
from contextlib import suppress
from types import FrameType
from typing import NoReturn

import psutil

# What a shell, a terminal that closes, and a service manager send to whom they want to end.
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# How long a program may take to end what it started, and what it has left to end by itself.
TIDY_S, LEFT_S = 60.0, 2.0
# One wish can come twice: from a terminal or from make to a whole group, and from the warden.
_SAME_WISH_S = 1.0
_LOOK_S = 0.02
_SET_PDEATHSIG, _SET_SUBREAPER = 1, 36


class Stopped(KeyboardInterrupt):
    """A signal asked this program to end; `code` is the exit code that shells give it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


def stop_once() -> None:
    """From now on the first signal that asks to end raises ``Stopped``; later ones do not disturb the tidying up.

    One that is ignored, as nohup has it, stays ignored."""

    def stop(number: int, _: FrameType | None) -> None:
        for each in _heard():
            # Not ignored, because who is started to tidy up would inherit that.
            signal.signal(each, lambda *_: None)
        raise Stopped(number)

    for each in _heard():
        signal.signal(each, stop)


def stop_with_parent() -> None:
    """For workers of a program: a terminal's signal is for the one that asked, and that one ends them by SIGTERM."""
    for each in (signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def stand_above(*, keeps: bool = False) -> None:
    """Fork; return in the child, which is the program. Above it the warden waits for its end and ends what it leaves.

    With ``keeps``, what a program leaves that ends well goes on: that is for those that start something for good."""
    library = ctypes.CDLL(None, use_errno=True)
    library.prctl(_SET_SUBREAPER, 1, 0, 0, 0)
    sys.stdout.flush()
    sys.stderr.flush()
    warden = os.getpid()
    # Whoever is asked to end before both sides can hear it hears it then.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    child = os.fork()
    if child:
        _Warden(child).wait(keeps=keeps)
    library.prctl(_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    stop_once()
    if os.getppid() != warden:
        os.kill(os.getpid(), signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


class _Warden:
    """Waits for a child."""

    def __init__(self, child: int) -> None:
        self._child = child
        self._asked = 0
        self._asked_at = 0.0

    def wait(self, *, keeps: bool) -> NoReturn:
        for each in _heard():
            signal.signal(each, self._pass_on)
        signal.signal(signal.SIGALRM, lambda *_: _signal_all(signal.SIGKILL))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        code = self._end()
        if self._asked:
            code = 128 + self._asked
        if code or not keeps:
            end_all_below()
        os._exit(code)

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if not self._asked:
            self._asked, self._asked_at = number, now
            signal.setitimer(signal.ITIMER_REAL, TIDY_S)
            with suppress(ProcessLookupError):
                os.kill(self._child, number)
        elif now - self._asked_at > _SAME_WISH_S:
            _signal_all(signal.SIGKILL)

    def _end(self) -> int:
        """Exit code of the child; everybody else who ends meanwhile was adopted, and is let go."""
        while True:
            pid, status = os.waitpid(-1, 0)
            if pid == self._child:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code


def end_all_below() -> None:
    """End every process below this one: asked first, then killed."""
    _signal_all(signal.SIGTERM)
    kill_at = time.monotonic() + LEFT_S
    while _reap() and _below():
        if time.monotonic() > kill_at:
            _signal_all(signal.SIGKILL)
        time.sleep(_LOOK_S)


def _reap() -> bool:
    """Take the exit codes of who has ended; whether there is any child left."""
    with suppress(ChildProcessError):
        while True:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return True
    return False


def _below() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _signal_all(number: signal.Signals) -> None:
    for each in _below():
        with suppress(psutil.Error):
            each.send_signal(number)


def _heard() -> list[signal.Signals]:
    return [each for each in ENDING if signal.getsignal(each) is not signal.SIG_IGN]


if __name__ == "__main__":
    stand_above()
    how = [] if sys.argv[1].endswith(".py") else ["-m"]
    os.execv(sys.executable, [sys.executable, *how, *sys.argv[1:]])
