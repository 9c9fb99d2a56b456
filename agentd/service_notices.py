"""Tells the service manager how the daemon does: the sd_notify protocol, written plainly."""

import contextlib
import os
import socket


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
