"""The host's policy applied to a step: what it says that it touches, and whether that is allowed.

Used before a step's process does anything, and by `haulier-agentd check --would-run`, so that both say the same.
"""

from dataclasses import dataclass
from pathlib import Path

from agentd.datastores.engines import place_asked
from agentd.datastores.port.engine import PlaceAsked
from agentd.executors.registry import StepKind
from agentd.executors.uses import Uses
from agentd.policy.host_policy import Policy
from agentd.policy.kinds import KindRule


@dataclass(frozen=True, slots=True)
class Touched:
    """A place that a step uses, and how. `asked` is None for a bare path; `path` is where files are, None for a
    server."""

    asked: PlaceAsked | None
    writes: bool
    path: Path | None

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return self.asked.name if self.asked is not None else str(self.path)


def rule_of(kind: StepKind) -> KindRule:
    """What the policy must know of a kind."""
    return KindRule(frozenset(kind.allowed_with), kind.needs_programs)


def touched(policy: Policy, uses: Uses) -> list[Touched]:
    """Every place that a step uses. Raises PolicyRefused for the first that is not allowed so."""
    found = []
    for thing, writes, deletes in uses.things():
        if isinstance(thing, str):
            found.append(Touched(None, writes, policy.check_bare_path(thing, deletes)))
            continue
        asked = place_asked(thing)
        path = policy.check_place(asked, writes, deletes)
        policy.check_datastore_secret(asked)
        found.append(Touched(asked, writes, path))
    return found
