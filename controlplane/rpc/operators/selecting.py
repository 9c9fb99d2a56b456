"""Contract ↔ service for calls about migrations by name or by filters."""

from typing import Any

from haulier.v1 import operator_pb2 as pb

from controlplane.core.access import approvals as gating
from controlplane.rpc.calls.callers import CALLER, caller_name
from controlplane.service.migrations.migrations import Acted, Call
from controlplane.service.migrations.selection import Selection


def call_of(method: str, request: Any) -> Call:
    """Read what a request asks to be done with which migrations, by whoever calls."""
    caller = CALLER.get(None)
    return Call(
        method,
        _selection_of(method, request),
        by=caller_name(),
        reason=getattr(request, "reason", ""),
        within=caller.owners if caller is not None else frozenset(),
        request_id=getattr(request, "request_id", ""),
        dry_run=getattr(request, "dry_run", False),
        plan_digest=getattr(request, "plan_hash", ""),
        discard_changes=getattr(request, "discard_changes", False),
    )


def names_in(request: Any) -> list[str]:
    """Return the migrations that a request names, by whichever of its fields."""
    if _has_selection(request):
        return list(request.selection.names)
    return list(request.names) if hasattr(request, "names") else [request.migration]


def chooses(request: Any) -> bool:
    """Tell whether a request leaves it to filters which migrations it is about."""
    return _has_selection(request) and not request.selection.names


def outcome(acted: Acted) -> pb.SelectionOutcome:
    """Write what was done for which."""
    return pb.SelectionOutcome(
        names=acted.names,
        left_out=held(acted),
        already=acted.already,
        not_approved=acted.not_approved,
        plan_hash=acted.plan_digest,
        needs_approval=acted.needs_approval,
    )


def held(acted: Acted) -> list[pb.HeldMigration]:
    """Write what was left out, and why."""
    return [pb.HeldMigration(name=name, reason=reason) for name, reason in acted.held.items()]


def _has_selection(request: Any) -> bool:
    return "selection" in request.DESCRIPTOR.fields_by_name and request.HasField("selection")


def _selection_of(method: str, request: Any) -> Selection:
    if not _has_selection(request):
        names = tuple(names_in(request))
        return Selection(names, every=method == gating.START and not names)
    asked = request.selection
    return Selection(
        tuple(asked.names), frozenset(asked.states), dict(asked.labels), frozenset(asked.owners), asked.every
    )
