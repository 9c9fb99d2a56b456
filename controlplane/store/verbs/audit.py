"""The audit log: the tree over the event log, its signed heads and its eras."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from controlplane.core.audit.heads import LogEra, TreeHead


class AuditVerbs(Protocol):
    """Heads, eras, and tiles of the tree by place: (level, number)."""

    def audit_head(self) -> TreeHead | None:
        """Return the newest signed head; None before the first."""
        ...

    def put_audit_head(self, head: TreeHead) -> None:
        """Keep a head in the place of the one before."""
        ...

    def audit_tiles(self, places: Iterable[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
        """Return tiles by place; one that does not exist is left out."""
        ...

    def put_audit_tiles(self, tiles: Mapping[tuple[int, int], bytes]) -> None:
        """Keep tiles, each in the place of a shorter one."""
        ...

    def replace_audit_tiles(self, tiles: Mapping[tuple[int, int], bytes]) -> None:
        """Keep these tiles and no other."""
        ...

    def audit_eras(self) -> list[LogEra]:
        """Return the beginnings of the eras after the first, oldest first."""
        ...

    def put_audit_era(self, begun: LogEra, begun_at: float) -> None:
        """Keep the beginning of an era that is new."""
        ...
