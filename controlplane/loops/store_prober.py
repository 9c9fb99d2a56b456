"""Writes one small thing durably every few seconds, so that a full disk shows before somebody's work meets it."""

from controlplane.service.health.store_proof import StoreProof


class StoreProber:
    """One pass writes once; readiness sees when that last succeeded."""

    def __init__(self, proof: StoreProof) -> None:
        self._proof = proof

    async def run(self) -> None:
        """Make one pass. Raises ``StoreFailed``."""
        await self._proof.prove()
