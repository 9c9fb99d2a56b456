"""Manifests that the benches apply: migrations whose steps are of a kind of somebody's own and do nothing."""

from haulier.v1 import operator_pb2 as pb

from tests.bench.plane import CALL_BOUND_S, Plane

_HEAD = "apiVersion: haulier/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n"


def apply_noops(plane: Plane, names: list[str], steps: int, kind: str = "noop") -> None:
    """Apply one migration per name, each of ``steps`` independent steps of ``kind``, and all that they name."""
    root = plane.state.parent
    step = "  - {{name: step-{number}, kind: {kind}, params: {{text: x}}}}\n"
    documents = [
        _HEAD.format(kind="Datastore", name="bench-files") + f"  engine: csv\n  root: {root}\n",
        _HEAD.format(kind="Datastore", name="bench-staging") + f"  engine: parquet\n  root: {root}\n",
        _HEAD.format(kind="Dataset", name="bench-data")
        + "  owner: bench\n  datastore: bench-files\n  object: data.csv\n  columns:\n  - {name: id, type: int64}\n",
        _HEAD.format(kind="Workflow", name="bench-noops")
        + "  steps:\n"
        + "".join(step.format(number=number, kind=kind) for number in range(steps)),
        *(
            _HEAD.format(kind="Migration", name=name)
            + "  dataset: bench-data\n  workflow: bench-noops\n  staging: bench-staging\n"
            + f"  to: {{datastore: bench-staging, object: {name}}}\n"
            for name in names
        ),
    ]
    file = pb.ManifestFile(path="bench.yaml", content="---\n".join(documents).encode())
    request = pb.ApplyManifestsRequest(files=[file], request_id=f"apply-{names[0]}")
    answer = plane.operator().ApplyManifests(request, timeout=CALL_BOUND_S)
    assert not answer.findings, answer.findings[:3]


def start_noops(plane: Plane, names: list[str]) -> None:
    """Start migrations that were applied."""
    request = pb.StartMigrationsRequest(names=names, request_id=f"start-{names[0]}")
    plane.operator().StartMigrations(request, timeout=CALL_BOUND_S)
