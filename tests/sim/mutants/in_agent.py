"""Planted in the agent: effects before their intent is on disk, outcomes told too early, deadlines too far away."""

from tests.sim.planting import Change, Planted

AGENT = "agentd.core.agent"
SESSIONS = "agentd.core.sessions"
KEEPING = "agentd.core.lease_keeping"
TRANSLATE = "agentd.link.translate"

PLANTED = (
    Planted(
        "unknown-kind-refused-for-good",
        "A kind that is not among those of this host cannot run here, however young the daemon is.",
        ("L6",),
        (Change(AGENT, "if self.capabilities.kinds_known and grant.kind", "if grant.kind"),),
    ),
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
                SESSIONS,
                "results = tuple(held.sending(now) for held in self._held.values() if held.recorded)",
                "results = tuple(held.sending(now) for held in self._held.values() if held.outcome)",
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
        "renewal-with-slack",
        "A renewal is taken for a little longer than it says, because it was asked for before that.",
        ("L5",),
        (Change(TRANSLATE, "message.fence, message.ttl_s, message", "message.fence, message.ttl_s + 5.0, message"),),
    ),
    Planted(
        "started-anew-after-a-restart",
        "A child that cannot be adopted is started again by the attempt's next slot.",
        ("L2", "S2"),
        (
            Change(
                AGENT,
                "                held.go(AttemptState.STARTING)\n"
                "                done.append(effects.AdoptChild(found.grant, "
                "found.may_begin(self.identity.boot_id)))\n",
                "                if found.grant.number == 1:\n"
                "                    held.go(AttemptState.STARTING)\n"
                "                    done.append(effects.AdoptChild(found.grant))\n",
            ),
        ),
    ),
    Planted(
        "begun-again-after-a-boot",
        "An attempt of which no process is found begins, also where the host has booted since its grant.",
        ("L2",),
        (Change(AGENT, "found.may_begin(self.identity.boot_id)", "True"),),
    ),
)
