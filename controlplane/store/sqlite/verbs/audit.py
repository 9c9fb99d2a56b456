"""The audit log's tree on SQLite."""

from collections.abc import Iterable, Mapping

from controlplane.core.audit.heads import LogEra, TreeHead
from controlplane.store.sqlite.statements import Statements


class SqliteAuditVerbs(Statements):
    """See ``store.verbs.audit``."""

    def audit_head(self) -> TreeHead | None:
        row = self.maybe("audit_head")
        return TreeHead._make(row) if row else None

    def put_audit_head(self, head: TreeHead) -> None:
        self.run("put_audit_head", *head)

    def audit_tiles(self, places: Iterable[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
        return {place: hashes for place in places for hashes in self.column("audit_tile", *place)}

    def put_audit_tiles(self, tiles: Mapping[tuple[int, int], bytes]) -> None:
        self.run_many("put_audit_tile", [(*place, hashes) for place, hashes in tiles.items()])

    def replace_audit_tiles(self, tiles: Mapping[tuple[int, int], bytes]) -> None:
        self.run("drop_audit_tiles")
        self.put_audit_tiles(tiles)

    def audit_eras(self) -> list[LogEra]:
        return [LogEra._make(row) for row in self.all("audit_eras")]

    def put_audit_era(self, begun: LogEra, begun_at: float) -> None:
        self.run("put_audit_era", *begun, begun_at)
