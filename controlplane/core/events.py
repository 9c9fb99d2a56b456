"""Facts, past tense, one row each in the append-only log: every change of state has one."""

from typing import NamedTuple


class Event(NamedTuple):
    """One fact. ``subject`` is the step, migration, agent or manifest it is about."""

    at: float
    type: str
    subject: str
    migration_id: str | None = None
    attempt_id: str | None = None
    agent_id: str | None = None
    fence: int | None = None
    detail: str = ""  # for people; never a secret


def asked_by(name: str, reason: str = "") -> str:
    """Write the detail of an event that a person asked for; an empty ``name`` is the control plane itself.

    >>> asked_by("ada", "wrong table")
    'wrong table (by ada)'
    >>> asked_by("ada")
    'by ada'
    """
    if not name:
        return reason
    return f"{reason} (by {name})" if reason else f"by {name}"
