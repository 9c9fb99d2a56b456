"""From silence to a verdict: alive, suspect, lost, with a cause.

Two signals lead here: a closed stream, which is known at once, and missing heartbeats.
"""

from typing import NamedTuple

from controlplane.core.states import Liveness


class Verdict(NamedTuple):
    """What is believed now, and why."""

    liveness: Liveness
    cause: str
    event: str  # the event that records the change


def judge(
    liveness: Liveness,
    *,
    stream_open: bool,
    silent_s: float,
    heartbeat_s: float,
    grace_s: float,
    lost_after_s: float,
) -> Verdict | None:
    """Return a new verdict, or None when nothing changes.

    ``silent_s`` is the time since anything was heard. An open stream is silent once a heartbeat is ``grace_s``
    late; any agent silent for ``lost_after_s`` is lost.
    """
    if liveness is Liveness.LOST:
        return None
    if silent_s >= lost_after_s:
        how = "its stream was closed" if not stream_open else "no heartbeat came"
        return Verdict(Liveness.LOST, f"{how} and it was silent for {lost_after_s:g} s", "AgentLost")
    if liveness is Liveness.ALIVE and not stream_open:
        return Verdict(Liveness.SUSPECT, "its stream was closed", "AgentSuspected")
    if liveness is Liveness.ALIVE and silent_s >= heartbeat_s + grace_s:
        return Verdict(
            Liveness.SUSPECT,
            f"no heartbeat for {heartbeat_s + grace_s:g} s on an open stream",
            "AgentSuspected",
        )
    return None
