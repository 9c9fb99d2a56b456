"""When a failed try becomes another try, and when it becomes a failed step."""

from controlplane.core.model import Step

# Losing an attempt (a killed agent, a dead host) says nothing about the step, so losses do not use up
# attempts_max; but a step that kills every agent it meets must end some day (promise S6).
LOSSES_MAX = 100


def backoff_s(step: Step, failures: int) -> float:
    """Return the seconds to wait before the next try after ``failures`` counted failures (>= 0).

    The first wait is ``backoff_initial_s``; each further one is ``backoff_factor`` times longer, up to
    ``backoff_max_s``.
    """
    if failures <= 0:
        return 0.0
    # 64 doublings pass any maximum; bounding the exponent keeps the power finite.
    return min(step.backoff_max_s, step.backoff_initial_s * step.backoff_factor ** min(failures - 1, 64))


def may_retry(step: Step, *, retryable: bool, failures: int) -> bool:
    """Tell whether another try is allowed, ``failures`` counting the one that just ended."""
    return retryable and failures < step.attempts_max and step.attempts < step.attempts_max + LOSSES_MAX
