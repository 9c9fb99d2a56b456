"""Agents as witnesses: each keeps the newest head that it saw, and tells it in hello and heartbeats.

A hello tells the whole: without a head its agent has seen none. A heartbeat tells news: without a head, what was told
before stands. Each head that is told is answered once, so that a proof never begins at a head that its agent has left.
"""

from collections.abc import Callable
from dataclasses import dataclass

from controlplane.core.audit.heads import Contradicted, LogEra, TreeHead, judge_witness
from controlplane.core.audit.merkle import consistency_proof, root
from controlplane.core.audit.merkle_tiles import BrokenTile, MissingTile
from controlplane.service.audit.log import AuditLog

# Proofs from one head to another are asked for by many agents in the same second.
PROOFS_KEPT = 512


@dataclass(frozen=True, slots=True)
class Shown:
    """The newest head for one agent, with the proof that it continues what the agent saw."""

    head: TreeHead
    since: int
    proof: tuple[bytes, ...]
    begun: LogEra | None


class HeadStatement:
    """What the agent of one session told last of what it has seen, None when it has seen nothing."""

    __slots__ = ("agent_id", "answered", "busy", "refused", "seen")

    def __init__(self, agent_id: str, seen: TreeHead | None) -> None:
        self.agent_id = agent_id
        self.seen = seen
        self.answered = False  # a newer head was shown for it
        self.busy = False  # it is being compared
        self.refused = False  # it told of a head that was never signed here

    def tell(self, seen: TreeHead) -> None:
        """Take in a head that a heartbeat carries."""
        if seen != self.seen:
            self.seen, self.answered = seen, False


class Witnesses:
    """What agents have seen, and what they are shown."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log
        self._proofs: dict[tuple[int, int], tuple[bytes, ...]] = {}
        self.seen: dict[str, TreeHead] = {}
        self.contradictions: dict[str, str] = {}
        self._contradicting: dict[str, TreeHead] = {}
        self._losses: dict[str, TreeHead] = {}

    def is_due(self, told: HeadStatement) -> bool:
        """Tell, without waiting for anything, whether there is something to compare or to show."""
        if not self._log.loaded or told.busy:
            return False
        is_new = told.seen != self._log.head and not told.answered
        return is_new or told.agent_id in self.contradictions

    async def hear(self, told: HeadStatement, show: Callable[[Shown], None]) -> None:
        """Compare what an agent has seen with the log; show it what is new, unless it contradicts."""
        told.busy = True
        try:
            while True:
                seen = told.seen
                shown = await self._heard(told, seen)
                if told.seen == seen:
                    break
            if shown is not None:
                told.answered = True
                show(shown)
        finally:
            told.busy = False

    async def _heard(self, told: HeadStatement, seen: TreeHead | None) -> Shown | None:
        head = self._log.head
        if seen is None:
            return Shown(head, 0, (), None) if head is not None and not told.answered else None
        self.seen[told.agent_id] = seen
        try:
            return await self._compared(told, seen)
        except (BrokenTile, MissingTile) as broken:
            await self._log.trouble(f"the tree of the log is damaged: {broken}")
            return None

    async def _compared(self, told: HeadStatement, seen: TreeHead) -> Shown | None:
        log, head = self._log, self._log.head
        roots: dict[int, bytes] = {}
        if head is not None and seen.size <= head.size:
            roots[seen.size] = await self._root(seen.size)
        verdict = judge_witness(head, log.eras, seen, roots.__getitem__)
        if isinstance(verdict, Contradicted):
            await self._contradicted(told, seen, verdict.because)
            return None
        assert head is not None, "without a head every witness contradicts"
        if verdict.lost and not self._is_signed(seen):
            await self._refuse(told, f"a witness has seen {seen}")
            return None
        self.contradictions.pop(told.agent_id, None)
        await self._note_loss(told.agent_id, seen, verdict.lost)
        if verdict.begun is None:
            log.remember(seen.size, seen.root)
        if told.answered or (verdict.begun is None and seen.size == head.size):
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

    def _is_signed(self, seen: TreeHead) -> bool:
        return self._log.is_signed(seen, self._log.signer.public_key)

    async def _contradicted(self, told: HeadStatement, seen: TreeHead, because: str) -> None:
        if not self._is_signed(seen):
            await self._refuse(told, because)
            return
        agent_id = told.agent_id
        self.contradictions[agent_id] = because
        if self._contradicting.get(agent_id) == seen:
            return  # the same head was told of already, whatever size the log has meanwhile
        self._contradicting[agent_id] = seen
        await self._log.tell("WitnessContradicted", agent_id, _evidence(because, seen))
        await self._log.trouble(f"{because} [witness {agent_id}]")

    async def _refuse(self, told: HeadStatement, because: str) -> None:
        """Note, once a session, that an agent tells of what was never signed here.

        It proves nothing but the agent's own bad memory, or bad faith; nobody may fill the log by it.
        """
        assert told.seen is not None, "only a head can be unsigned"
        self.contradictions[told.agent_id] = because
        if not told.refused:
            told.refused = True
            evidence = f"not signed by this control plane: {_evidence(because, told.seen)}"
            await self._log.tell("WitnessRefused", told.agent_id, evidence)

    async def _note_loss(self, agent_id: str, seen: TreeHead, lost: int) -> None:
        """Write down, once for each head, how much of what an agent saw a restore has lost."""
        if lost and self._losses.get(agent_id) != seen:
            self._losses[agent_id] = seen
            detail = f"{lost} entries that it saw in era {seen.era} are not in this log since the restore"
            await self._log.tell("WitnessOutlived", agent_id, detail)


def _evidence(because: str, seen: TreeHead) -> str:
    return f"{because} (its head: root {seen.root.hex()}, signature {seen.signature.hex()})"
