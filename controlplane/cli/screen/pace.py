"""How fast something moves and when it will be there. Pure: instants are arguments."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

# Old speed counts half after this long, so that the shown rate is steady and still follows.
HALF_LIFE_S = 5.0


@dataclass
class RateEstimate:
    """The smoothed rate of a number that grows. One attempt at a time: a new `key` starts afresh."""

    key: str = ""
    per_s: float = 0.0
    half_life_s: float = HALF_LIFE_S
    _weight: float = field(default=0.0, repr=False)
    _value: float = field(default=0.0, repr=False)
    _at: float = field(default=0.0, repr=False)

    def see(self, key: str, value: float, at: float) -> None:
        """Takes in that the number of `key` was `value` at the instant `at`, in seconds of any one clock."""
        if key != self.key or value < self._value:
            self.key, self.per_s, self._weight, self._value, self._at = key, 0.0, 0.0, value, at
            return
        elapsed_s = at - self._at
        if elapsed_s <= 0:
            return
        decay = math.exp2(-elapsed_s / self.half_life_s)
        speed = (value - self._value) / elapsed_s
        total = self._weight * decay + (1 - decay)
        self.per_s = (self.per_s * self._weight * decay + speed * (1 - decay)) / total
        self._weight, self._value, self._at = total, value, at

    def eta_s(self, total: float) -> float | None:
        """Seconds until `total` at this rate; None when unknown."""
        if total <= 0 or self.per_s <= 0:
            return None
        return max(total - self._value, 0.0) / self.per_s
