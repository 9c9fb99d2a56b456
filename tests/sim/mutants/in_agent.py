"""Planted in the agent: effects before their intent is on disk, outcomes told too early, deadlines that reach too far."""

from tests.sim.planting import Change, Planted

AGENT = "agentd.core.agent"
KEEPING = "agentd.core.lease_keeping"
JOURNAL = "agentd.journal.journal"
TRANSLATE = "agentd.link.translate"

PLANTED = (
    Planted(
        "started-before-journalled",
        "A slot that comes free takes the next grant, whether or not its intent is on disk yet.",
        ("S2",),
        (
            Change(
                AGENT,
                "if free > 0 and held.state is AttemptState.GRANTED and held.journalled:",
                "if free > 0 and held.state is AttemptState.GRANTED:",
            ),
        ),
    ),
    Planted(
        "told-before-recorded",
        "A new session reports every outcome that is known, also one whose write is still under way.",
        ("S2",),
        (
            Change(
                AGENT,
                "results = tuple(self._sending(held, now) for held in self.held.values() if held.recorded)",
                "results = tuple(self._sending(held, now) for held in self.held.values() if held.outcome)",
            ),
        ),
    ),
    Planted(
        "deadline-from-the-answer",
        "The local deadline counts from the newest message sent, not from the one that asked.",
        ("L5",),
        (
            Change(
                KEEPING,
                "        return self._sent_at.get(sequence)\n",
                "        return max(self._sent_at.values(), default=None) if sequence in self._sent_at else None\n",
            ),
        ),
    ),
    Planted(
        "deadline-of-the-whole-term",
        "The agent relies on its lease to the last moment.",
        ("L5",),
        (Change(KEEPING, "KEEP_FRACTION = 0.9", "KEEP_FRACTION = 1.05"),),
    ),
    Planted(
        "outcome-of-a-refused-grant-lost",
        "The journal keeps an outcome only where it has the grant.",
        ("S2", "C1"),
        (
            Change(
                JOURNAL,
                '                "insert or ignore into attempts values (?, ?)",\n',
                '                "insert or ignore into attempts select ?, ? where 0",\n',
            ),
        ),
    ),
    Planted(
        "stopped-children-are-started-again",
        "After a restart, an attempt whose child is gone is run anew under the same lease.",
        ("L2", "S2"),
        (
            Change(
                AGENT,
                "                done.append(effects.AdoptChild(found.grant))",
                "                done.append(effects.StartChild(found.grant))",
            ),
        ),
    ),
)
