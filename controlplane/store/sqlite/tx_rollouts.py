"""The part of a transaction that keeps hosts and rollouts."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.core.model import Agent, Requirements
from controlplane.core.rollouts.model import Facts, HostState, Rollout, RolloutChanges, RolloutHost, Running, Tally
from controlplane.core.steps.placement import from_text
from controlplane.store.hosts import Backlog, HostRecord
from controlplane.store.port import Conflict
from controlplane.store.rollout_rows import (
    facts_of,
    facts_text,
    rollout_host_move_row,
    rollout_host_of,
    rollout_host_row,
    rollout_move_row,
    rollout_of,
    rollout_row,
    running_of,
    running_text,
)
from controlplane.store.sqlite.tx_records import RecordsTx

DAY_S = 86_400.0
# Days of a host's past that a new release is compared with.
PAST_DAYS = 7


class RolloutsTx(RecordsTx):
    """See ``store.hosts.HostVerbs``."""

    def host_record(self, agent_id: str) -> HostRecord:
        """Return what is kept of a host; of one that never said anything, nothing."""
        row = self.maybe("host_record", agent_id)
        return _record_of(row) if row else HostRecord(Facts(), Running(), {}, {})

    def host_records(self) -> dict[str, HostRecord]:
        """Return what is kept of every host by agent id."""
        return {row[0]: _record_of(row[1:]) for row in self.all("host_records")}

    def put_introduced(self, agent_id: str, facts: Facts, running: Running, own_labels: Mapping[str, str]) -> None:
        """Keep what a host says of itself in its hello."""
        labels = json.dumps(own_labels, sort_keys=True)
        self.run("put_introduced", agent_id, facts_text(facts), running_text(running), labels)

    def put_host_labels(self, agent: Agent, own: Mapping[str, str | None], effective: Mapping[str, str]) -> None:
        """Keep the labels that an operator put over a host's own, and those that placement looks at from now on."""
        self.run("put_host_labels", agent.id, json.dumps(own, sort_keys=True))
        self.run("set_agent_labels", json.dumps(effective, sort_keys=True), agent.id)

    def set_cordon(self, agent_id: str, reason: str) -> None:
        """Keep why an agent is given no new work; empty when it is given some again."""
        self.run("set_cordon", reason, agent_id)

    def decommission(self, agent_id: str, name: str, cause: str) -> None:
        """Mark an agent as gone, under another name."""
        self.run("decommission_agent", name, cause, agent_id)

    def flush_hosts(self, running: Mapping[str, Running], tallies: Mapping[str, Tally], now: float) -> None:
        """Make durable what heartbeats and results told of hosts."""
        day = int(now // DAY_S)
        sql, many = self.sql, self.connection.executemany
        many(sql["put_running"], [(agent_id, running_text(each)) for agent_id, each in running.items()])
        many(sql["add_to_day"], [(agent_id, day, *tally) for agent_id, tally in tallies.items()])
        many(sql["forget_days"], [(agent_id, day - 2 * PAST_DAYS) for agent_id in tallies])
        many(sql["count_after"], [(*tally, agent_id) for agent_id, tally in tallies.items()])

    def rollout(self, rollout_id: str) -> Rollout | None:
        """Return one rollout."""
        row = self.maybe("rollout", rollout_id)
        return rollout_of(row) if row else None

    def rollouts(self, fleet: str, limit: int) -> list[Rollout]:
        """Return the rollouts of a fleet, or of all when it is empty, newest first."""
        return [rollout_of(row) for row in self.all("rollouts", fleet, fleet, limit)]

    def watched_rollouts(self) -> list[Rollout]:
        """Return the rollouts that a look may move on, oldest first."""
        return [rollout_of(row) for row in self.all("watched_rollouts")]

    def rollout_hosts(self, rollout_id: str) -> list[RolloutHost]:
        """Return every host's part in a rollout, by wave."""
        return [rollout_host_of(row) for row in self.all("rollout_hosts", rollout_id)]

    def rollout_counts(self, rollout_id: str) -> list[tuple[int, str, int, int]]:
        """Return (wave, state, hosts, of them asked)."""
        return [(wave, state, hosts, asked) for wave, state, hosts, asked in self.all("rollout_counts", rollout_id)]

    def insert_rollout(self, rollout: Rollout, hosts: Sequence[RolloutHost]) -> None:
        """Keep a new rollout with its hosts."""
        self.run("insert_rollout", *rollout_row(rollout))
        rows = [rollout_host_row(rollout.id, host) for host in hosts]
        self.connection.executemany(self.sql["insert_rollout_host"], rows)

    def save_rollout(self, changes: RolloutChanges, now: float) -> None:
        """Write a decision; raise ``Conflict`` when there was another one since it was made."""
        rollout = changes.rollout
        if self.run("move_rollout", *rollout_move_row(rollout)) != 1:
            raise Conflict(f"rollout {rollout.id} was decided on meanwhile")
        rows = [rollout_host_move_row(rollout.id, before, host) for before, host in changes.hosts]
        if rows and self.connection.executemany(self.sql["move_rollout_host"], rows).rowcount != len(rows):
            raise Conflict(f"a host of rollout {rollout.id} was moved meanwhile")
        since = int(now // DAY_S) - PAST_DAYS
        asked = [
            (since, rollout.id, host.agent_id)
            for before, host in changes.hosts
            if before is HostState.WAITING and host.state is HostState.ASKED
        ]
        self.connection.executemany(self.sql["note_past"], asked)
        cleared = [
            (rollout.id, host.agent_id)
            for before, host in changes.hosts
            if before is host.state and not any(host.after)
        ]
        self.connection.executemany(self.sql["clear_after"], cleared)

    def backlog(self) -> list[Backlog]:
        """Return ready steps and live leases of each placement class."""
        return [Backlog(name, _needs(text), *rest) for name, text, *rest in self.all("backlog")]


def _record_of(row: Sequence[Any]) -> HostRecord:
    facts, running, own_labels, labels = row
    return HostRecord(facts_of(facts), running_of(running), json.loads(own_labels), json.loads(labels))


def _needs(text: str) -> Requirements:
    return from_text(text)
