"""Ends leases whose time is over and steps that waited too long; makes renewals durable."""

from collections.abc import Callable

from controlplane.core.migrations.workflow_planning import fail_waiting
from controlplane.core.model import Failure, Step
from controlplane.core.steps.leasing import overrun
from controlplane.service.agents.sessions import Sessions
from controlplane.service.steps.admission import admission, is_held
from controlplane.service.steps.advancing import advance
from controlplane.service.steps.settling import Settlement, expire
from controlplane.store.port import Store, Tx
from controlplane.store.verbs.migrations import MigrationVerbs

BATCH_MAX = 500
# A pass that comes later than this share of a lease's time shows that renewals may have waited too.
LATE_SHARE = 0.25


class LeaseReaper:
    """One pass ends what is over by now and writes renewals that only memory has."""

    def __init__(self, store: Store, clock: Callable[[], float], sessions: Sessions) -> None:
        self._store = store
        self._clock = clock
        self._sessions = sessions
        self._ran_at: float | None = None
        self._on_time_since = 0.0

    async def run(self) -> None:
        """Make one pass."""
        await self._sessions.flush()
        now = self._clock()
        blames = self._was_on_time(now)
        due = [
            (
                lease.attempt_id,
                lease.fence,
                overrun(lease, now)
                or Failure("lease_expired", f"agent {lease.agent_id} did not renew the lease in time"),
                lease.agent_id,
            )
            for lease in self._sessions.due(now)
        ]
        lock_delay_s = self._sessions.settings.lock_delay_s

        def reap(tx: Tx) -> Settlement:
            done = expire(tx, [row[:3] for row in due], now, lock_delay_s=lock_delay_s)
            admitted = admission(tx, self._sessions.offers.limits)
            for step in tx.overdue_steps(now, BATCH_MAX):
                if is_held(tx, admitted, step):
                    # No agent was asked: its wait for one begins when the limit lets its migration begin.
                    tx.wait_on(step.id, now + step.queue_s)
                    continue
                tx.apply(fail_waiting(step, _not_taken(tx, step), now))
                done.readied += advance(tx, step.migration_id, now)
            return done

        done = await self._store.write(reap)
        ended = set(done.ended)
        for attempt_id, _, failure, agent_id in due:
            if blames and attempt_id in ended and failure.code == "lease_expired":
                self._sessions.blame(agent_id)
        self._sessions.cancel(
            (agent_id, attempt_id, fence, failure.message)
            for attempt_id, fence, failure, agent_id in due
            if attempt_id in ended
        )
        if done.readied:
            self._sessions.offers.offer(done.readied)
        if due:
            self._sessions.changed.ring()

    def _was_on_time(self, now: float) -> bool:
        """Whether passes came when they should for as long as a lease lasts: else a lease may have run out because we
        were away or busy, and its host is not to blame."""
        ttl_s = self._sessions.settings.ttl_s
        if self._ran_at is None or now - self._ran_at > LATE_SHARE * ttl_s:
            self._on_time_since = now
        self._ran_at = now
        return now - self._on_time_since >= ttl_s


def _not_taken(tx: MigrationVerbs, step: Step) -> Failure:
    """The failure of a step that waited for an agent for too long."""
    migration = tx.migration(step.migration_id)
    name = migration.name if migration else step.migration_id
    return Failure(
        "queue_timeout",
        f"no agent took the step within {step.queue_s:g} s",
        f"`haulier agent list` shows who is there; `haulier migration retry {name}` lets it wait again, and meanwhile "
        f"`haulier why {name}` says what it waits for",
    )
