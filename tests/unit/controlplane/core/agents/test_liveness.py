"""From silence to a verdict: every liveness with every stream and silence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.agents.liveness import Verdict, judge
from controlplane.core.states import LIVENESS_TRANSITIONS, Liveness

HEARTBEAT_S, GRACE_S, LOST_AFTER_S = 15.0, 10.0, 60.0
LATE_S = HEARTBEAT_S + GRACE_S


def verdict(liveness: Liveness, silent_s: float, *, stream_open: bool) -> Verdict | None:
    return judge(
        liveness,
        stream_open=stream_open,
        silent_s=silent_s,
        heartbeat_s=HEARTBEAT_S,
        grace_s=GRACE_S,
        lost_after_s=LOST_AFTER_S,
    )


@pytest.mark.parametrize(
    ("liveness", "stream_open", "silent_s", "expected"),
    [
        (Liveness.ALIVE, True, 0.0, None),
        (Liveness.ALIVE, True, LATE_S - 0.001, None),
        (Liveness.ALIVE, True, LATE_S, Liveness.SUSPECT),
        (Liveness.ALIVE, True, LOST_AFTER_S, Liveness.LOST),
        (Liveness.ALIVE, False, 0.0, Liveness.SUSPECT),
        (Liveness.ALIVE, False, LOST_AFTER_S, Liveness.LOST),
        (Liveness.SUSPECT, True, 0.0, Liveness.ALIVE),
        (Liveness.SUSPECT, True, LATE_S, None),
        (Liveness.SUSPECT, True, LOST_AFTER_S, Liveness.LOST),
        (Liveness.SUSPECT, False, 0.0, None),
        (Liveness.SUSPECT, False, LOST_AFTER_S - 0.001, None),
        (Liveness.SUSPECT, False, LOST_AFTER_S, Liveness.LOST),
        (Liveness.LOST, True, 0.0, Liveness.ALIVE),
        (Liveness.LOST, True, LATE_S, None),
        (Liveness.LOST, False, 0.0, None),
        (Liveness.LOST, False, 1e9, None),
    ],
)
def test_the_verdict(liveness: Liveness, stream_open: bool, silent_s: float, expected: Liveness | None) -> None:
    found = verdict(liveness, silent_s, stream_open=stream_open)
    assert (found.liveness if found else None) is expected


def test_the_cause_says_what_was_missed() -> None:
    closed = verdict(Liveness.SUSPECT, LOST_AFTER_S, stream_open=False)
    silent = verdict(Liveness.SUSPECT, LOST_AFTER_S, stream_open=True)
    late = verdict(Liveness.ALIVE, LATE_S, stream_open=True)
    assert closed == Verdict(Liveness.LOST, "its stream was closed and it was silent for 60 s", "AgentLost")
    assert silent == Verdict(Liveness.LOST, "no heartbeat came and it was silent for 60 s", "AgentLost")
    assert late == Verdict(Liveness.SUSPECT, "no heartbeat for 25 s on an open stream", "AgentSuspected")


@given(st.sampled_from(Liveness), st.booleans(), st.floats(0.0, 1e6))
def test_a_verdict_is_a_listed_transition_and_judging_again_changes_nothing(
    liveness: Liveness, stream_open: bool, silent_s: float
) -> None:
    found = verdict(liveness, silent_s, stream_open=stream_open)
    if found is not None:
        assert LIVENESS_TRANSITIONS[liveness, found.event] is found.liveness
        assert found.liveness is not liveness
        assert bool(found.cause) == (found.liveness is not Liveness.ALIVE)
        assert verdict(found.liveness, silent_s, stream_open=stream_open) is None


@given(st.sampled_from(Liveness), st.floats(LOST_AFTER_S, 1e6), st.booleans())
def test_nobody_is_silent_for_long_and_believed_alive(liveness: Liveness, silent_s: float, stream_open: bool) -> None:
    found = verdict(liveness, silent_s, stream_open=stream_open)
    assert (found.liveness if found else liveness) is Liveness.LOST
