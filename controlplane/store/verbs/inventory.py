"""Applied manifests and their generations."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Resource(NamedTuple):
    """An applied manifest; ``metadata`` and ``spec`` are JSON."""

    kind: str
    name: str
    generation: int
    digest: str
    metadata: str
    spec: str
    applied_at: float


class AppliedSpec(NamedTuple):
    """What an applied manifest says, in short."""

    generation: int
    digest: str
    spec: str  # JSON


class InventoryVerbs(Protocol):
    """Manifests as they are applied, and each generation that they had."""

    def resource(self, kind: str, name: str) -> Resource | None:
        """Return one applied manifest."""
        ...

    def resources(self, kind: str, after: str, limit: int) -> list[Resource]:
        """Return at most ``limit`` applied manifests of a kind whose names follow ``after``, in order of name."""
        ...

    def all_specs(self) -> dict[tuple[str, str], AppliedSpec]:
        """Return (kind, name) → what it says, of every applied manifest."""
        ...

    def put_resources(self, resources: Sequence[Resource]) -> None:
        """Apply manifests, each in the place of its earlier generation, and keep each as a generation that stays."""
        ...

    def delete_resource(self, kind: str, name: str) -> None:
        """Delete an applied manifest; its generations stay. Raises ``Conflict`` where it is not applied."""
        ...

    def generation_spec(self, kind: str, name: str, generation: int) -> str | None:
        """Return the spec (JSON) of one generation of a manifest, also of a deleted one."""
        ...

    def generation_at(self, kind: str, name: str, at: float) -> int:
        """Return the newest generation of a manifest that was applied by an instant; 0 where there was none."""
        ...

    def deleted_generations(self) -> dict[tuple[str, str], int]:
        """Return (kind, name) → newest generation of every manifest that was deleted and not applied again."""
        ...
