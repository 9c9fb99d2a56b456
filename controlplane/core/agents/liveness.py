"""From silence to a verdict: alive, suspect, lost, with a cause.

Two signals lead here: a closed stream, which is known at once, and missing heartbeats.
"""

from typing import NamedTuple

from controlplane.core.states import Liveness, liveness_after


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
    late; any agent silent for ``lost_after_s`` is lost. Whoever is heard again on an open stream is alive again: a
    paused host comes back without reconnecting.
    """
    if stream_open and silent_s < heartbeat_s + grace_s:
        return None if liveness is Liveness.ALIVE else _verdict(liveness, "AgentHeard", "")
    if liveness is Liveness.LOST:
        return None
    if silent_s >= lost_after_s:
        how = "its stream was closed" if not stream_open else "no heartbeat came"
        return _verdict(liveness, "AgentLost", f"{how} and it was silent for {lost_after_s:g} s")
    if liveness is Liveness.SUSPECT:
        return None
    if not stream_open:
        return _verdict(liveness, "AgentSuspected", "its stream was closed")
    return _verdict(liveness, "AgentSuspected", f"no heartbeat for {heartbeat_s + grace_s:g} s on an open stream")


def _verdict(before: Liveness, event: str, cause: str) -> Verdict:
    return Verdict(liveness_after(before, event), cause, event)
