"""A person's consent that an undo may lose what others changed at a destination. It is never a default."""

from controlplane.core.access.approvals import Plan
from controlplane.core.events import Event, asked_by
from controlplane.core.model import Migration
from controlplane.store.port import Tx


def agree_to_discard(tx: Tx, migration: Migration, reason: str, now: float, by: str) -> None:
    """Keep the consent, with who gave it and why, once."""
    if not tx.discards_changes(migration.id):
        tx.discard_changes(migration.id)
        tx.record([Event(now, "DiscardAgreed", migration.id, migration.id, detail=asked_by(by, reason))])


def with_consent(plan: Plan) -> Plan:
    """The plan of a rollback that may lose changes: who approved the same without, did not approve this."""
    items = tuple(item._replace(state=f"{item.state}, losing what others changed") for item in plan.items)
    return plan._replace(asked=f"{plan.asked} --discard-changes", items=items)
