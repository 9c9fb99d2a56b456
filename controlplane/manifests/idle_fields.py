"""Fields of manifests that do not act: what is kept for people to read, and what is accepted and does nothing yet.

Whoever sets a field of the second sort expects something of it, so each is warned about until it acts. Every other
field acts: a test walks all fields of all kinds and sees that changing one changes what a migration does.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from controlplane.manifests.kinds.dataset import DatasetSpec
from controlplane.manifests.kinds.documents import FINDINGS_MAX, Document, Spec, findings_at
from controlplane.manifests.ready_made import ready_made
from controlplane.manifests.text.findings import WARNING, Finding, Problem


class Idle(NamedTuple):
    """A field that does nothing yet: its attribute and key, what people may wrongly expect, what to do instead."""

    attribute: str
    key: str
    message: str
    hint: str


IDLE = {
    "Dataset": (
        Idle(
            "depends_on",
            "dependsOn",
            "this does not act yet: no migration waits for those of the datasets named here",
            "start theirs first, with --wait",
        ),
        Idle(
            "window",
            "window",
            "this does not act yet: its migrations move at any time once they are started",
            "start them when they may move",
        ),
        Idle(
            "transformations",
            "transformations",
            "these do not act: the data moves as it is, unless its Migration has a transform",
            "put the SELECT into spec.transform of the Migration",
        ),
    ),
}


def warnings_of(documents: Sequence[Document]) -> tuple[Finding, ...]:
    """Warn about each field that is set in these documents and does not act, and of a name that Haulier's own has."""
    found: list[Finding] = []
    for document in documents:
        problems = [*_idle_in(document.kind, document.spec), *_over_ready_made(document)]
        found += _as_warnings(findings_at(document.place, problems))
        if len(found) >= FINDINGS_MAX:
            break
    return tuple(found[:FINDINGS_MAX])


def warnings_about(kind: str, name: str, spec: Spec) -> list[Finding]:
    """Warn about each field of an applied manifest that does not act; its place is its name."""
    return [
        Finding(f"{kind}/{name}", 0, 0, ".".join(map(str, idle.field)), idle.message, idle.hint, WARNING)
        for idle in _idle_in(kind, spec)
    ]


def _idle_in(kind: str, spec: Spec) -> list[Problem]:
    if not isinstance(spec, DatasetSpec):
        return []
    return [
        Problem(("spec", idle.key), idle.message, idle.hint, at_key=True)
        for idle in IDLE[kind]
        if getattr(spec, idle.attribute)
    ]


def _over_ready_made(document: Document) -> list[Problem]:
    if ready_made(document.kind, document.name) is None:
        return []
    message = "a workflow of this name comes with Haulier; this one is used instead of it"
    return [Problem(("metadata", "name"), message, "give it another name if that is not meant")]


def _as_warnings(found: Iterable[Finding]) -> list[Finding]:
    return [replace(each, severity=WARNING) for each in found]
