"""Turns silence into a verdict with a cause."""

from collections.abc import Callable
from dataclasses import replace

from controlplane.core.events import Event
from controlplane.core.liveness import Verdict, judge
from controlplane.core.states import Liveness
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
        watched = await self._store.read(lambda tx: tx.watched_agents())
        # Nearly all of perhaps ten thousand are alive and were heard lately: of these there is nothing to judge.
        late_s = self._fleet.settings.late_s
        well = {agent_id for agent_id, session in self._fleet.sessions.items() if now - session.heard_at < late_s}
        changed = [
            each
            for each, liveness, at in watched
            if not (liveness is Liveness.ALIVE and each in well) and self._judge(each, liveness, at, now) is not None
        ]
        if not changed:
            return

        def record(tx: Tx) -> None:
            for agent_id in changed:
                agent = tx.agent(agent_id)
                verdict = self._judge(agent.id, agent.liveness, agent.heard_at, now) if agent is not None else None
                if agent is None or verdict is None:
                    continue
                tx.put_agent(replace(agent, liveness=verdict.liveness, liveness_cause=verdict.cause), now)
                tx.record([Event(now, verdict.event, agent.id, agent_id=agent.id, detail=verdict.cause)])

        await self._store.write(record)
        self._fleet.changed.ring()

    def _judge(self, agent_id: str, liveness: Liveness, heard_at: float, now: float) -> Verdict | None:
        session = self._fleet.sessions.get(agent_id)
        heard_at = session.heard_at if session else heard_at
        assert self._began_at is not None, "run has set it"
        settings = self._fleet.settings
        return judge(
            liveness,
            stream_open=session is not None,
            silent_s=now - max(heard_at, self._began_at),
            heartbeat_s=settings.heartbeat_s,
            grace_s=settings.heartbeat_grace_s,
            lost_after_s=settings.lost_after_s,
        )
