"""Turns silence into a verdict with a cause."""

from collections.abc import Callable
from dataclasses import replace

from controlplane.core.events import Event
from controlplane.core.states import Liveness
from controlplane.service.agents.liveness import verdict_on
from controlplane.service.agents.sessions import Sessions
from controlplane.store.port import Store, Tx


class AgentWatcher:
    """One pass judges every agent by the time since it was heard."""

    def __init__(self, store: Store, clock: Callable[[], float], sessions: Sessions) -> None:
        self._store = store
        self._clock = clock
        self._sessions = sessions

    async def run(self) -> None:
        """Make one pass."""
        now = self._clock()
        watched = await self._store.read(lambda tx: tx.watched_agents())
        # Nearly all of perhaps ten thousand are alive and were heard lately: of these there is nothing to judge.
        well = self._sessions.heard_lately(now)
        changed = [
            each
            for each, liveness, at in watched
            if not (liveness is Liveness.ALIVE and each in well)
            and verdict_on(self._sessions, each, liveness, at, now) is not None
        ]
        if not changed:
            return

        def record(tx: Tx) -> None:
            for agent_id in changed:
                agent = tx.agent(agent_id)
                if agent is None:
                    continue
                verdict = verdict_on(self._sessions, agent.id, agent.liveness, agent.heard_at, now)
                if verdict is None:
                    continue
                tx.put_agent(replace(agent, liveness=verdict.liveness, liveness_cause=verdict.cause), now)
                tx.record([Event(now, verdict.event, agent.id, agent_id=agent.id, detail=verdict.cause)])

        await self._store.write(record)
        self._sessions.changed.ring()
