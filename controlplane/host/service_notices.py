"""What the service manager is told (the sd_notify protocol), and what the journal is given, written plainly."""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Callable, Sequence

_log = logging.getLogger("haulier.controlplane")


def notify(state: str) -> None:
    """Send e.g. ``READY=1`` to $NOTIFY_SOCKET; nothing happens where there is none."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect("\0" + address[1:] if address.startswith("@") else address)
            sender.send(state.encode())


async def feed_watchdog(stuck: Callable[[float], Sequence[str]]) -> None:
    """Feed the watchdog for as long as nothing is stuck; return at once where nobody watches.

    ``stuck(after_s)`` names the loops that have finished no pass for ``after_s`` more than their period. A pass goes
    through the store's writer and its disk, so this sees more than that a timer fires.
    """
    allowed_us = os.environ.get("WATCHDOG_USEC", "")
    if not allowed_us.isdigit() or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return
    allowed_s = int(allowed_us) / 1_000_000
    while True:
        names = stuck(allowed_s)
        if names:
            _log.error("stuck for %.0f s: %s; the watchdog is not fed", allowed_s, ", ".join(names))
        else:
            notify("WATCHDOG=1")
        await asyncio.sleep(allowed_s / 3)


_STANDARD_ERROR = 2


class _Prioritised(logging.Formatter):
    """Each line begins with its priority, as sd-daemon(3) has it, so that the journal can be asked for errors alone."""

    def format(self, record: logging.LogRecord) -> str:
        level = 3 if record.levelno >= logging.ERROR else 4 if record.levelno >= logging.WARNING else 6
        priority = f"<{level if record.levelno >= logging.INFO else 7}>"
        return "\n".join(priority + line for line in super().format(record).splitlines())


def log_handler() -> logging.Handler:
    """Where the log goes: standard error, in the journal's own form if that is what standard error leads to."""
    handler = logging.StreamHandler(sys.stderr)
    found = os.fstat(_STANDARD_ERROR)
    # The variable is inherited by whatever is started, also where its output was sent elsewhere.
    if os.environ.get("JOURNAL_STREAM", "") == f"{found.st_dev}:{found.st_ino}":
        handler.setFormatter(_Prioritised("%(name)s: %(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return handler
