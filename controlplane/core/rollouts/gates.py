"""Gates of a rollout: whether hosts do worse on a new release than the same hosts did before it.

Two tests, both looked at again and again while steps end, both pooled over the hosts of a group and over all of them.

*Errors*: Wald's sequential probability ratio test. p0 is the hosts' own past share of failed steps, never taken below
2 %; p1 is ``error_factor`` times as much, at least 10 points more. The gate closes when the likelihood ratio of p1
passes 0.9/0.001: hosts whose share did not change close it once in a thousand rollouts, one whose share is p1 stays
unnoticed once in ten, and at p0 = 2 % four failures in a row close it.

*Slowness*: the mean of the logarithm of the steps' durations against the same hosts' past, three standard errors above
``slow_factor``, from five steps after and ten before on.
"""

import math
from collections.abc import Iterable

from controlplane.core.hosts import Facts
from controlplane.core.rollouts.model import RolloutHost, RolloutPolicy, StepCounts

ERROR_FLOOR = 0.02
ERROR_STEP = 0.1
# A short past is believed as much as if so many more steps had failed at the floor.
PRIOR = 20
THRESHOLD = math.log(0.9 / 0.001)
SLOW_PAST_MIN, SLOW_AFTER_MIN = 10, 5
SLOW_SIGMAS = 3.0
# Durations that do not vary at all would make the smallest change a proof.
LOG_SPREAD_MIN = 0.2


def errs_more(past: StepCounts, after: StepCounts, factor: float) -> str:
    """Return how the error gate closes, for people; empty while it is open."""
    p0 = min(0.5, max(ERROR_FLOOR, (past.failed + ERROR_FLOOR * PRIOR) / (past.ended + PRIOR)))
    p1 = min(0.95, max(factor * p0, p0 + ERROR_STEP))
    ratio = after.failed * math.log(p1 / p0) + (after.ended - after.failed) * math.log((1 - p1) / (1 - p0))
    if ratio < THRESHOLD:
        return ""
    before = f"{past.failed} of {past.ended} before" if past.ended else "none known before"
    return f"{after.failed} of {after.ended} steps failed on it, {before}"


def is_slower(past: StepCounts, after: StepCounts, factor: float) -> str:
    """Return how the gate of slowness closes, for people; empty while it is open."""
    if past.timed < SLOW_PAST_MIN or after.timed < SLOW_AFTER_MIN:
        return ""
    difference = _mean(after) - _mean(past)
    error = math.sqrt(_spread(past) ** 2 / past.timed + _spread(after) ** 2 / after.timed)
    if difference - math.log(factor) < SLOW_SIGMAS * error:
        return ""
    return f"steps take {math.exp(difference):.1f} times as long as on the same hosts before"


def closed_gate(rows: Iterable[RolloutHost], policy: RolloutPolicy) -> tuple[str, str] | None:
    """Return the code and cause of the first gate that is closed over these hosts, all of them and group by group."""
    pooled: dict[str, tuple[StepCounts, StepCounts]] = {}
    for row in rows:
        if row.after.ended:
            for group in ("", *row.groups):
                past, after = pooled.get(group, (StepCounts(), StepCounts()))
                pooled[group] = (past.plus(row.past), after.plus(row.after))
    for group, (past, after) in pooled.items():
        where = f" on {group}" if group else ""
        for code, told in (
            ("step_errors", errs_more(past, after, policy.error_factor)),
            ("slow", is_slower(past, after, policy.slow_factor)),
        ):
            if told:
                return code, told + where
    return None


def groups_of(facts: Facts, kinds: Iterable[str]) -> tuple[str, ...]:
    """Return the groups of a host: its system and architecture with each kind of datastore that it reaches.

    >>> groups_of(Facts(os="debian", architecture="x86_64"), ["sqlite"])
    ('debian/x86_64/sqlite',)
    """
    where = f"{facts.os or 'unknown'}/{facts.architecture or 'unknown'}"
    return tuple(f"{where}/{kind}" for kind in sorted(set(kinds)) or ["none"])


def _mean(counts: StepCounts) -> float:
    return counts.log_sum / counts.timed


def _spread(counts: StepCounts) -> float:
    variance = counts.log_square_sum / counts.timed - _mean(counts) ** 2
    return max(LOG_SPREAD_MIN, math.sqrt(max(0.0, variance)))
