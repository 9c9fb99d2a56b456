"""Rollouts on SQLite."""

from collections.abc import Sequence

from controlplane.core.rollouts.model import HostState, Rollout, RolloutChanges, RolloutHost
from controlplane.store.port import Conflict
from controlplane.store.rows.rollouts import (
    rollout_host_move_row,
    rollout_host_of,
    rollout_host_row,
    rollout_move_row,
    rollout_of,
    rollout_row,
)
from controlplane.store.sqlite.statements import Statements
from controlplane.store.sqlite.verbs.agents import DAY_S, PAST_DAYS
from controlplane.store.verbs.rollouts import WaveCount


class SqliteRolloutVerbs(Statements):
    """See ``store.verbs.rollouts``."""

    def rollout(self, rollout_id: str) -> Rollout | None:
        row = self.maybe("rollout", rollout_id)
        return rollout_of(row) if row else None

    def rollouts(self, fleet: str, limit: int) -> list[Rollout]:
        return [rollout_of(row) for row in self.all("rollouts", fleet, fleet, limit)]

    def watched_rollouts(self) -> list[Rollout]:
        return [rollout_of(row) for row in self.all("watched_rollouts")]

    def rollout_hosts(self, rollout_id: str) -> list[RolloutHost]:
        return [rollout_host_of(row) for row in self.all("rollout_hosts", rollout_id)]

    def rollout_counts(self, rollout_id: str) -> list[WaveCount]:
        return [
            WaveCount(wave, HostState(state), hosts, asked)
            for wave, state, hosts, asked in self.all("rollout_counts", rollout_id)
        ]

    def insert_rollout(self, rollout: Rollout, hosts: Sequence[RolloutHost]) -> None:
        self.run("insert_rollout", *rollout_row(rollout))
        self.run_many("insert_rollout_host", [rollout_host_row(rollout.id, host) for host in hosts])

    def save_rollout(self, changes: RolloutChanges, now: float) -> None:
        rollout = changes.rollout
        if self.run("move_rollout", *rollout_move_row(rollout)) != 1:
            raise Conflict(f"rollout {rollout.id} was decided on meanwhile")
        rows = [rollout_host_move_row(rollout.id, before, host) for before, host in changes.hosts]
        if rows and self.run_many("move_rollout_host", rows) != len(rows):
            raise Conflict(f"a host of rollout {rollout.id} was moved meanwhile")
        since = int(now // DAY_S) - PAST_DAYS
        asked = [
            (since, rollout.id, host.agent_id)
            for before, host in changes.hosts
            if before is HostState.WAITING and host.state is HostState.ASKED
        ]
        self.run_many("note_past", asked)
        cleared = [
            (rollout.id, host.agent_id)
            for before, host in changes.hosts
            if before is host.state and not any(host.after)
        ]
        self.run_many("clear_after", cleared)
