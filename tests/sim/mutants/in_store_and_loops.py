"""Planted in the store and the loops: guards that are missing, failures that look like success, waits without end."""

from tests.sim.planting import Change, Planted

BATCHER = "controlplane.store.sqlite.batcher"
TRANSLATE = "controlplane.rpc.agents.translate"
REAPER = "controlplane.loops.lease_reaper"

PLANTED = (
    Planted(
        "failed-commit-answered-as-done",
        "When the disk refuses the commit, the calls are answered with what they computed.",
        ("C1", "L1"),
        (Change(BATCHER, "return [Answer(None, _failed(error)) for _ in answers]", "return answers"),),
    ),
    Planted(
        "outage-never-forgotten",
        "When an outage is over, the store keeps when it began: the next one begins then.",
        ("S9",),
        (Change("sql:move_step", "unreachable_since = ?,", "unreachable_since = coalesce(?, unreachable_since),"),),
    ),
    Planted(
        "outage-without-end",
        "A second try that meets the outage makes the store forget when it began, so that it never lasts too long.",
        ("S6",),
        (Change("sql:move_step", "unreachable_since = ?,", "unreachable_since = iif(unreachable_since, NULL, ?),"),),
    ),
    Planted(
        "outage-lost-on-the-wire",
        "An agent's word that what it needs is away is read only where the failure is final, which it never is.",
        ("S9",),
        (Change(TRANSLATE, "said.retryable, said.unreachable", "said.retryable, said.unreachable > said.retryable"),),
    ),
    Planted(
        "failed-steps-left-nothing",
        "A step that has failed for good is no longer noted as one that may have left something behind.",
        ("S5", "S1"),
        (Change("sql:move_step", "SET state = ?,", "SET state = ?, touched = touched AND ?1 <> 'failed',"),),
    ),
    Planted(
        "fence-of-undo-not-raised",
        "An undo writes under the fence of the work that it undoes, where that took more than two tries.",
        ("L1",),
        (
            Change(
                "sql:candidates",
                "coalesce(t.fence, 0)",
                "coalesce(t.fence, 0) - (s.direction = 'undo' AND s.attempts > 2)",
            ),
            Change("sql:raise_fence", "target.fence < excluded.fence", "target.fence <= excluded.fence"),
        ),
    ),
    Planted(
        "busy-target-offered",
        "Candidates are looked for without asking whether their target has a live writer.",
        ("L2", "L4"),
        (
            Change(
                "sql:candidates",
                "AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.target = s.target AND a.state = 'running')",
                "AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.step_id = s.id AND a.state = 'running')",
            ),
        ),
    ),
    Planted(
        "failures-are-not-counted",
        "A step goes back to ready without the number of its failures.",
        ("S6",),
        (Change("sql:move_step", "failures = ?", "failures = min(?, 0)"),),
    ),
    Planted(
        "waiting-has-no-end",
        "Only a step that was never tried can wait too long.",
        ("S6",),
        (Change("sql:overdue_steps", "state = 'ready' AND", "state = 'ready' AND attempts = 0 AND"),),
    ),
    Planted(
        "end-of-waiting-not-followed",
        "A step that waited too long moves its migration on only on the way there.",
        ("S6",),
        (
            Change(
                REAPER,
                "                tx.apply(fail_waiting(step, _not_taken(tx, step), now))\n"
                "                done.readied += advance(tx, step.migration_id, now)\n",
                "                tx.apply(fail_waiting(step, _not_taken(tx, step), now))\n"
                "                if step.direction == 'forward':\n"
                "                    done.readied += advance(tx, step.migration_id, now)\n",
            ),
        ),
    ),
    Planted(
        "undone-before-all-who-need-it",
        "On the way back, a step is free as soon as the first of those that need it is undone.",
        ("S5",),
        (
            Change(
                "controlplane.core.migrations.workflow_planning",
                "        for needed_id in needed:\n",
                "        for needed_id in needed[:1]:\n",
            ),
        ),
    ),
)
