"""Planted in the store and the loops: guards that are missing, failures that look like success, waits without end."""

from tests.sim.planting import Change, Planted

BATCHER = "controlplane.store.sqlite.batcher"
REAPER = "controlplane.loops.lease_reaper"
LEASING = "controlplane.core.leasing"

PLANTED = (
    Planted(
        "failed-commit-answered-as-done",
        "When the disk refuses the commit, the calls are answered with what they computed.",
        ("C1", "L1", "L2", "L6", "S1", "C"),
        (
            Change(
                BATCHER,
                "            return [Answer(None, _failed(error)) for _ in calls]\n",
                "            return answers if error else [Answer(None, _failed(error)) for _ in calls]\n",
            ),
        ),
    ),
    Planted(
        "touched-is-not-remembered",
        "A grant leases the step but does not note that there may be something to undo.",
        ("S5", "S1"),
        (Change("sql:lease_step", "touched = 1, ", ""),),
    ),
    Planted(
        "fence-of-undo-not-raised",
        "An undo writes under the fence of the work that it undoes.",
        ("L1",),
        (
            Change(
                LEASING,
                "fence = max(last_fence, first_fence(generation)) + 1",
                "fence = max(last_fence + (step.direction is Direction.FORWARD), first_fence(generation) + 1)",
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
        "Steps that no agent takes are looked at a day later.",
        ("S6",),
        (Change(REAPER, "tx.overdue_steps(now, BATCH_MAX)", "tx.overdue_steps(now - 86_400.0, BATCH_MAX)"),),
    ),
    Planted(
        "end-of-waiting-not-followed",
        "A step that waited too long fails; its migration is left for somebody else to look at.",
        ("S6",),
        (
            Change(
                REAPER,
                "                tx.apply(fail_waiting(step, failure, now))\n"
                "                done.readied += advance(tx, step.migration_id, now)\n",
                "                tx.apply(fail_waiting(step, failure, now))\n",
            ),
        ),
    ),
    Planted(
        "renewals-never-reach-the-store",
        "A flush forgets rows that changed only their end.",
        ("flushed",),
        (Change("sql:flush_attempt", "SET expires_at = ?, moved_at", "SET expires_at = min(expires_at, ?), moved_at"),),
    ),
)
