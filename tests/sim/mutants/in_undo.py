"""Planted in the way back: what others have at a destination is destroyed, or counts as undone."""

from tests.sim.planting import Change, Planted

LEASING = "controlplane.core.steps.leasing"
STEPS = "controlplane.service.steps.settling"

PLANTED = (
    Planted(
        "retried-undo-not-told-what-was-published",
        "A second try of an undo goes where the first one went, so it need not carry the forward result again.",
        ("S10",),
        (
            Change(
                STEPS,
                '(body.result or b"") if undo else b""',
                '(body.result or b"") if undo and not step.failures else b""',
            ),
        ),
    ),
    Planted(
        "consent-counts-for-later-migrations",
        "Who let one rollback lose what others changed has nothing against the next.",
        ("S10",),
        (Change("sql:discards_changes", "WHERE migration_id = ?", "WHERE migration_id <= ?"),),
    ),
    Planted(
        "asked-often-enough-is-consent",
        "An undo that was tried again and again is surely wanted.",
        ("S10",),
        (
            Change(
                STEPS,
                "undo and tx.discards_changes(step.migration_id)",
                "undo and (tx.discards_changes(step.migration_id) or step.attempts > 2)",
            ),
        ),
    ),
    Planted(
        "nothing-recorded-is-nothing-to-undo",
        "A destination that has no record of a migration has nothing of it, so its undo is done.",
        ("S10", "L4"),
        (
            Change(
                LEASING,
                '    failure = outcome.failure or Failure("unknown", "the agent gave no reason")\n',
                '    failure = outcome.failure or Failure("unknown", "the agent gave no reason")\n'
                '    if step.direction is Direction.UNDO and failure.code == "records_missing":\n'
                "        return _succeed(step, attempt, outcome, now)\n",
            ),
        ),
    ),
)
