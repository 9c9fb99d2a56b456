"""Agents and their hosts on SQLite."""

import json
from collections.abc import Mapping

from controlplane.core.hosts import Facts, Running
from controlplane.core.model import Agent
from controlplane.core.rollouts.model import StepCounts
from controlplane.core.states import Liveness
from controlplane.store.rows.agents import agent_of, agent_row, facts_text, host_of, running_text
from controlplane.store.sqlite.statements import Statements
from controlplane.store.verbs.agents import HostRecord, SampledAgent, WatchedAgent

DAY_S = 86_400.0
# Days of a host's past that a new release is compared with.
PAST_DAYS = 7
# Boots that are remembered of one agent; a machine that was copied meets its copy within its next few boots.
_BOOTS_MAX = 16

# Looking a member up is much cheaper than making it, and ten thousand agents are looked at every second.
_LIVENESS = {each.value: each for each in Liveness}
_tuple = tuple.__new__


class SqliteAgentVerbs(Statements):
    """See ``store.verbs.agents``."""

    def agent(self, agent_id: str) -> Agent | None:
        row = self.maybe("agent", agent_id)
        return agent_of(row) if row else None

    def agent_by_name(self, name: str) -> Agent | None:
        row = self.maybe("agent_by_name", name)
        return agent_of(row) if row else None

    def agents(self) -> list[SampledAgent]:
        return [SampledAgent(agent_of(agent), sample) for *agent, sample in self.all("agents")]

    def watched_agents(self) -> list[WatchedAgent]:
        return [
            _tuple(WatchedAgent, (agent_id, _LIVENESS[liveness], heard_at))
            for agent_id, liveness, heard_at in self.all("watched_agents")
        ]

    def put_agent(self, agent: Agent, now: float) -> None:
        self.run("put_agent", *agent_row(agent, now))

    def serves(self, agent_id: str, incarnation: int) -> bool:
        return self.maybe("serves", agent_id, incarnation) is not None

    def set_cordon(self, agent_id: str, reason: str) -> None:
        self.run("set_cordon", reason, agent_id)

    def decommission(self, agent_id: str, name: str, cause: str) -> None:
        self.run("decommission_agent", name, cause, agent_id)

    def host_record(self, agent_id: str) -> HostRecord:
        row = self.maybe("host_record", agent_id)
        return host_of(row) if row else HostRecord(Facts(), Running(), {}, {})

    def host_records(self) -> dict[str, HostRecord]:
        return {agent_id: host_of(host) for agent_id, *host in self.all("host_records")}

    def put_introduced(self, agent_id: str, facts: Facts, running: Running, own_labels: Mapping[str, str]) -> None:
        labels = json.dumps(own_labels, sort_keys=True)
        self.run("put_introduced", agent_id, facts_text(facts), running_text(running), labels)

    def put_host_labels(self, agent: Agent, own: Mapping[str, str | None], effective: Mapping[str, str]) -> None:
        self.run("put_host_labels", agent.id, json.dumps(own, sort_keys=True))
        self.run("set_agent_labels", json.dumps(effective, sort_keys=True), agent.id)

    def flush_hosts(self, running: Mapping[str, Running], counts: Mapping[str, StepCounts], now: float) -> None:
        day = int(now // DAY_S)
        self.run_many("put_running", [(agent_id, running_text(each)) for agent_id, each in running.items()])
        self.run_many("add_to_day", [(agent_id, day, *counts) for agent_id, counts in counts.items()])
        self.run_many("forget_days", [(agent_id, day - 2 * PAST_DAYS) for agent_id in counts])
        self.run_many("count_after", [(*counts, agent_id) for agent_id, counts in counts.items()])

    def former_boots(self, agent_id: str) -> list[str]:
        return self.column("former_boots", agent_id)

    def leave_boot(self, agent_id: str, boot_id: str, now: float) -> None:
        self.run("leave_boot", agent_id, boot_id, now)
        self.run("trim_boots", agent_id, agent_id, _BOOTS_MAX)

    def forget_boots(self, agent_id: str) -> None:
        self.run("forget_boots", agent_id)
