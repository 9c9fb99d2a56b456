"""One control plane per state directory: whoever runs on it holds STATE/lock until its process ends.

Two writers on one store would each keep their own leases in memory and hand out the same steps.
"""

import fcntl
import os
from pathlib import Path

LOCK_FILE = "lock"


class StateTaken(RuntimeError):
    """Another process runs on the state directory; the message says which and how to go on."""


class StateGuard:
    """The right to run on a state directory; the kernel takes it back when the process ends, however it ends."""

    def __init__(self, state_dir: Path) -> None:
        """Take the directory. Raises ``StateTaken``, or ``OSError`` where the lock file cannot be made."""
        self._descriptor = os.open(state_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise StateTaken(
                f"another haulier-controlplane (process {holder}) runs on {state_dir}: stop it first, or give this "
                "one a state directory of its own with --state"
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let the next one run on the directory."""
        os.close(self._descriptor)
