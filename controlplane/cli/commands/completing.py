"""What the shell offers when TAB is pressed at a name: it asks the control plane, briefly, and never complains."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from controlplane.cli.problems import Problem

if TYPE_CHECKING:
    from google.protobuf.message import Message

# Longer than this a person would type the name.
_TIMEOUT_S = 1.5


def migrations(incomplete: str) -> list[str]:
    """Names of migrations that were started."""
    from haulier.v1 import operator_pb2 as op

    listing: Any = _ask(op.ListMigrationsRequest(), op.ListMigrationsResponse)
    return [row.name for row in listing.migrations if row.name.startswith(incomplete)]


def agents(incomplete: str) -> list[str]:
    """Names of agents."""
    from haulier.v1 import operator_pb2 as op

    listing: Any = _ask(op.ListAgentsRequest(), op.ListAgentsResponse)
    return [row.name for row in listing.agents if row.name.startswith(incomplete)]


def manifests(kind: str) -> Callable[[str], list[str]]:
    """What offers the names of applied manifests of a kind."""

    def offer(incomplete: str) -> list[str]:
        from haulier.v1 import operator_pb2 as op

        listing: Any = _ask(op.ListManifestsRequest(kind=kind), op.ListManifestsResponse)
        return [row.name for row in listing.manifests if row.name.startswith(incomplete)]

    return offer


def _ask(request: Message, answer: type[Message]) -> Message:
    """The first page of a list, or an empty one when the control plane cannot be asked."""
    from controlplane.cli.connection import connect

    try:
        with connect(None, timeout_s=_TIMEOUT_S) as operator:
            return operator.call(request, answer, repeatable=False)
    except Problem:
        return answer()
