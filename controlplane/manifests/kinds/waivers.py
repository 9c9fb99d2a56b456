"""Waivers as people write them: a kind of definition that a replacement may lose, or KIND:NAME for one of them."""

from __future__ import annotations

from typing import Annotated

from haulier.v1 import kinds_pb2
from pydantic import AfterValidator

from controlplane.manifests.kinds.model import Line, refusal
from controlplane.manifests.text.findings import shown, suggestion

_PREFIX = "DEFINITION_KIND_"
_KINDS = {name.removeprefix(_PREFIX).lower(): number for name, number in kinds_pb2.DefinitionKind.items() if number}
NEVER_WAIVED = ("row_security", "policy", "publication")
# What a replacement carries over, or what only a source has: nothing of it is lost by replacing.
_NOT_LOST = ("grant", "not_null", "type", "metadata", "skipped_file")
WAIVABLE = tuple(word for word in _KINDS if word not in (*NEVER_WAIVED, *_NOT_LOST))


def _waiver(value: str) -> str:
    kind, colon, name = value.partition(":")
    if kind in NEVER_WAIVED:
        raise refusal(
            f"{shown(kind)} cannot be waived: a replacement never opens protected rows or leaves a publication",
            "remove it, and take the definition off the table yourself if that is wanted",
        )
    if kind not in WAIVABLE:
        raise refusal(f"{shown(kind)} is nothing that can be waived", suggestion(kind, WAIVABLE, _known()))
    if colon and not name.strip():
        raise refusal(f"{shown(value)} names no {kind}", f"write {kind} for all of them, or {kind}:NAME for one")
    return value


def _known() -> str:
    return "one of " + ", ".join(WAIVABLE)


WaiverText = Annotated[Line, AfterValidator(_waiver)]


def waiver_message(text: str) -> kinds_pb2.Waiver:
    """Write a checked waiver."""
    kind, _, name = text.partition(":")
    return kinds_pb2.Waiver(kind=_PREFIX + kind.upper(), name=name)
