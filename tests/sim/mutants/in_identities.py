"""Planted where identities are taken away: something of what they opened is left over."""

from tests.sim.planting import Change, Planted

IDENTITIES = "controlplane.service.access.identities"
INTRODUCING = "controlplane.service.agents.hello"

PLANTED = (
    Planted(
        "revoked-keeps-its-leases",
        "An agent that loses its identity is cut off; its leases will run out by themselves.",
        ("A1",),
        (
            Change(
                IDENTITIES,
                "for attempt in tx.live_of_agent(agent.id)]",
                "for attempt in tx.live_of_agent(agent.id) if attempt.number > 99]",
            ),
        ),
    ),
    Planted(
        "restart-forgets-revocations",
        "Who is barred is in memory, where every call looks it up.",
        ("A1",),
        (
            Change(IDENTITIES, "for agent in agents if agent.state in AGENT_BARRED}", "for agent in ()}"),
            Change(INTRODUCING, "if known.state in AGENT_BARRED:", "if known.state in ():"),
        ),
    ),
    Planted(
        "revoked-stream-stays",
        "A revoked agent's next call is refused; the stream that is open ends by itself.",
        ("A1", "L2", "C1", "L6", "why"),
        (
            Change(IDENTITIES, "        self.streams.end(agent_id, why)\n", ""),
            Change(
                IDENTITIES,
                "        self._sessions.expel(agent_id, ended.ended, ended.readied)\n",
                "        self._sessions.book.remove(ended.ended)\n        self._sessions.offers.offer(ended.readied)\n",
            ),
        ),
    ),
)
