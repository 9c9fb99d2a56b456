"""How the policy refuses."""

from pathlib import Path


class PolicyBroken(Exception):
    """The policy file cannot be used; says what and how to mend it."""


class PolicyRefused(Exception):
    """This host does not allow it. `hint` says what could be changed, and by whom."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def refused(message: str, key: str, owner: str, path: Path) -> PolicyRefused:
    """A refusal whose hint names the key of the policy file that could allow it."""
    return PolicyRefused(message, f"{owner} can allow it under {key} in {path}")
