"""What the daemon's account of itself means for a probe: liveness, readiness, or whether a rollout may go on."""

from collections.abc import Mapping
from typing import Any

PROBES = ("liveness", "readiness", "rollout")
# A journal that is being written for so long hangs on its disk.
JOURNAL_LATE_S = 30.0


def reasons(probe: str, told: Mapping[str, Any]) -> list[str]:
    """Return why the answer to a probe is no, in words; empty means yes. ``told`` is what ``status`` prints.

    Liveness: it answers, and nothing else counts. Readiness: it has a session and is not on its way out. Rollout: it is
    ready, and nothing here is in the middle of something that the next wave should wait for.
    """
    if probe == "liveness":
        return []
    found = []
    if told["stopping"]:
        found.append("the daemon is stopping")
    if not told["connected"]:
        found.append(f"no session with {told['session_address']}")
    if told["journal_writing_s"] > JOURNAL_LATE_S:
        found.append(f"the journal has been writing for {told['journal_writing_s']:.0f} s: its disk hangs")
    if probe == "readiness":
        return found
    if told["release_state"] not in ("kept", "none"):
        found.append(f"its release is {told['release_state']}, not kept")
    found += [f"{each['attempt_id']} is being stopped" for each in told["held"] if each["state"] == "stopping"]
    return found
