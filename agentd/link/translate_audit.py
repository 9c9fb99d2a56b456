"""Contract ↔ core for the audit log."""

from haulier.v1 import audit_pb2 as pb

from agentd.core.witnessing import LogEra, ShownHead, TreeHead


def tree_head(head: TreeHead) -> pb.TreeHead:
    """What this agent has seen, as Hello and Heartbeat carry it."""
    return pb.TreeHead(era=head.era, size=head.size, root_hash=head.root, signature=head.signature, key_id=head.key_id)


def shown_head(message: pb.ShownHead) -> ShownHead:
    """What the control plane shows."""
    head = message.head
    begun = None
    if message.HasField("begun"):
        told = message.begun
        begun = LogEra(
            told.era, told.size, told.root_hash, told.generation, told.reason, told.signature, told.public_key
        )
    return ShownHead(
        TreeHead(head.era, head.size, head.root_hash, head.signature, head.key_id),
        message.since_size,
        tuple(message.consistency),
        begun,
    )
