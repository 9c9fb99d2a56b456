"""What `clean_up` is told: the parameters of the step that left something behind say where that is."""

from __future__ import annotations

from haulier.v1 import kinds_pb2

from controlplane.manifests.compiling.step_kinds import BUILT_IN


def clean_up_params(kind: str, step_id: str, params: bytes) -> tuple[bytes, str]:
    """Return the parameters of the clean-up after a step of a built-in kind, and the name of the datastore it touches.

    ``params`` are the step's own, as it was given them. Raises KeyError for a kind that leaves nothing behind.
    """
    told = BUILT_IN[kind].params.FromString(params)
    if isinstance(told, kinds_pb2.LoadParams):
        made = kinds_pb2.CleanUpParams(former_content_at=told.destination)
        return made.SerializeToString(deterministic=True), told.destination.datastore.name
    if isinstance(told, kinds_pb2.ExtractParams):
        store = told.staging
    elif isinstance(told, kinds_pb2.TransformParams):
        store = told.staging if told.HasField("staging") else told.input.datastore
    else:
        raise KeyError(kind)
    made = kinds_pb2.CleanUpParams(staged=kinds_pb2.StagedByStep(datastore=store, step_id=step_id))
    return made.SerializeToString(deterministic=True), store.name
