"""Planted in clean-ups: what somebody still needs goes, or is promised back when it is gone."""

from tests.sim.planting import Change, Planted

CLEAN_UP = "controlplane.service.migrations.clean_up"
MIGRATIONS = "controlplane.service.migrations.migrations"

PLANTED = (
    Planted(
        "consent-to-loss-needs-no-former-content",
        "Who lets a rollback lose what others changed need not be told that something is gone.",
        ("S11",),
        (
            Change(
                MIGRATIONS,
                "    require_way_back(tx, migration)\n",
                "    if not call.discard_changes:\n        require_way_back(tx, migration)\n",
            ),
        ),
    ),
    Planted(
        "stuck-ones-are-cleaned-up",
        "A stuck migration stands still like one that has ended, so whoever asks may clean up after it.",
        ("S11",),
        (
            Change(
                CLEAN_UP,
                "    if migration.state not in MIGRATION_ENDED:\n",
                "    if migration.state not in MIGRATION_ENDED and migration.state != 'stuck':\n",
            ),
            Change(
                CLEAN_UP,
                "    if migration.state not in LEAVES_SOMETHING:\n",
                "    if migration.state not in LEAVES_SOMETHING and migration.state != 'stuck':\n",
            ),
        ),
    ),
    Planted(
        "clean-ups-that-were-called-off-are-asked-again",
        "A clean-up that was called off has not been done, and whoever asks wants it done.",
        ("S11", "C3"),
        (
            Change(
                CLEAN_UP,
                "s.kind == CLEAN_UP and s.state is StepState.FAILED]",
                "s.kind == CLEAN_UP and s.state in (StepState.FAILED, StepState.CANCELLED)]",
            ),
        ),
    ),
)
