"""Whether there is room for one more attempt."""

from enum import StrEnum

# A cancelled attempt keeps its slot until its processes are gone, so a grant may wait for that; but only as
# many
# wait as there are slots, or a confused control plane could queue without bound here.
WAITING_FACTOR = 2
# Attempts that are over are kept until they are acknowledged; whoever grants so many acknowledges nothing.
UNACKNOWLEDGED_MAX = 1024


class Capacity(StrEnum):
    """Answer for one more attempt."""

    FREE = "free"
    WAIT = "wait"
    FULL = "full"


def capacity(slots: int, occupied: int, unended: int) -> Capacity:
    """Tell what one more attempt finds: `occupied` have a process, `unended` includes those that wait."""
    if unended >= WAITING_FACTOR * slots:
        return Capacity.FULL
    return Capacity.FREE if occupied < slots else Capacity.WAIT


def is_beyond_all(slots: int, held: int) -> bool:
    """Whether so much is held that a further grant is ignored rather than refused and remembered."""
    return held >= slots + UNACKNOWLEDGED_MAX
