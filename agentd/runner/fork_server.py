"""The runner host's loop: forks one child per attempt and reaps what it forked.

One thread, no grpc, no open database: whatever is loaded before the first fork is shared by every child,
and a
child that is forked costs milliseconds. Its only partner is the daemon, over an inherited socket; when that
closes,
the daemon is gone and so is the host, while the children live on.
"""

import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from agentd.runner.attempt_files import AttemptDirectory

RunChild = Callable[[Path], NoReturn]


class ForkServer:
    """Serves one daemon over `partner`; `idle_s` without children or requests ends it."""

    def __init__(self, partner: socket.socket, attempts: Path, idle_s: float, run_child: RunChild) -> None:
        self._partner = partner
        self._attempts = attempts
        self._idle_s = idle_s
        self._run_child = run_child
        self._children: dict[int, str] = {}
        self._buffer = b""

    def serve(self, greeting: dict[str, Any]) -> None:
        """Greet the daemon, then fork what it asks for until it hangs up or nothing happens."""
        gc.collect()
        # Objects loaded so far are never collected, so that children do not copy their pages.
        gc.freeze()
        woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._say(greeting)
        with selectors.DefaultSelector() as selector:
            selector.register(self._partner, selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            idle_at = time.monotonic() + self._idle_s
            while self._children or time.monotonic() < idle_at:
                ready = selector.select(max(0.0, idle_at - time.monotonic()) if not self._children else None)
                for key, _ in ready:
                    if key.fd == woken:
                        os.read(woken, 4096)
                        self._reap()
                    elif not self._listen():
                        return
                if ready:
                    idle_at = time.monotonic() + self._idle_s

    def _listen(self) -> bool:
        data = self._partner.recv(65536)
        if not data:
            return False
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            told = json.loads(line)
            if "environment" in told:
                os.environ.update(told["environment"])
            else:
                self._fork(str(told["fork"]))
        return True

    def _fork(self, attempt_id: str) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            self._say({"attempt_id": attempt_id, "error": f"cannot fork: {error.strerror}"})
            return
        if pid == 0:
            self._become_child(attempt_id)
        self._children[pid] = attempt_id
        self._say({"attempt_id": attempt_id, "pid": pid})

    def _become_child(self, attempt_id: str) -> NoReturn:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._partner.close()
        self._run_child(self._attempts / attempt_id)

    def _reap(self) -> None:
        for pid, attempt_id in list(self._children.items()):
            # Looked at before it is taken away: once it is, the daemon reads what was written here.
            ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                continue
            if ended.si_code in (os.CLD_KILLED, os.CLD_DUMPED):
                with contextlib.suppress(OSError, ValueError):
                    name = signal.Signals(ended.si_status).name
                    AttemptDirectory(self._attempts / attempt_id).write_end(f"ended by {name}")
            os.waitpid(pid, 0)
            del self._children[pid]

    def _say(self, told: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._partner.sendall(json.dumps(told).encode("utf-8") + b"\n")
