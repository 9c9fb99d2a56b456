"""Contract ↔ core for the audit log."""

from haulier.v1 import audit_pb2 as pb

from controlplane.core.audit.heads import LogEra, TreeHead
from controlplane.core.events import Event
from controlplane.service.audit.witnessing import Shown


def head(known: TreeHead) -> pb.TreeHead:
    """Write a head."""
    return pb.TreeHead(
        era=known.era, size=known.size, root_hash=known.root, signature=known.signature, key_id=known.key_id
    )


def era(begun: LogEra) -> pb.LogEra:
    """Write the beginning of an era."""
    return pb.LogEra(
        era=begun.era,
        size=begun.size,
        root_hash=begun.root,
        generation=begun.generation,
        reason=begun.reason,
        signature=begun.signature,
        public_key=begun.public_key,
    )


def shown(found: Shown) -> pb.ShownHead:
    """Write what an agent is shown."""
    message = pb.ShownHead(head=head(found.head), since_size=found.since, consistency=found.proof)
    if found.begun is not None:
        message.begun.CopyFrom(era(found.begun))
    return message


def entry(position: int, event: Event | bytes) -> pb.AuditEntry:
    """Write one entry; what is nothing stays unset, because it has a hash of its own."""
    if isinstance(event, bytes):
        return pb.AuditEntry(position=position, archived_leaf=event)
    return pb.AuditEntry(
        position=position,
        at=event.at,
        type=event.type,
        subject=event.subject,
        migration_id=event.migration_id,
        attempt_id=event.attempt_id,
        agent_id=event.agent_id,
        fence=event.fence,
        detail=event.detail,
    )
