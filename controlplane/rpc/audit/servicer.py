"""The servicer for whoever checks the audit log: head, keys, entries. It claims nothing: the caller proves."""

from collections.abc import AsyncIterator
from typing import Any

from haulier.v1 import audit_pb2 as pb
from haulier.v1 import audit_pb2_grpc

from controlplane.rpc.audit import translate
from controlplane.service.audit.queries import Auditing


class AuditServicer(audit_pb2_grpc.AuditServiceServicer):
    """See ``haulier.v1.AuditService``."""

    def __init__(self, auditing: Auditing) -> None:
        self._auditing = auditing

    async def GetAudit(self, request: pb.GetAuditRequest, context: Any) -> pb.GetAuditResponse:  # noqa: N802
        """Show head, keys, eras, troubles and witnesses."""
        found = await self._auditing.state()
        message = pb.GetAuditResponse(
            public_key=found.public_key,
            eras=[translate.era(begun) for begun in found.eras],
            troubles=found.troubles,
            checked_entries=found.checked,
            archived_position=found.archived,
        )
        if found.head is not None:
            message.head.CopyFrom(translate.head(found.head))
        for name, seen, contradiction in found.witnesses:
            message.witnesses.add(agent=name, era=seen.era, size=seen.size, contradiction=contradiction)
        return message

    async def StreamEntries(  # noqa: N802
        self, request: pb.StreamEntriesRequest, context: Any
    ) -> AsyncIterator[pb.StreamEntriesResponse]:
        """Stream entries as they are stored."""
        async for rows in self._auditing.entries(request.after, request.up_to):
            yield pb.StreamEntriesResponse(entries=[translate.entry(*row) for row in rows])
