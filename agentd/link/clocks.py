"""A clock that is off by days makes good certificates bad: both times are said then."""

import re
import time

_ABOUT_TIME = re.compile(r"not yet valid|has expired|certificate.?expired", re.IGNORECASE)


def shown(at: float) -> str:
    """An instant for people, in UTC.

    >>> shown(0)
    '1970-01-01 00:00:00 UTC'
    """
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))


def told(details: str) -> str:
    """What is added to a failed handshake that may be about the time; empty where it is not."""
    if not _ABOUT_TIME.search(details):
        return ""
    return f"; this host's clock shows {shown(time.time())}: is it right?"


def objection(begins_at: float, ends_at: float, now: float) -> str:
    """Why a certificate that is good from `begins_at` to `ends_at` is not good now; empty where it is."""
    if begins_at <= now <= ends_at:
        return ""
    return (
        f"its certificate is good from {shown(begins_at)} to {shown(ends_at)}, "
        f"and this host's clock shows {shown(now)}: "
        "set the clock that is wrong (`timedatectl` shows it), here or on the control plane, and join again"
    )
