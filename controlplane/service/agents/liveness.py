"""What is believed of agents at this moment.

The store keeps the last verdict; between two passes of the watcher, or while the store takes no write, it may be out of
date, while this process knows when it heard each agent last.
"""

from collections import Counter
from dataclasses import replace

from controlplane.core.agents.liveness import Verdict, judge
from controlplane.core.model import Agent
from controlplane.core.states import Liveness
from controlplane.service.agents.sessions import Sessions
from controlplane.store.verbs.agents import AgentVerbs


def verdict_on(sessions: Sessions, agent_id: str, liveness: Liveness, heard_at: float, now: float) -> Verdict | None:
    """Return the new verdict on an agent whose stored one is given; None when nothing changes."""
    session = sessions.by_agent.get(agent_id)
    settings = sessions.settings
    return judge(
        liveness,
        stream_open=session is not None,
        # Agents could not reach us while we were away: silence counts from our start.
        silent_s=now - max(session.heard_at if session else heard_at, sessions.began_at),
        heartbeat_s=settings.heartbeat_s,
        grace_s=settings.heartbeat_grace_s,
        lost_after_s=settings.lost_after_s,
    )


def as_heard(sessions: Sessions, agent: Agent, now: float) -> Agent:
    """Return an agent with what is believed of it now, and when it was heard last."""
    session = sessions.by_agent.get(agent.id)
    verdict = verdict_on(sessions, agent.id, agent.liveness, agent.heard_at, now)
    if session is not None:
        agent = replace(agent, heard_at=max(agent.heard_at, session.heard_at))
    return agent if verdict is None else replace(agent, liveness=verdict.liveness, liveness_cause=verdict.cause)


def by_liveness(tx: AgentVerbs, sessions: Sessions, now: float) -> dict[str, int]:
    """Count agents that are not gone by what is believed of them now."""
    counts: Counter[str] = Counter()
    for agent_id, stored, heard_at in tx.watched_agents():
        verdict = verdict_on(sessions, agent_id, stored, heard_at, now)
        counts[stored if verdict is None else verdict.liveness] += 1
    return dict(counts)
