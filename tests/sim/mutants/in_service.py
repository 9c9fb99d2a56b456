"""Planted in the services: what is said before it is durable, lost on the way, or granted too soon."""

from tests.sim.planting import Change, Planted

FLEET = "controlplane.service.fleet"
STEPS = "controlplane.service.steps"
MIGRATIONS = "controlplane.service.migrations"
BOOK = "controlplane.service.lease_book"

PLANTED = (
    Planted(
        "acknowledged-before-durable",
        "Results are acknowledged at once, to free the agent sooner; the commit follows.",
        ("C1",),
        (
            Change(
                FLEET,
                "        settled, granted = await self._store.write(settle_and_grant)\n",
                "        session.send(ToAgent(acknowledged=[outcome.attempt_id for outcome in outcomes]))\n"
                "        settled, granted = await self._store.write(settle_and_grant)\n",
            ),
        ),
    ),
    Planted(
        "renewed-after-expiry",
        "A heartbeat that comes a little late is forgiven.",
        ("L2",),
        (
            Change(
                BOOK,
                "incarnation=incarnation, now=now, ttl_s=ttl_s)",
                "incarnation=incarnation, now=min(now, lease.expires_at - 0.001), ttl_s=ttl_s)",
            ),
        ),
    ),
    Planted(
        "older-incarnation-welcomed",
        "Whoever shows the certificate is welcome, also an old copy of the daemon.",
        ("L2",),
        (
            Change(FLEET, "if hello.incarnation < old.agent.incarnation:", "if hello.incarnation < 0:"),
            Change(FLEET, "if hello.incarnation < known.incarnation:", "if hello.incarnation < 0:"),
        ),
    ),
    Planted(
        "no-grace-after-restart",
        "After a restart leases end when the store says, although nobody could renew them.",
        ("C1",),
        (
            Change(
                FLEET,
                "        grace_until = now + self.settings.ttl_s\n\n        def load",
                "        grace_until = now\n\n        def load",
            ),
        ),
    ),
    Planted(
        "lost-grant-not-sent-again",
        "A hello is compared with what the agent holds, but a lease it never received is left to expire.",
        ("L6",),
        (
            Change(
                FLEET,
                "    again = equip(tx, [(attempt, steps[attempt.step_id]) for attempt in missed])\n",
                "    again = equip(tx, [(attempt, steps[attempt.step_id]) for attempt in missed if attempt.number < 1])\n",
            ),
        ),
    ),
    Planted(
        "overtaken-stream-lives-on",
        "When a second stream of an agent takes over, the first is forgotten but not ended.",
        ("L6", "why", "S6"),
        (Change(FLEET, "        self._forget(session)\n        session.end()\n", "        self._forget(session)\n"),),
    ),
    Planted(
        "drain-never-ends",
        "An agent that missed the word to resume is not told again when it says hello.",
        ("resumed",),
        (Change(FLEET, "resume = hello.draining and drain is None", "resume = False"),),
    ),
    Planted(
        "lock-delay-skipped",
        "Where no fence is checked, the successor starts as soon as the lease is over.",
        ("L7", "L5"),
        (Change(STEPS, "now - terms.lock_delay_s", "now"),),
    ),
    Planted(
        "late-success-accepted",
        "A result that comes after its lease was lost is still good work, so it is taken.",
        ("L4", "C", "C3", "L2", "S1"),
        (
            Change(
                STEPS,
                "decision = leasing.settle(step, attempt, outcome, now)",
                "held = attempt.state is not AttemptState.LOST\n"
                "        attempt = attempt if held else attempt._replace(state=AttemptState.RUNNING)\n"
                "        decision = leasing.settle(step, attempt, outcome, now)",
            ),
            Change("sql:end_attempt", "AND state = 'running'", "AND state IN ('running', 'lost')"),
        ),
    ),
    Planted(
        "budget-of-this-agent-only",
        "A datastore's budget is compared with the leases counted before the last hand-out, when there were none here.",
        ("budget",),
        (
            Change(
                STEPS,
                "if terms.budgets else {}",
                "if terms.budgets and tx.live_count(agent.id) else {}",
            ),
        ),
    ),
    Planted(
        "nobody-is-evicted-first",
        "A step's first attempt has no predecessor, so it has nobody to evict.",
        ("S6",),
        (
            Change(
                STEPS, "fresh = attempt.number == 1 and attempt.fence & 0xFFFFFFFF == 1", "fresh = attempt.number == 1"
            ),
        ),
    ),
    Planted(
        "renewal-with-slack",
        "A renewal says a little more than the lease has, for the time it is under way.",
        ("L5",),
        (
            Change(
                FLEET,
                "answer.renewals.append((item.attempt_id, item.fence, self.settings.ttl_s, sequence))",
                "slack_s = self.settings.heartbeat_s\n"
                "                answer.renewals.append(\n"
                "                    (item.attempt_id, item.fence, self.settings.ttl_s + slack_s, sequence)\n"
                "                )",
            ),
        ),
    ),
    Planted(
        "repeat-of-a-request-answered-anew",
        "A start that is asked again under the same request id is looked at with fresh eyes.",
        ("L6",),
        (
            Change(
                MIGRATIONS, "            if before is not None:\n", "            if before is not None and not names:\n"
            ),
        ),
    ),
    Planted(
        "undo-does-not-free-its-needs",
        "The short way out of the hot path is taken on the way back too.",
        ("S6",),
        (
            Change(
                STEPS,
                "if step.direction is Direction.UNDO or not tx.holds_nothing(",
                "if not tx.holds_nothing(",
            ),
        ),
    ),
    Planted(
        "expiry-without-its-second-event",
        "The log says that the lease expired; what became of the step is plain from that.",
        ("C3",),
        (
            Change(
                STEPS,
                "        changes = leasing.expire(step, attempt, failure, now, lock_delay_s=lock_delay_s)\n",
                "        changes = leasing.expire(step, attempt, failure, now, lock_delay_s=lock_delay_s)\n"
                "        changes.events.pop()\n",
            ),
        ),
    ),
)
