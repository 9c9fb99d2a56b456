"""Which events a person should see in the log of the control plane, and how loudly.

The event log has everything; this is what somebody who reads the service's log, or is alarmed by it, needs to know.
"""

from collections.abc import Callable
from typing import NamedTuple

from controlplane.core.events import Event

# Somebody should look.
LOUD = frozenset(
    {
        "AgentCloned",
        "AgentLost",
        "AuditLogContradicted",
        "EntryMissing",
        "GenerationRaised",
        "MigrationFailed",
        "MigrationRefuted",
        "MigrationStuck",
        "RolloutHalted",
        "UpgradeFailed",
    }
)
# What people asked for, what waits for them, and what came of it.
PLAIN = frozenset(
    {
        "AgentConnected",
        "AgentCordoned",
        "AgentDecommissioned",
        "AgentDrained",
        "AgentHeard",
        "AgentJoined",
        "AgentRejoined",
        "AgentResumed",
        "AgentRevoked",
        "AgentUncordoned",
        "ApprovalAsked",
        "ApprovalDenied",
        "ApprovalGiven",
        "ApprovalWithdrawn",
        "AuditLogAccepted",
        "AuthorityRetired",
        "AuthorityRotated",
        "DiscardAgreed",
        "ManifestDeleted",
        "MigrationAbandoned",
        "MigrationAccepted",
        "MigrationCancelAsked",
        "MigrationCancelled",
        "MigrationCleanUpAsked",
        "MigrationRestoreRetried",
        "MigrationRetried",
        "MigrationRollbackAsked",
        "MigrationRolledBack",
        "MigrationStarted",
        "MigrationSucceeded",
        "MigrationSuperseded",
        "MigrationUndoRetried",
        "OperatorTokenCreated",
        "OperatorTokenRevoked",
        "ReleasesPublished",
        "RolloutCancelled",
        "RolloutPaused",
        "RolloutProposed",
        "RolloutResumed",
        "RolloutRollbackAsked",
        "RolloutRolledBack",
        "RolloutStarted",
        "RolloutSucceeded",
        "StoreRestored",
    }
)
# Steps of the work, and what is only of use to whoever looks into one matter: the event log has it.
QUIET = frozenset(
    {
        "AccessRefused",
        "AgentLabelled",
        "AgentSuspected",
        "ApprovalUsed",
        "AttemptCancelled",
        "AttemptFailed",
        "AttemptFenced",
        "CertificateRenewed",
        "EventsArchived",
        "JoinTokenCreated",
        "LateResult",
        "LeaseExpired",
        "LeaseGranted",
        "ManifestApplied",
        "OperatorSeen",
        "StepCancelled",
        "StepFailed",
        "StepPlanned",
        "StepReadied",
        "StepReplanned",
        "StepStuck",
        "StepSucceeded",
        "StepUndoPlanned",
        "StepUndone",
        "UpgradeAsked",
        "UpgradeCancelled",
        "UpgradeHeld",
        "UpgradeKept",
        "UpgradeReturned",
        "UpgradeSwitched",
        "UpgradeUndecided",
    }
)


class Line(NamedTuple):
    """One line for the log."""

    text: str
    is_loud: bool


def line_of(event: Event, name_of: Callable[[str], str]) -> Line | None:
    """Write an event as one line; None for one that nobody need see. ``name_of`` turns an id into a name.

    >>> line_of(Event(0.0, "MigrationFailed", "mig_1", detail="no route"), {"mig_1": "orders"}.__getitem__)
    Line(text='MigrationFailed orders: no route', is_loud=True)
    """
    if event.type not in LOUD and event.type not in PLAIN:
        return None
    detail = " ".join(event.detail.split())
    return Line(f"{event.type} {name_of(event.subject)}{': ' if detail else ''}{detail}", event.type in LOUD)
