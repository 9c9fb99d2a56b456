"""The built-in step kinds as the contract describes them: their messages, and what they must be given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from haulier.v1 import kinds_pb2


@dataclass(frozen=True, slots=True)
class BuiltInKind:
    """A step kind of `kinds.proto`.

    ``required`` holds JSON names of parameters; ``granted`` those that no workflow may set, because they say what the
    Dataset allows; ``writes_destination`` says whose fence it needs; ``read_only`` that
    there is nothing to undo; ``fenced`` is False where no destination can keep a second attempt out; ``in_workflows``
    is False where the control plane plans it by itself; ``left_at`` returns where a step leaves something behind: the
    Datastore of its staged parts, or the location of the content that was there before.
    """

    params: type[Message]
    result: type[Message]
    required: tuple[str, ...]
    granted: tuple[str, ...] = ()
    writes_destination: bool = False
    read_only: bool = False
    fenced: bool = True
    in_workflows: bool = True
    left_at: Callable[[Any], kinds_pb2.Datastore | kinds_pb2.DatasetLocation] | None = None

    @property
    def params_descriptor(self) -> Descriptor:
        """Descriptor of the parameter message."""
        return kinds_pb2.DESCRIPTOR.message_types_by_name[self.params.__name__]

    @property
    def result_descriptor(self) -> Descriptor:
        """Descriptor of the result message."""
        return kinds_pb2.DESCRIPTOR.message_types_by_name[self.result.__name__]


BUILT_IN: dict[str, BuiltInKind] = {
    "extract": BuiltInKind(
        kinds_pb2.ExtractParams, kinds_pb2.ExtractResult, ("source", "staging"), left_at=lambda params: params.staging
    ),
    "transform": BuiltInKind(
        kinds_pb2.TransformParams,
        kinds_pb2.TransformResult,
        ("input", "sql"),
        left_at=lambda params: params.staging if params.HasField("staging") else params.input.datastore,
    ),
    "load": BuiltInKind(
        kinds_pb2.LoadParams,
        kinds_pb2.LoadResult,
        ("input", "destination"),
        writes_destination=True,
        left_at=lambda params: params.destination,
    ),
    "validate": BuiltInKind(
        kinds_pb2.ValidateParams,
        kinds_pb2.ValidateResult,
        ("source", "extracted", "loaded", "destination"),
        granted=("showValues", "showValuesForS"),
        read_only=True,
    ),
    "run_program": BuiltInKind(kinds_pb2.RunProgramParams, kinds_pb2.RunProgramResult, ("program",), fenced=False),
    "clean_up": BuiltInKind(kinds_pb2.CleanUpParams, kinds_pb2.CleanUpResult, (), in_workflows=False),
}
