"""Who wants to know when an identity ends: the streams that it opened."""

from collections.abc import Callable


class Watchers:
    """Ends of streams by the id of whoever opened them."""

    def __init__(self) -> None:
        self._ends: dict[str, set[Callable[[str], None]]] = {}

    def watch(self, who: str, end: Callable[[str], None]) -> Callable[[], None]:
        """Have ``end(why)`` called when ``who`` loses its identity; return what forgets it."""
        self._ends.setdefault(who, set()).add(end)

        def forget() -> None:
            ends = self._ends.get(who, set())
            ends.discard(end)
            if not ends:
                self._ends.pop(who, None)

        return forget

    def end(self, who: str, why: str) -> None:
        """End every stream of ``who``."""
        for end in list(self._ends.get(who, ())):
            end(why)
