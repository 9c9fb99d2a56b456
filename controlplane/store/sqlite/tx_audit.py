"""The part of a transaction that keeps the audit log's tree."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from controlplane.core.audit.heads import LogEra, TreeHead
from controlplane.core.events import Event
from controlplane.store.sqlite.tx_records import RecordsTx

# Beyond it nobody takes them, and whoever wants them later reads them back.
RECORDED_MAX = 50_000


class AuditTx(RecordsTx):
    """Verbs for heads, tiles and eras, and the events that were recorded since somebody took them."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self._recorded: list[Event] = []

    @property
    def recorded_count(self) -> int:
        """How many recorded events nobody has taken."""
        return len(self._recorded)

    def keep_recorded(self, events: Sequence[Event]) -> None:
        """Remember events that were just recorded, so that sealing them needs no reading back."""
        if len(self._recorded) > RECORDED_MAX:
            self._recorded.clear()
        self._recorded += events

    def forget_recorded(self, count: int) -> None:
        """Forget all but the first ``count``: the others were rolled back, or perhaps were."""
        del self._recorded[count if count <= len(self._recorded) else 0 :]

    def take_recorded(self) -> list[Event]:
        """Return the newest events in order, down to some earlier one, and remember them no longer."""
        taken, self._recorded = self._recorded, []
        return taken

    def audit_head(self) -> TreeHead | None:
        """Return the newest signed head; None before the first."""
        row = self.maybe("audit_head")
        return TreeHead(*row) if row else None

    def put_audit_head(self, head: TreeHead) -> None:
        """Keep a head in the place of the one before."""
        self.run("put_audit_head", *head)

    def audit_tiles(self, places: Iterable[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
        """Return tiles by (level, number); one that does not exist is left out."""
        found = ((place, self.maybe("audit_tile", *place)) for place in places)
        return {place: row[0] for place, row in found if row}

    def put_audit_tiles(self, tiles: Mapping[tuple[int, int], bytes]) -> None:
        """Keep tiles by (level, number)."""
        self.connection.executemany(self.sql["put_audit_tile"], [(*place, hashes) for place, hashes in tiles.items()])

    def audit_eras(self) -> list[LogEra]:
        """Return the beginnings of the eras after the first, oldest first."""
        return [LogEra(*row) for row in self.all("audit_eras")]

    def replace_audit_tiles(self, tiles: Mapping[tuple[int, int], bytes]) -> None:
        """Keep these tiles and no other."""
        self.run("drop_audit_tiles")
        self.put_audit_tiles(tiles)

    def fill_gaps(self, events: Sequence[tuple[int, Event]]) -> None:
        """Put events at positions where there is none."""
        self.connection.executemany(self.sql["insert_event_at"], [(position, *event) for position, event in events])

    def put_audit_era(self, begun: LogEra, begun_at: float) -> None:
        """Keep the beginning of an era."""
        self.run("put_audit_era", *begun, begun_at)

    def prove_writable(self, now: float) -> None:
        """Write one small thing, which changes each time."""
        self.run("prove_writable", f"{now:.6f}")

    def last_position(self) -> int:
        """Return the newest place in the event log, 0 when it is empty."""
        return int(self.one("last_position")[0])

    def foreign_writes(self) -> int:
        """Return a number that changes when somebody else has written to the store."""
        return int(self.one("foreign_writes")[0])
