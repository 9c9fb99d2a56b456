"""Turns silence into a verdict with a cause."""

from collections.abc import Callable
from dataclasses import replace

from controlplane.core.events import Event
from controlplane.core.liveness import Verdict, judge
from controlplane.core.model import Agent
from controlplane.service.fleet import Fleet
from controlplane.store.port import Store, Tx


class AgentWatcher:
    """See the module."""

    def __init__(self, store: Store, clock: Callable[[], float], fleet: Fleet) -> None:
        self._store = store
        self._clock = clock
        self._fleet = fleet
        self._began_at: float | None = None

    async def run(self) -> None:
        """Make one pass."""
        now = self._clock()
        if self._began_at is None:
            # Agents could not reach us while we were away: silence counts from our start.
            self._began_at = now
        agents = await self._store.read(
            lambda tx: [agent for agent, _ in tx.agents() if self._judge(agent, now) is not None]
        )
        if not agents:
            return

        def record(tx: Tx) -> None:
            for candidate in agents:
                agent = tx.agent(candidate.id)
                verdict = self._judge(agent, now) if agent is not None else None
                if agent is None or verdict is None:
                    continue
                tx.put_agent(replace(agent, liveness=verdict.liveness, liveness_cause=verdict.cause), now)
                tx.record([Event(now, verdict.event, agent.id, agent_id=agent.id, detail=verdict.cause)])

        await self._store.write(record)
        self._fleet.changed.ring()

    def _judge(self, agent: Agent, now: float) -> Verdict | None:
        session = self._fleet.sessions.get(agent.id)
        heard_at = session.heard_at if session else agent.heard_at
        assert self._began_at is not None, "run has set it"
        settings = self._fleet.settings
        return judge(
            agent.liveness,
            stream_open=session is not None,
            silent_s=now - max(heard_at, self._began_at),
            heartbeat_s=settings.heartbeat_s,
            grace_s=settings.heartbeat_grace_s,
            lost_after_s=settings.lost_after_s,
        )
