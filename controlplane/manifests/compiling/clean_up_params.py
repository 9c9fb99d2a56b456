"""What `clean_up` is told: the parameters of the step that left something behind say where that is."""

from __future__ import annotations

from haulier.v1 import kinds_pb2

from controlplane.manifests.compiling.step_kinds import BUILT_IN


def clean_up_params(kind: str, step_id: str, params: bytes) -> tuple[bytes, str]:
    """Return the parameters of the clean-up after a step of a built-in kind, and the name of the datastore it touches.

    ``params`` are the step's own, as it was given them. Raises KeyError for a kind that leaves nothing behind.
    """
    about = BUILT_IN[kind]
    if about.left_at is None:
        raise KeyError(kind)
    left = about.left_at(about.params.FromString(params))
    if isinstance(left, kinds_pb2.DatasetLocation):
        made, datastore = kinds_pb2.CleanUpParams(former_content_at=left), left.datastore
    else:
        staged = kinds_pb2.StagedByStep(datastore=left, step_id=step_id)
        made, datastore = kinds_pb2.CleanUpParams(staged=staged), left
    return made.SerializeToString(deterministic=True), datastore.name
