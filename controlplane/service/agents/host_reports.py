"""What hosts told since the last flush: their releases, and what their steps came to.

It is only here until the next flush, so a crash of the control plane may lose a second of it: a host says its release
again with its next hello, and a gate waits for one more step.
"""

import math
from collections.abc import Iterable, Sequence

from controlplane.core.hosts import Facts, Running
from controlplane.core.model import Outcome
from controlplane.core.rollouts.model import StepCounts
from controlplane.core.states import AttemptState
from controlplane.core.steps.leasing import NO_FREE_SLOT

# Ends of an attempt that say nothing of its host: a start or a stop, or a refusal of what was on its way then.
NOBODYS = frozenset({"agent_starting", "agent_stopping", NO_FREE_SLOT})


class HostReports:
    """Reports by agent, held in memory until ``take_flush`` hands them on."""

    def __init__(self) -> None:
        self.running: dict[str, Running] = {}  # of every agent heard since the start
        self.facts: dict[str, Facts] = {}
        self.rss_bytes: dict[str, int] = {}  # as last sampled: the daemon and its children
        self._told: set[str] = set()
        self._counts: dict[str, StepCounts] = {}

    def introduced(self, agent_id: str, facts: Facts, running: Running) -> None:
        """Take in what a hello said, which is durable already."""
        self.facts[agent_id] = facts
        self.running[agent_id] = running

    def told(self, agent_id: str, running: Running) -> bool:
        """Take in what a heartbeat says of the host's release; tell whether it is news."""
        if self.running.get(agent_id) == running:
            return False
        self.running[agent_id] = running
        self._told.add(agent_id)
        return True

    def forget(self, agent_id: str) -> None:
        """Forget an agent that has gone for good."""
        self.running.pop(agent_id, None)
        self.facts.pop(agent_id, None)
        self.rss_bytes.pop(agent_id, None)
        self._told.discard(agent_id)
        self._counts.pop(agent_id, None)

    def ended(self, agent_id: str, outcomes: Sequence[Outcome], settled: Iterable[str]) -> None:
        """Count attempts that ended by their agent's word."""
        durable = set(settled)
        for outcome in outcomes:
            if outcome.attempt_id in durable and (counted := _counts_of(outcome)) is not None:
                self._counts[agent_id] = self._counts.get(agent_id, StepCounts()).plus(counted)

    def lost(self, agent_id: str) -> None:
        """Count an attempt whose lease its agent let expire."""
        self._counts[agent_id] = self._counts.get(agent_id, StepCounts()).plus(StepCounts(ended=1, failed=1))

    def take_flush(self) -> tuple[dict[str, Running], dict[str, StepCounts]]:
        """Return what is new since the last flush."""
        running = {agent_id: self.running[agent_id] for agent_id in self._told}
        counts, self._counts = self._counts, {}
        self._told = set()
        return running, counts


def _counts_of(outcome: Outcome) -> StepCounts | None:
    failed = outcome.state is AttemptState.FAILED
    if not failed and outcome.state is not AttemptState.SUCCEEDED:
        return None
    if failed and outcome.failure is not None and outcome.failure.code in NOBODYS:
        return None
    if outcome.use.wall_s <= 0.0 or failed:
        return StepCounts(ended=1, failed=int(failed))
    log = math.log(outcome.use.wall_s)
    return StepCounts(1, 0, 1, log, log * log)
