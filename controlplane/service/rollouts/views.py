"""Rollouts as people see them: snapshots that no decision is made on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from controlplane.core.rollouts.drafting import may_now, runs, why_not
from controlplane.core.rollouts.model import Host, HostState, Rollout, RolloutHost, RolloutState
from controlplane.service.rollouts.rollouts import Rollouts, find
from controlplane.store.port import Store, Tx
from controlplane.store.verbs.rollouts import RolloutVerbs

# In one of these a rollout moves on only by a person's decision, or not at all.
AT_REST = frozenset({RolloutState.HALTED, RolloutState.CANCELLED, RolloutState.SUCCEEDED, RolloutState.ROLLED_BACK})


@dataclass(frozen=True, slots=True)
class RolloutSummary:
    """One rollout with its hosts counted: wave → state → hosts."""

    rollout: Rollout
    waves: Mapping[int, Mapping[str, int]]
    asked: int
    trouble: str


@dataclass(frozen=True, slots=True)
class HostPart:
    """One host's part with what it is now; None: it has gone for good."""

    row: RolloutHost
    host: Host | None
    hold: str  # code of why it waits


class RolloutViews:
    """Rollouts with their hosts counted, and each host's part."""

    def __init__(self, store: Store, clock: Callable[[], float], rollouts: Rollouts) -> None:
        self._store = store
        self._clock = clock
        self._rollouts = rollouts

    def now(self) -> float:
        """Return the instant by the control plane's clock."""
        return self._clock()

    async def summary(self, subject: str) -> RolloutSummary:
        """Return a rollout by id, or the newest of a Fleet. Raises ``NotFound``."""
        return await self._store.read(lambda tx: self._summary(tx, find(tx, subject)))

    async def summaries(self, fleet: str, limit: int) -> list[RolloutSummary]:
        """Return rollouts of a Fleet, or all, newest first."""
        return await self._store.read(lambda tx: [self._summary(tx, each) for each in tx.rollouts(fleet, limit)])

    async def of(self, rollout: Rollout) -> RolloutSummary:
        """Return the summary of a rollout that was read before."""
        return await self._store.read(lambda tx: self._summary(tx, rollout))

    async def hosts(self, subject: str) -> Sequence[HostPart]:
        """Return every host's part, in order of wave. Raises ``NotFound``."""
        now = self._clock()

        def load(tx: Tx) -> list[HostPart]:
            rollout = find(tx, subject)
            rows = tx.rollout_hosts(rollout.id)
            hosts = self._rollouts.hosts.of(tx, [row.agent_id for row in rows], now, rollout.policy.time_zone, {})
            return [
                HostPart(row, host, _hold(row, host, rollout, now))
                for row in rows
                for host in [hosts.get(row.agent_id)]
            ]

        return await self._store.read(load)

    def _summary(self, tx: RolloutVerbs, rollout: Rollout) -> RolloutSummary:
        waves: dict[int, dict[str, int]] = {number: {} for number in range(len(rollout.policy.waves) + 1)}
        asked = 0
        for wave, state, hosts, of_them in tx.rollout_counts(rollout.id):
            waves[wave][state] = hosts
            asked += of_them
        moving = rollout.state not in AT_REST
        return RolloutSummary(rollout, waves, asked, self._rollouts.healthy.trouble(self._clock()) if moving else "")


def _hold(row: RolloutHost, host: Host | None, rollout: Rollout, now: float) -> str:
    if row.state is not HostState.WAITING:
        return ""
    if host is not None and runs(host, rollout):
        return "already"
    told = why_not(host, rollout)
    if told or host is None:
        return told
    return "" if may_now(host, rollout.policy, now) else "window"
