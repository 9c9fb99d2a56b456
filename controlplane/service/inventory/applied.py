"""The applied manifests as the checks want them."""

from collections.abc import Iterator, Mapping

from controlplane.core.states import MIGRATION_LEFT_PLACE
from controlplane.manifests.kinds.documents import Spec, load_spec
from controlplane.store.verbs.inventory import AppliedSpec
from controlplane.store.verbs.migrations import MigrationVerbs

Key = tuple[str, str]  # kind, name
Rows = Mapping[Key, AppliedSpec]


class AppliedSpecs(Mapping[Key, Spec]):
    """The applied manifests as ``validate`` wants them; a spec is read only when it is asked for."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def __getitem__(self, key: Key) -> Spec:
        kind, _ = key
        return load_spec(kind, self._rows[key].spec)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def left_places(tx: MigrationVerbs) -> frozenset[str]:
    """Name the migrations whose newest iteration holds its destination no longer."""
    return frozenset(name for name, each in tx.newest_iterations().items() if each.state in MIGRATION_LEFT_PLACE)
