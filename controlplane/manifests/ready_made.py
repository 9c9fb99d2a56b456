"""Workflows that come with Haulier: `copy`, and `copy-transformed` with one SELECT in between.

A Workflow of the same name that somebody applied wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from controlplane.manifests.kinds.documents import Document
from controlplane.manifests.parsing import parse
from controlplane.manifests.text.findings import SourceFile

_FILE = "ready_made.yaml"
KIND = "Workflow"


@cache
def workflows() -> Mapping[str, Document]:
    """Return the ready-made workflows by name, read once."""
    content = files("controlplane.manifests").joinpath(_FILE).read_bytes()
    parsed = parse([SourceFile(_FILE, content)])
    assert not parsed.findings, "what comes with Haulier is right"
    return {document.name: document for document in parsed.documents}


def ready_made(kind: str, name: str) -> Document | None:
    """Return a manifest that comes with Haulier; None where there is none of this name."""
    return workflows().get(name) if kind == KIND else None
