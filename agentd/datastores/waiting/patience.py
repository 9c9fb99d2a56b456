"""Waiting for others to let go of a destination: politely, for a bounded time, and saying for whom.

Whoever waits for a lock makes everybody behind it wait as well. So a lock is only ever tried for a moment; between
tries, in pauses that grow, nobody waits for us.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agentd.datastores.port.datastore import Writer
from agentd.datastores.port.failures import StepFailure

PAUSE_S, PAUSE_MAX_S, PAUSE_FACTOR = 0.5, 10.0, 1.5


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds what is waited for, by name.

    `held_s` is for how long, None where that cannot be seen; `hint` is how to end it.
    """

    said: str
    held_s: float | None = None
    hint: str = ""


@dataclass(slots=True)
class Patience:
    """The wait of one writer for one thing, from the first try to the last.

    `bound_s` is how long it may take; pauses begin with `pause_s` and grow to `pause_max_s`.
    """

    writer: Writer
    datastore: str
    bound_s: float
    pause_s: float = PAUSE_S
    pause_max_s: float = PAUSE_MAX_S
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    _began_at: float | None = None
    _seen_at: dict[str, float] = field(default_factory=dict)

    def bear(self, what: str, holders: Sequence[Holder]) -> None:
        """After a try that failed: say who holds `what`, and pause before the next.

        Raises StepFailure (busy, retryable) at the bound, and what the writer's callback raises to end it.
        """
        now = self.clock()
        began_at = self._began_at = now if self._began_at is None else self._began_at
        said = self._said(holders, now)
        if now - began_at >= self.bound_s:
            raise self._over(what, said, holders)
        self.writer.check_cancelled()
        self.writer.waits(f"waiting for {what}, {said}")
        self.pause(min(self.pause_s, began_at + self.bound_s - now))
        self.pause_s = min(self.pause_max_s, self.pause_s * PAUSE_FACTOR)

    def _said(self, holders: Sequence[Holder], now: float) -> str:
        if not holders:
            return "held by a session that is not seen"
        told = []
        for each in holders[:3]:
            since = self._seen_at.setdefault(each.said, now)
            age = f"for {spelled(each.held_s)}" if each.held_s is not None else f"for {spelled(now - since)} at least"
            told.append(f"{each.said} {age}")
        more = f" and {len(holders) - 3} more" if len(holders) > 3 else ""
        return f"held by {', '.join(told)}{more}"

    def _over(self, what: str, said: str, holders: Sequence[Holder]) -> StepFailure:
        hints = [each.hint for each in holders[:3] if each.hint]
        return StepFailure(
            "busy",
            f"datastore {self.datastore!r}: {what} is {said}; it was not let go within {spelled(self.bound_s)}, and "
            "nothing was changed",
            " ".join([*hints, f"A longer lockWait of the Datastore {self.datastore!r} waits longer."]),
            retryable=True,
        )


def spelled(seconds: float) -> str:
    """A duration for people: 0s, 59s, 3m12s, 2h05m."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
