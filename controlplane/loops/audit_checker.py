"""Compares the rows of the event log with the audit log's tree, some of them each pass, again and again."""

from controlplane.service.audit.checking import LogCheck


class AuditChecker:
    """One pass compares a bounded number of rows and goes on from there in the next."""

    def __init__(self, check: LogCheck) -> None:
        self._check = check

    async def run(self) -> None:
        """Make one pass. Raises ``StoreFailed``."""
        await self._check.go_on()
