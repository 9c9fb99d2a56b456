"""Tells the service manager how the daemon does: the sd_notify protocol, written plainly."""

import contextlib
import logging
import os
import socket
import sys


def notify(**told: str) -> None:
    """Send `KEY=value` lines to $NOTIFY_SOCKET; nothing happens where there is none.

    Keys are given in lower case: `notify(ready="1", status="connected")`.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    lines = "\n".join(f"{key.upper()}={value}" for key, value in told.items())
    # An address that starts with @ is in the abstract namespace.
    target = "\0" + address[1:] if address.startswith("@") else address
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(lines.encode("utf-8"), target)


def watchdog_every_s() -> float | None:
    """How often WATCHDOG=1 is due (half of what the manager allows), or None where it does not watch."""
    allowed_us = os.environ.get("WATCHDOG_USEC", "")
    mine = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(allowed_us) / 2_000_000 if allowed_us.isdigit() and mine else None


_STANDARD_ERROR = 2


class OneLine(logging.Formatter):
    """Each event on one line: what others say (kinds, ids, reasons) cannot forge a second one or steer a terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - named by the standard library
        text = super().formatMessage(record)
        return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


class _Prioritised(OneLine):
    """Each line begins with its priority, as sd-daemon(3) has it, so that the journal can be asked for errors alone."""

    def format(self, record: logging.LogRecord) -> str:
        level = 3 if record.levelno >= logging.ERROR else 4 if record.levelno >= logging.WARNING else 6
        priority = f"<{level if record.levelno >= logging.INFO else 7}>"
        return "\n".join(priority + line for line in super().format(record).splitlines())


def log_handler() -> logging.Handler:
    """Where the log goes: standard error, in the journal's own form if that is what standard error leads to."""
    handler = logging.StreamHandler(sys.stderr)
    if _is_journal(_STANDARD_ERROR):
        handler.setFormatter(_Prioritised("%(name)s %(message)s"))
    else:
        handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(name)s %(message)s"))
    return handler


def _is_journal(descriptor: int) -> bool:
    """The variable is inherited by whatever is started, also where its output was sent elsewhere."""
    told = os.environ.get("JOURNAL_STREAM", "")
    found = os.fstat(descriptor)
    return told == f"{found.st_dev}:{found.st_ino}"
