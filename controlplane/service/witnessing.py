"""Agents as witnesses: each keeps the newest head that it saw, and shows it with every heartbeat."""

from dataclasses import dataclass

from controlplane.core.audit import Contradicted, LogEra, TreeHead, judge_witness
from controlplane.core.merkle import consistency_proof, root
from controlplane.core.merkle_tiles import BrokenTile, MissingTile
from controlplane.service.audit_log import AuditLog

# Proofs from one head to another are asked for by many agents in the same second.
PROOFS_KEPT = 512


@dataclass(frozen=True, slots=True)
class Shown:
    """The newest head for one agent, with the proof that it continues what the agent saw."""

    head: TreeHead
    since: int
    proof: tuple[bytes, ...]
    begun: LogEra | None


class Witnesses:
    """What agents have seen, and what they are shown."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log
        self._proofs: dict[tuple[int, int], tuple[bytes, ...]] = {}
        self.seen: dict[str, TreeHead] = {}
        self.contradictions: dict[str, str] = {}
        self._losses: dict[str, TreeHead] = {}

    def is_current(self, agent_id: str, seen: TreeHead | None) -> bool:
        """Tell, without waiting for anything, whether an agent has seen the newest head and nothing else."""
        if not self._log.loaded:
            return True
        return seen == self._log.head and agent_id not in self.contradictions

    async def hear(self, agent_id: str, seen: TreeHead | None) -> Shown | None:
        """Take in what an agent has seen; return what to show it, None when nothing is new or it contradicts."""
        head = self._log.head
        if seen is None:
            return Shown(head, 0, (), None) if head is not None else None
        self.seen[agent_id] = seen
        try:
            return await self._compared(agent_id, seen)
        except (BrokenTile, MissingTile) as broken:
            await self._log.trouble(f"the tree of the log is damaged: {broken}")
            return None

    async def _compared(self, agent_id: str, seen: TreeHead) -> Shown | None:
        log, head = self._log, self._log.head
        roots: dict[int, bytes] = {}
        if head is not None and seen.size <= head.size:
            roots[seen.size] = await self._root(seen.size)
        verdict = judge_witness(head, log.eras, seen, roots.__getitem__)
        if isinstance(verdict, Contradicted):
            await self._contradicted(agent_id, seen, verdict.because)
            return None
        assert head is not None, "without a head every witness contradicts"
        self.contradictions.pop(agent_id, None)
        await self._note_loss(agent_id, seen, verdict.lost)
        if verdict.begun is None:
            log.remember(seen.size, seen.root)
            if seen.size == head.size:
                return None
        return Shown(head, verdict.since, await self._proof(verdict.since, head), verdict.begun)

    async def _root(self, size: int) -> bytes:
        known = self._log.known_root(size)
        return known if known is not None else await self._log.from_tree(lambda tiles: root(size, tiles.subtree))

    async def _proof(self, since: int, head: TreeHead) -> tuple[bytes, ...]:
        if since == 0:
            return ()
        known = self._proofs.get((since, head.size))
        if known is None:
            known = tuple(await self._log.from_tree(lambda tiles: consistency_proof(since, head.size, tiles.subtree)))
            while len(self._proofs) >= PROOFS_KEPT:
                del self._proofs[next(iter(self._proofs))]
            self._proofs[since, head.size] = known
        return known

    async def _contradicted(self, agent_id: str, seen: TreeHead, because: str) -> None:
        if self.contradictions.get(agent_id) == because:
            return
        self.contradictions[agent_id] = because
        evidence = f"{because} (its head: root {seen.root.hex()}, signature {seen.signature.hex()})"
        if not self._log.is_signed(seen, self._log.signer.public_key):
            # Whoever shows what we never signed proves nothing but its own bad memory, or bad faith.
            await self._log.tell("WitnessRefused", agent_id, f"not signed by this control plane: {evidence}")
            return
        await self._log.tell("WitnessContradicted", agent_id, evidence)
        await self._log.trouble(f"{because} [witness {agent_id}]")

    async def _note_loss(self, agent_id: str, seen: TreeHead, lost: int) -> None:
        """Write down, once for each head, how much of what an agent saw a restore has lost."""
        if lost and self._losses.get(agent_id) != seen:
            self._losses[agent_id] = seen
            detail = f"{lost} entries that it saw in era {seen.era} are not in this log since the restore"
            await self._log.tell("WitnessOutlived", agent_id, detail)
