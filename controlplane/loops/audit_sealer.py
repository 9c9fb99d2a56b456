"""Signs a head of the audit log over what was committed since the last one."""

from controlplane.service.audit.log import AuditLog


class AuditSealer:
    """One pass signs one head, if there is anything new."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    async def run(self) -> None:
        """Make one pass. Raises ``StoreFailed``."""
        await self._log.seal()
