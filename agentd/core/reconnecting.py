"""How long to wait before the next dial."""

FIRST_S = 0.1
MAX_S = 8.0
# Where the control plane refused who we are, dialling again soon only fills two logs.
REFUSED_S = 30.0
# A session that lived this long was a real one: the next failure starts from the shortest wait again.
GOOD_SESSION_S = 5.0


def wait_s(failures: int, jitter: float, refused: bool = False) -> float:
    """Seconds before dial number `failures` + 1; `jitter` in [0, 1) spreads it over the upper half."""
    longest = REFUSED_S if refused else min(MAX_S, FIRST_S * 2.0 ** min(failures, 16))
    return longest * (0.5 + 0.5 * jitter)
