"""Until when a lease may be relied on, by this host's clock alone.

A renewal counts from the clock reading taken before the message that asked for it was sent, so network and
queueing delays only ever shorten it. A fresh grant gives no right to unfenced or destructive effects until
its
first renewal: how long it was under way is unknown.
"""

from dataclasses import dataclass, replace

# The agent stops this much earlier than the control plane would give the lease away.
KEEP_FRACTION = 0.9
# Readings of messages whose renewals may still arrive; older ones are no longer worth an answer.
READINGS_MAX = 64

NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Keeping:
    """`deadline_at`: unfenced or destructive effects stop. `contact_at`: the control plane last knew of
    us."""

    deadline_at: float
    contact_at: float

    def disconnected_at(self, disconnected_max_s: float) -> float:
        """The instant when even fenced work ends without further contact."""
        return self.contact_at + disconnected_max_s


def unconfirmed(now: float) -> Keeping:
    """What a fresh grant, or an attempt adopted after a restart, may rely on."""
    return Keeping(deadline_at=NEVER, contact_at=now)


def renewed(keeping: Keeping, sent_at: float, ttl_s: float) -> Keeping:
    """The keeping after a renewal asked at `sent_at`. A late answer never shortens what a newer one gave."""
    return replace(
        keeping,
        deadline_at=max(keeping.deadline_at, sent_at + KEEP_FRACTION * ttl_s),
        contact_at=max(keeping.contact_at, sent_at),
    )


class Readings:
    """Clock readings by sequence number, of the current session only."""

    def __init__(self) -> None:
        self._sent_at: dict[int, float] = {}

    def clear(self) -> None:
        """Forget everything: sequence numbers start again with each session."""
        self._sent_at.clear()

    def remember(self, sequence: int, sent_at: float) -> None:
        """Keep the reading of one message; the oldest makes room."""
        self._sent_at[sequence] = sent_at
        while len(self._sent_at) > READINGS_MAX:
            del self._sent_at[min(self._sent_at)]

    def of(self, sequence: int) -> float | None:
        """The reading of a message, or None where it is unknown or too old."""
        return self._sent_at.get(sequence)
