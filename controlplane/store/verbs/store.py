"""What a store knows of itself, and the answers that it has given."""

from typing import NamedTuple, Protocol


class GivenAnswer(NamedTuple):
    """What a request was answered."""

    method: str
    answer: str  # JSON


class StoreVerbs(Protocol):
    """Generation, new ids, answers to requests."""

    def generation(self) -> int:
        """Return the store generation, the high 32 bits of every fence; 1 in a new store."""
        ...

    def begin_generation(self, generation: int) -> None:
        """Move to a later generation, above all fences and ids of before; an earlier one changes nothing."""
        ...

    def next_ids(self, prefix: str, count: int) -> list[str]:
        """Return new ids with ``prefix`` ("mig_"), rising; no id is ever given twice, whatever its prefix."""
        ...

    def foreign_writes(self) -> int:
        """Return a number that changes when somebody else has written to the store since the last look."""
        ...

    def answer(self, request_id: str) -> GivenAnswer | None:
        """Return what a request was answered; None where it was not, or too long ago."""
        ...

    def keep_answer(self, request_id: str, method: str, answer: str, now: float) -> None:
        """Keep the answer (JSON) to a request that has none yet, for its repeat."""
        ...

    def drop_requests(self, before: float, limit: int) -> int:
        """Forget at most ``limit`` answers to requests made before an instant; return how many went."""
        ...
