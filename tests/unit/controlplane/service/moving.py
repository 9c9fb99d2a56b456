"""One dataset on its way, from manifests: a room in which a copy is applied, started, and played by a test."""

from typing import Any

from haulier.v1 import kinds_pb2 as k

from controlplane.core.model import Failure, Migration, Outcome
from controlplane.core.states import AttemptState
from controlplane.manifests.text.findings import SourceFile
from controlplane.service.inventory.inventory import Applied, Inventory
from controlplane.store.port import Tx
from tests.unit.controlplane.service.room import Host, Room

COPY = """apiVersion: haulier/v1
kind: Workflow
metadata: {name: copy}
spec:
  steps:
    - {name: extract, kind: extract, params: {source: "${migration.source}", staging: "${migration.staging}"}}
    - name: load
      kind: load
      needs: [extract]
      retry: {attempts: 1}
      params: {input: "${steps.extract.output}", destination: "${migration.destination}"}
    - name: validate
      kind: validate
      needs: [load]
      retry: {attempts: 1}
      params:
        source: "${migration.source}"
        extracted: "${steps.extract.output}"
        loaded: "${steps.extract.output}"
        destination: "${migration.destination}"
"""
EXPORTS = "{engine: csv, root: /srv/exports}"
COLUMNS = "[{name: id, type: int64}, {name: price, type: int64}]"
WRONG = Failure("verification_failed", "3 rows differ", "look at them", retryable=False)
FINAL = Failure("value_does_not_fit", "'9.5' is not an int64", "declare another type", retryable=False)
RESULTS = {
    "extract": k.ExtractResult(output=k.Staged(datastore=k.Datastore(name="staging"), rows=2)),
    "load": k.LoadResult(rows=2),
    "validate": k.ValidateResult(rows=2),
}


def document(kind: str, name: str, spec: str, labels: str = "{}") -> str:
    """One manifest as YAML."""
    return f"apiVersion: haulier/v1\nkind: {kind}\nmetadata: {{name: {name}, labels: {labels}}}\nspec: {spec}\n"


def dataset(name: str = "flights", columns: str = COLUMNS, **others: str) -> str:
    """A Dataset in the CSV exports."""
    more = "".join(f", {key}: {value}" for key, value in others.items())
    return document(
        "Dataset", name, f"{{owner: air, datastore: exports, object: {name}.csv, columns: {columns}{more}}}"
    )


def migration(name: str = "move", of: str = "flights", to: str = "flights", labels: str = "{}", **others: str) -> str:
    """A Migration into the warehouse."""
    more = "".join(f", {key}: {value}" for key, value in others.items())
    goes = f"dataset: {of}, workflow: copy, to: {{datastore: warehouse, object: {to}}}, staging: staging{more}"
    return document("Migration", name, f"{{{goes}}}", labels)


def stores(exports: str = EXPORTS) -> str:
    """Everything that a dataset needs around it."""
    return "---\n".join(
        [
            document("Datastore", "exports", exports),
            document("Datastore", "warehouse", "{engine: duckdb, path: /srv/warehouse.db}"),
            document("Datastore", "staging", "{engine: parquet, root: /srv/staging}"),
            COPY,
        ]
    )


class Moving:
    """A room with an inventory and one host."""

    def __init__(self, room: Room, host: Host) -> None:
        self.room = room
        self.host = host
        self.inventory = Inventory(room.store, room.clock, room.sessions)
        self._requests = 0

    async def apply(self, *documents: str, prune: dict[str, str] | None = None) -> Applied:
        """Apply documents."""
        self._requests += 1
        self.room.now += 1.0
        files = [SourceFile("given.yaml", "---\n".join(documents).encode())]
        return await self.inventory.apply(files, f"apply-{self._requests}", "ada", prune)

    async def start(self, *names: str) -> Any:
        """Start migrations."""
        self._requests += 1
        self.room.now += 1.0
        started = await self.room.migrations.start(names, f"start-{self._requests}")
        await self.room.settled()
        return started

    async def finish(self, failure: Failure | None = None) -> str:
        """Let the newest lease end, well or with a failure; return its step's name."""
        lease = self.host.grants[-1]
        state = AttemptState.FAILED if failure else AttemptState.SUCCEEDED
        result = b"" if failure else RESULTS[lease.step.name].SerializeToString()
        assert self.host.session is not None
        outcome = Outcome(lease.attempt.id, lease.attempt.fence, state, result, failure)
        await self.room.sessions.offers.results(self.host.session, [outcome])
        await self.room.settled()
        return lease.step.name

    async def succeed(self, name: str = "move") -> None:
        """Start a migration and let it succeed."""
        await self.start(name)
        for _ in range(3):
            await self.finish()
        assert self.state(name) == "succeeded"

    async def undo(self, name: str = "move", ask: str = "MigrationRollbackAsked") -> None:
        """Ask for the way back, and let every undo succeed."""
        await self.room.migrations.undo(name, ask, "no")
        await self.room.settled()
        while self.newest(name).state in ("cancelling", "rolling_back", "restoring"):
            await self.finish()

    async def retry(self, name: str = "move") -> Any:
        """Retry a migration."""
        retried = await self.room.migrations.retry(name)
        await self.room.settled()
        return retried

    def newest(self, name: str = "move") -> Migration:
        """The newest iteration."""
        found = self.room.store.see(lambda tx: tx.migration_by_name(name))
        assert found is not None
        return found

    def state(self, name: str = "move") -> str:
        """The state of the newest iteration."""
        return str(self.newest(name).state)

    def see(self, call: Any) -> Any:
        """Read the store."""
        return self.room.store.see(call)

    def params(self, step: str, message: Any, name: str = "move") -> Any:
        """What a step of the newest iteration is told."""

        def look(tx: Tx) -> bytes:
            found = tx.step_named(self.newest(name).id, step)
            assert found is not None
            body = tx.body(found.id)
            assert body is not None and body.params is not None
            return body.params

        return message.FromString(self.room.store.see(look))


async def moving(room: Room, *documents: str) -> Moving:
    """A room in which a dataset and its migration are applied."""
    found = Moving(room, await room.connect())
    applied = await found.apply(stores(), *(documents or (dataset(), migration())))
    assert not applied.findings, applied.findings
    return found
