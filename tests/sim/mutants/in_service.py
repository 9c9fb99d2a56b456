"""Planted in the services: what is said before it is durable, lost on the way, or granted too soon."""

from tests.sim.planting import Change, Planted

LEASING = "controlplane.core.steps.leasing"
STEPS_TX = "controlplane.store.sqlite.verbs.steps"
FLEET = "controlplane.service.agents.sessions"
OFFERS = "controlplane.service.agents.offers"
STEPS = "controlplane.service.steps.settling"
MIGRATIONS = "controlplane.service.migrations.migrations"
BOOK = "controlplane.service.steps.live_leases"
INTRODUCING = "controlplane.service.agents.hello"

PLANTED = (
    Planted(
        "acknowledged-before-durable",
        "When several results come together, they are acknowledged at once, to free the agent sooner.",
        ("C1",),
        (
            Change(
                OFFERS,
                "        def settle_and_grant(tx: Tx)",
                "        if len(outcomes) > 1:\n"
                "            session.send(ToAgent(acknowledged=[outcome.attempt_id for outcome in outcomes]))\n\n"
                "        def settle_and_grant(tx: Tx)",
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
        "An agent of another release counts its lives anew.",
        ("L2",),
        (
            Change(
                FLEET,
                "if hello.incarnation < old.agent.incarnation:",
                "if hello.incarnation < old.agent.incarnation and hello.version == old.agent.version:",
            ),
            Change(
                INTRODUCING,
                "if hello.incarnation < known.incarnation:",
                "if hello.incarnation < known.incarnation and hello.version == known.version:",
            ),
        ),
    ),
    Planted(
        "lost-grant-not-sent-again",
        "A first grant that was lost is sent again; that of a retry is left to the next retry.",
        ("L6",),
        (
            Change(
                INTRODUCING,
                "for attempt in missed])\n    return",
                "for attempt in missed if attempt.number == 1])\n    return",
            ),
        ),
    ),
    Planted(
        "drain-never-ends",
        "An agent that missed the word to resume is not told again when it says hello.",
        ("L6",),
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
                "decision = leasing.settle(step, attempt, kept, now, moved=attempt.id in moved)",
                "held = attempt.state is not AttemptState.LOST\n"
                "        attempt = attempt if held else attempt._replace(state=AttemptState.RUNNING)\n"
                "        decision = leasing.settle(step, attempt, kept, now, moved=attempt.id in moved)",
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
                "if budgets else {}",
                "if budgets and tx.live_count(agent.id) else {}",
            ),
        ),
    ),
    Planted(
        "retries-go-to-the-back",
        "A step that has failed before makes way for steps that have not.",
        ("S8",),
        (
            Change(LEASING, "return (-step.priority, len", "return (1000 * (step.attempts > 1) - step.priority, len"),
            Change("sql:candidates", "s.priority DESC,", "s.priority - 1000 * (s.attempts > 1) DESC,"),
        ),
    ),
    Planted(
        "second-tries-do-not-set-out",
        "A migration is under way from the first try of a step, so a later try need not say it again.",
        ("S8",),
        (Change(STEPS_TX, "g.attempt.direction is Direction.FORWARD}", "g.attempt.number == 1}"),),
    ),
    Planted(
        "cancelled-migrations-stay-under-way",
        "What was cancelled has not arrived anywhere.",
        ("S8", "why", "S6"),
        (
            Change(
                "sql:arrive",
                "WHERE id = ?",
                "WHERE id = ? AND id NOT IN (SELECT id FROM migration WHERE state = 'cancelled')",
            ),
        ),
    ),
    Planted(
        "nobody-is-evicted-first",
        "A step's first attempt has no predecessor, so it has nobody to evict.",
        ("S6",),
        (
            Change(
                STEPS,
                "fresh = attempt.number == 1 and attempt.fence & 0xFFFFFFFF == 1",
                "fresh = attempt.number == 1",
            ),
        ),
    ),
    Planted(
        "repeat-of-a-request-answered-anew",
        "A start that is asked again under the same request id is looked at with fresh eyes.",
        ("L6",),
        (
            Change(
                MIGRATIONS,
                "if before is not None:\n                return _acted_from",
                "if before is not None and not before:\n                return _acted_from",
            ),
            Change("sql:keep_answer", "INSERT INTO request", "INSERT OR REPLACE INTO request"),
        ),
    ),
    Planted(
        "stuck-without-its-event",
        "When the last try of an undo expires, the log says so; that the step is stuck is plain from that.",
        ("C3",),
        (
            Change(
                STEPS,
                "        changes = leasing.expire(step, attempt, failure, now, lock_delay_s=lock_delay_s)\n",
                "        changes = leasing.expire(step, attempt, failure, now, lock_delay_s=lock_delay_s)\n"
                "        if changes.step_moves[0].to_state is StepState.STUCK:\n"
                "            changes.events.pop()\n",
            ),
        ),
    ),
)
