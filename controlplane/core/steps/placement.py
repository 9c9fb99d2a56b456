"""Which agents may run which steps: an agent matches classes, not steps."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping

from controlplane.core.hosts import Facts
from controlplane.core.model import Agent, Requirements

_LABEL_VALUE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def class_of(requirements: Requirements) -> str:
    """Name the placement class of ``requirements``: equal requirements give equal names, on every machine.

    >>> class_of(Requirements("extract", ("lake",))) == class_of(Requirements("extract", ("lake",)))
    True
    """
    return "pc_" + hashlib.sha256(to_text(requirements).encode()).hexdigest()[:16]


def to_text(requirements: Requirements) -> str:
    """Write requirements as canonical JSON."""
    return json.dumps(
        {
            "kind": requirements.kind,
            "datastores": sorted(requirements.datastores),
            "labels": dict(sorted(requirements.labels)),
        },
        sort_keys=True,
        separators=(",", ":"),
    )


def from_text(text: str) -> Requirements:
    """Read what ``to_text`` wrote."""
    value = json.loads(text)
    return Requirements(value["kind"], tuple(value["datastores"]), tuple(sorted(value["labels"].items())))


def lacks(agent: Agent, requirements: Requirements) -> list[str]:
    """Name what ``agent`` lacks to run such steps, for people; empty when it can.

    The order is kind, datastores, labels.
    """
    missing = []
    if requirements.kind not in agent.kinds:
        missing.append(f"step kind {requirements.kind}")
    if "*" not in agent.datastores:
        missing += [f"datastore {name}" for name in requirements.datastores if name not in agent.datastores]
    for key, value in requirements.labels:
        found = agent.labels.get(key)
        if found != value:
            missing.append(f"label {key}={value}" + (f" (it has {key}={found})" if found is not None else ""))
    return missing


def fact_labels(facts: Facts) -> dict[str, str]:
    """Return the labels that every host has by what it is; what is not a label's value is left out.

    >>> fact_labels(Facts(os="debian", os_version="12", architecture="x86_64"))
    {'host/os': 'debian', 'host/os-version': '12', 'host/architecture': 'x86_64'}
    """
    told = {"os": facts.os, "os-version": facts.os_version, "architecture": facts.architecture}
    return {f"host/{name}": value for name, value in told.items() if _LABEL_VALUE.fullmatch(value)}


def matching(agent: Agent, classes: Mapping[str, Requirements]) -> list[str]:
    """Return the names of the classes that ``agent`` can run, in stable order."""
    return sorted(name for name, requirements in classes.items() if not lacks(agent, requirements))


def datastores_in_use(classes: Iterable[str], known: Mapping[str, Requirements]) -> dict[str, int]:
    """Count the live leases per datastore; ``classes`` holds the class of each live lease.

    A step that reads and writes one datastore uses it once.
    """
    counts: dict[str, int] = {}
    for name in classes:
        for datastore in set(known[name].datastores):
            counts[datastore] = counts.get(datastore, 0) + 1
    return counts
