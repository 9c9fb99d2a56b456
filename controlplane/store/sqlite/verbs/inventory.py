"""Manifests on SQLite."""

from collections.abc import Sequence

from controlplane.store.port import Conflict
from controlplane.store.sqlite.statements import Statements
from controlplane.store.verbs.inventory import AppliedSpec, Resource


class SqliteInventoryVerbs(Statements):
    """See ``store.verbs.inventory``."""

    def resource(self, kind: str, name: str) -> Resource | None:
        row = self.maybe("resource", kind, name)
        return Resource._make(row) if row else None

    def resources(self, kind: str, after: str, limit: int) -> list[Resource]:
        return [Resource._make(row) for row in self.all("resources", kind, after, limit)]

    def all_specs(self) -> dict[tuple[str, str], AppliedSpec]:
        return {
            (kind, name): AppliedSpec(generation, digest, spec)
            for kind, name, generation, digest, spec in self.all("all_specs")
        }

    def put_resources(self, resources: Sequence[Resource]) -> None:
        self.run_many("put_resource", resources)
        self.run_many("put_history", [(r.kind, r.name, r.generation, r.spec, r.applied_at) for r in resources])

    def delete_resource(self, kind: str, name: str) -> None:
        if self.run("delete_resource", kind, name) != 1:
            raise Conflict(f"{kind} {name} is not applied")

    def generation_spec(self, kind: str, name: str, generation: int) -> str | None:
        row = self.maybe("generation_spec", kind, name, generation)
        if row is None:
            return None
        (spec,) = row
        return str(spec)

    def generation_at(self, kind: str, name: str, at: float) -> int:
        return int(self.value("generation_at", kind, name, at) or 0)

    def deleted_generations(self) -> dict[tuple[str, str], int]:
        return {(kind, name): generation for kind, name, generation in self.all("deleted_generations")}
