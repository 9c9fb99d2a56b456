"""What the policy must know of a step kind besides its name."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KindRule:
    """`allowed_with` names kinds: where one of them may run, this one may too. `needs_programs` is True for a kind that
    is nothing without programs that the host names."""

    allowed_with: frozenset[str] = frozenset()
    needs_programs: bool = False
