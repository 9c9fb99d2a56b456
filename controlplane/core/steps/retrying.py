"""When a failed try becomes another try, and when it becomes a failed step.

Failures of the work itself count against `attempts_max`. What says nothing about the work does not: a lost attempt (a
killed agent, a dead host), and an *outage*, a row of tries that found what they need unreachable. Neither is without
bound (promise S6): losses end at `LOSSES_MAX`, and an outage that lasts longer than `unreachable_for_s` counts.
"""

from controlplane.core.model import Attempt, Step

# A step that kills every agent it meets must end some day.
LOSSES_MAX = 100
# However short the step's own pauses are: whoever is away is not asked more often.
OUTAGE_PAUSE_MIN_S = 1.0


def backoff_s(step: Step, failures: int) -> float:
    """Return the seconds to wait before the next try after ``failures`` counted failures (>= 0).

    The first wait is ``backoff_initial_s``; each further one is ``backoff_factor`` times longer, up to
    ``backoff_max_s``.
    """
    if failures <= 0:
        return 0.0
    # 64 doublings pass any maximum; bounding the exponent keeps the power finite.
    return min(step.backoff_max_s, step.backoff_initial_s * step.backoff_factor ** min(failures - 1, 64))


def may_retry(step: Step, *, retryable: bool, failures: int, losses: int) -> bool:
    """Tell whether another try is allowed, ``failures`` and ``losses`` counting the one that just ended."""
    return retryable and failures < step.attempts_max and losses < LOSSES_MAX


def outage_began_at(step: Step, attempt: Attempt, *, moved: bool, now: float) -> float:
    """Return since when the step's outage lasts, after a try that found what it needs unreachable.

    Time in which a try got on with its work is not part of the outage: with ``moved`` it is taken out, so that a load
    of an hour that is interrupted twice has not been unreachable for an hour.
    """
    if step.unreachable_since is None:
        return now
    worked_s = now - attempt.granted_at if moved else 0.0
    return min(now, step.unreachable_since + worked_s)


def is_outage_over(step: Step, began_at: float, now: float) -> bool:
    """Tell whether an outage has lasted so long that its tries count like failures of the work."""
    return now - began_at >= step.unreachable_for_s


def outage_pause_s(step: Step, began_at: float, now: float) -> float:
    """Return the seconds to wait before whoever is away is asked again: growing like the wait between failures.

    A row of waits that grow by ``backoff_factor`` has, after the seconds s, the next wait of
    ``backoff_initial_s + (backoff_factor - 1) * s``; so no count has to be kept.
    """
    grown_s = step.backoff_initial_s + (step.backoff_factor - 1.0) * (now - began_at)
    return max(OUTAGE_PAUSE_MIN_S, min(step.backoff_max_s, grown_s))
