"""How often each sort of event happened since the start, and in the last minutes: for metrics and gates."""

from collections import Counter, deque
from collections.abc import Iterable

from controlplane.core.events import Event

LATELY_MINUTES = 10
# What an attempt's end is called, by whether its step may count it as a success.
GOOD_ENDS = ("StepSucceeded", "StepUndone")
BAD_ENDS = ("AttemptFailed", "AttemptFenced", "LeaseExpired")


class EventCounts:
    """Counts by event type; their number is that of the types in the code."""

    def __init__(self) -> None:
        self.totals: Counter[str] = Counter()
        self._minutes: deque[tuple[int, Counter[str]]] = deque(maxlen=LATELY_MINUTES)

    def count(self, events: Iterable[Event], now: float) -> None:
        """Take in events that were just committed."""
        found = Counter(event.type for event in events)
        if not found:
            return
        self.totals += found
        minute = int(now // 60.0)
        if not self._minutes or self._minutes[-1][0] != minute:
            self._minutes.append((minute, Counter()))
        self._minutes[-1][1].update(found)

    def lately(self, types: Iterable[str], now: float) -> int:
        """Return how often events of some types happened in the last ten minutes."""
        since = int(now // 60.0) - LATELY_MINUTES
        wanted = list(types)
        return sum(counts[each] for minute, counts in self._minutes if minute > since for each in wanted)
