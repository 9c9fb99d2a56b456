"""What to say of a name that nothing has: the near miss, and where to look."""

from collections.abc import Iterable
from itertools import islice

from controlplane.manifests.text.findings import near_miss
from controlplane.service.errors import NotFound
from controlplane.store.verbs.agents import AgentVerbs
from controlplane.store.verbs.inventory import InventoryVerbs

# Comparing takes time, and a miss is rare: among more names than these, only the first are compared.
NAMES_MAX = 5000


def no_such(what: str, name: str, known: Iterable[str], see: str, otherwise: str = "") -> NotFound:
    """Return the error for a ``what`` that there is not.

    ``see`` is the command that lists those that there are; ``otherwise`` says what to do where no name is alike.
    """
    near = near_miss(name, islice(known, NAMES_MAX))
    meant = f"did you mean {near}? See" if near else f"{otherwise}, or see" if otherwise else "see"
    return NotFound(f"there is no {what} {name}: {meant} `{see}`")


def no_manifest(tx: InventoryVerbs, kind: str, name: str) -> NotFound:
    """Return the error for a manifest that was not applied."""
    known = (resource.name for resource in tx.resources(kind, "", NAMES_MAX))
    see = f"haulier {kind.lower()} list" + (" --applied" if kind == "Migration" else "")
    return no_such(kind, name, known, see, otherwise="apply it first")


def no_agent(tx: AgentVerbs, name: str) -> NotFound:
    """Return the error for an agent that never joined or is gone."""
    return no_such("agent", name, (agent.name for agent, _ in tx.agents()), "haulier agent list")
