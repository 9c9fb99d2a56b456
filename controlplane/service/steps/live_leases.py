"""Live leases in memory: a heartbeat renews here and costs no fsync; a flush makes it durable about once a second.

The attempt row stays the truth of who holds a step. After a start every live lease gets a full TTL of grace, because
nobody could renew while the control plane was away.
"""

from collections import Counter
from collections.abc import Iterable

from controlplane.core.model import Attempt, Held, Step
from controlplane.core.steps.leasing import LiveLease, Refused, Renewed, overrun, renew
from controlplane.store.verbs.attempts import Flush, LiveRow


class LiveLeases:
    """Every running attempt, by id, with the instants that decide about its renewal."""

    def __init__(self) -> None:
        self.leases: dict[str, LiveLease] = {}
        self._reports: dict[str, tuple[int, int, str, float | None]] = {}  # total, done bytes, stage, started
        self._dirty: set[str] = set()
        self._held: Counter[str] = Counter()

    def load(self, rows: Iterable[LiveRow], *, grace_until: float, now: float) -> None:
        """Take over what the store holds, no lease ending before ``grace_until``."""
        self.leases.clear()
        self._held.clear()
        for row in rows:
            a = row.attempt
            self._held[a.agent_id] += 1
            self.leases[a.id] = LiveLease(
                attempt_id=a.id,
                step_id=a.step_id,
                agent_id=a.agent_id,
                incarnation=a.incarnation,
                fence=a.fence,
                granted_at=a.granted_at,
                expires_at=max(a.expires_at, grace_until),
                moved_at=now,
                start_to_finish_s=row.start_to_finish_s,
                progress_s=row.progress_s,
                watermark=row.watermark,
            )

    def add(self, attempt: Attempt, step: Step) -> None:
        """Take in a lease that was just granted durably."""
        self._held[attempt.agent_id] += 1
        self.leases[attempt.id] = LiveLease(
            attempt_id=attempt.id,
            step_id=attempt.step_id,
            agent_id=attempt.agent_id,
            incarnation=attempt.incarnation,
            fence=attempt.fence,
            granted_at=attempt.granted_at,
            expires_at=attempt.expires_at,
            moved_at=attempt.granted_at,
            start_to_finish_s=step.start_to_finish_s,
            progress_s=step.progress_s,
        )

    def remove(self, attempt_ids: Iterable[str]) -> None:
        """Forget leases that ended durably."""
        for attempt_id in attempt_ids:
            lease = self.leases.pop(attempt_id, None)
            if lease is not None:
                self._held[lease.agent_id] -= 1
            self._reports.pop(attempt_id, None)
            self._dirty.discard(attempt_id)

    def adopt(self, attempt_id: str, incarnation: int, *, until: float, now: float) -> bool:
        """Let a newer life of the agent hold the attempt, at least until ``until``; False when the lease is over."""
        lease = self.leases.get(attempt_id)
        if lease is None or now >= lease.expires_at:
            return False
        lease.incarnation = incarnation
        lease.expires_at = max(lease.expires_at, until)
        self._dirty.add(attempt_id)
        return True

    def renew(self, held: Held, *, agent_id: str, incarnation: int, now: float, ttl_s: float) -> Renewed | Refused:
        """Move the watermark and renew the lease, or say why not."""
        lease = self.leases.get(held.attempt_id)
        if lease is None or lease.agent_id != agent_id:
            return Refused("this agent holds no such lease")
        if held.fence == lease.fence:
            self.move(lease, held.watermark, now)
        answer = renew(lease, fence=held.fence, incarnation=incarnation, now=now, ttl_s=ttl_s)
        if isinstance(answer, Renewed):
            lease.expires_at = answer.expires_at
            self._dirty.add(lease.attempt_id)
        return answer

    def report(
        self,
        held: Held,
        *,
        agent_id: str,
        total: int,
        done_bytes: int,
        stage: str,
        started: bool,
        now: float,
    ) -> None:
        """Note the progress of an attempt; one that is not this agent's is ignored."""
        lease = self.leases.get(held.attempt_id)
        if lease is None or lease.agent_id != agent_id or lease.fence != held.fence:
            return
        self.move(lease, held.watermark, now)
        before = self._reports.get(lease.attempt_id)
        started_at = (before[3] if before else None) or (now if started else None)
        self._reports[lease.attempt_id] = (total, done_bytes, stage, started_at)
        self._dirty.add(lease.attempt_id)

    def move(self, lease: LiveLease, watermark: int, now: float) -> None:
        """Let the watermark grow; only growth counts as progress."""
        if watermark > lease.watermark:
            lease.watermark = watermark
            lease.moved_at = now
            self._dirty.add(lease.attempt_id)

    def moved(self, attempt_ids: Iterable[str]) -> frozenset[str]:
        """Return those of the attempts whose watermark has grown."""
        return frozenset(each for each in attempt_ids if each in self.leases and self.leases[each].watermark > 0)

    def due(self, now: float) -> list[LiveLease]:
        """Return the leases that have expired or overrun one of their limits."""
        return [lease for lease in self.leases.values() if now >= lease.expires_at or overrun(lease, now) is not None]

    def held_by(self, agent_id: str) -> int:
        """Count the leases of one agent: an estimate for choosing whom to offer work; the grant counts rows."""
        return self._held[agent_id]

    def take_flush(self) -> list[Flush]:
        """Return what changed since the last flush, and forget that it changed."""
        flush = []
        for attempt_id in self._dirty:
            lease = self.leases.get(attempt_id)
            if lease is None:
                continue
            total, done_bytes, stage, started_at = self._reports.get(attempt_id, (0, 0, "", None))
            flush.append(
                Flush(
                    attempt_id=attempt_id,
                    fence=lease.fence,
                    expires_at=lease.expires_at,
                    moved_at=lease.moved_at,
                    watermark=lease.watermark,
                    total=total,
                    done_bytes=done_bytes,
                    stage=stage,
                    started_at=started_at,
                )
            )
        self._dirty.clear()
        return flush
