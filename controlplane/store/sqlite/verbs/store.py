"""The store itself on SQLite."""

from typing import Any

from controlplane.store.sqlite.statements import Statements
from controlplane.store.verbs.store import GivenAnswer

_ID_BLOCK = 32  # an id is store generation · counter, so ids given after a restored backup are new


class SqliteStoreVerbs(Statements):
    """See ``store.verbs.store``."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self._generation: int | None = None

    def generation(self) -> int:
        # It changes only through begin_generation, which nobody calls under a running control plane.
        if self._generation is None:
            self._generation = int(self.value("meta", "generation"))
        return self._generation

    def begin_generation(self, generation: int) -> None:
        if generation > self.generation():
            self.run("set_meta", str(generation), "generation")
            self._generation = None

    def next_ids(self, prefix: str, count: int) -> list[str]:
        first = int(self.value("meta", "next_id"))
        self.run("set_meta", str(first + count), "next_id")
        base = self.generation() << _ID_BLOCK
        return [f"{prefix}{base + first + i:x}" for i in range(count)]

    def foreign_writes(self) -> int:
        return int(self.value("foreign_writes"))

    def answer(self, request_id: str) -> GivenAnswer | None:
        row = self.maybe("answer", request_id)
        return GivenAnswer._make(row) if row else None

    def keep_answer(self, request_id: str, method: str, answer: str, now: float) -> None:
        self.run("keep_answer", request_id, method, answer, now)

    def drop_requests(self, before: float, limit: int) -> int:
        return self.run("drop_requests", before, limit)
