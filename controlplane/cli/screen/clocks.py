"""A clock that is off by days makes good certificates bad: what this machine's clock shows is said then.

As in ``agentd.link.clocks``: the two sides ship apart, and share no module. tests/contract/test_clocks.py holds both
to the same words.
"""

import re
import time

_ABOUT_TIME = re.compile(r"not yet valid|has expired|certificate.?expired", re.IGNORECASE)


def told(details: str) -> str:
    """What is added to a failed handshake that may be about the time; empty where it is not."""
    if not _ABOUT_TIME.search(details):
        return ""
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(time.time()))
    return f"; this host's clock shows {shown}: is it right?"
