"""How the law says no."""

from pathlib import Path


class PolicyBroken(Exception):
    """The policy file cannot be used; says what and how to mend it."""


class PolicyRefused(Exception):
    """This host does not allow it. `hint` says what its owner could change."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def refused(message: str, key: str, path: Path) -> PolicyRefused:
    """A refusal whose hint names the key of the policy file that could allow it."""
    return PolicyRefused(message, f"the owner of this host can allow it under {key} in {path}")
