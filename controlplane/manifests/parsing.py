"""Files into documents: every document that is right by itself, and findings for all the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from controlplane.manifests.document_checks import check_document
from controlplane.manifests.kinds.datastore import ENGINES
from controlplane.manifests.kinds.documents import FINDINGS_MAX, KINDS, Document, findings_at, spec_model
from controlplane.manifests.kinds.model import API_VERSION, Metadata
from controlplane.manifests.kinds.model_errors import problems_of
from controlplane.manifests.text.findings import Finding, Problem, SourceFile, shown, suggestion
from controlplane.manifests.text.yaml_reading import Place, RawDocument, read

_TOP_FIELDS = ("apiVersion", "kind", "metadata", "spec")

_ModelT = TypeVar("_ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What the files say. Documents are in the order of the files; with any finding, nothing should be applied."""

    documents: tuple[Document, ...]
    findings: tuple[Finding, ...]
    # Kind and name of the manifests that have findings of their own, as far as they can be read.
    refused: frozenset[tuple[str, str]] = frozenset()


def parse(files: Sequence[SourceFile]) -> Parsed:
    """Read manifests. Never raises for any content: what is wrong becomes findings, at most FINDINGS_MAX of them."""
    reading = _Reading()
    for file in files:
        raws, wrong = read(file)
        reading.findings += wrong
        # A line that YAML itself complained about needs no second complaint.
        broken = {finding.line for finding in wrong}
        for raw in raws:
            if len(reading.findings) >= FINDINGS_MAX:
                return reading.parsed()
            reading.add(raw, broken)
    return reading.parsed()


class _Reading:
    """What has been read so far."""

    def __init__(self) -> None:
        self.documents: list[Document] = []
        self.findings: list[Finding] = []
        self.refused: set[tuple[str, str]] = set()
        self.seen: dict[tuple[str, str], Place] = {}

    def add(self, raw: RawDocument, broken: set[int]) -> None:
        document, problems = _document(raw)
        if document is None:
            self.findings += [found for found in findings_at(raw.place, problems) if found.line not in broken]
            key = _key_of(raw.data)
            if key is not None:
                self.refused.add(key)
            return
        first = self.seen.setdefault(document.key, raw.place)
        if first is raw.place:
            self.documents.append(document)
            return
        message = f"{document.kind} {shown(document.name)} is defined twice, first in {first.path} line {first.line}"
        problem = Problem(("metadata", "name"), message, "rename or remove one of the two")
        self.findings += findings_at(raw.place, [problem])

    def parsed(self) -> Parsed:
        return Parsed(tuple(self.documents), _capped(self.findings), frozenset(self.refused))


def _key_of(data: object) -> tuple[str, str] | None:
    if not isinstance(data, dict) or not isinstance(data.get("metadata"), dict):
        return None
    kind, name = data.get("kind"), data["metadata"].get("name")
    return (kind, name) if isinstance(kind, str) and isinstance(name, str) else None


def _capped(findings: list[Finding]) -> tuple[Finding, ...]:
    if len(findings) <= FINDINGS_MAX:
        return tuple(findings)
    more = Finding("", 0, 0, "", "there are more findings than can be shown", "mend these first, then check again")
    return (*findings[:FINDINGS_MAX], more)


def _document(raw: RawDocument) -> tuple[Document | None, list[Problem]]:
    data = raw.data
    if not isinstance(data, dict):
        hint = "begin with apiVersion, kind, metadata and spec"
        return None, [Problem((), "a manifest must be a mapping", hint)]
    problems = _envelope(data)
    kind = data.get("kind")
    metadata = _read_model(Metadata, data.get("metadata"), "metadata", problems) if "metadata" in data else None
    if kind not in KINDS or "spec" not in data:
        return None, problems
    engine_problem = _engine(kind, data["spec"])
    if engine_problem is not None:
        return None, [*problems, engine_problem]
    spec: Any = _read_model(spec_model(kind, data["spec"]), data["spec"], "spec", problems)
    if spec is not None:
        problems += check_document(spec)
    if problems or spec is None or not isinstance(metadata, Metadata):
        return None, problems
    return Document(kind, metadata, spec, raw.place), []


def _envelope(data: Mapping[str, object]) -> list[Problem]:
    problems = [
        Problem((key,), f"there is no field {shown(key)} here", suggestion(key, _TOP_FIELDS), at_key=True)
        for key in data
        if key not in _TOP_FIELDS
    ]
    problems += [
        Problem((key,), "this field is required", f"add {key}: {API_VERSION if key == 'apiVersion' else '…'}")
        for key in _TOP_FIELDS
        if key not in data
    ]
    version, kind = data.get("apiVersion"), data.get("kind")
    if "apiVersion" in data and version != API_VERSION:
        problems.append(Problem(("apiVersion",), "this version is not known", f"write {API_VERSION}"))
    if "kind" in data and kind not in KINDS:
        hint = suggestion(kind, KINDS) if isinstance(kind, str) else "known: " + ", ".join(KINDS)
        message = f"{shown(kind)} is not a kind" if isinstance(kind, str) else "this must be the name of a kind"
        problems.append(Problem(("kind",), message, hint))
    return problems


def _engine(kind: object, spec: object) -> Problem | None:
    if kind != "Datastore" or not isinstance(spec, Mapping):
        return None
    if "engine" not in spec:
        return Problem(("spec", "engine"), "this field is required", "add engine: one of " + ", ".join(ENGINES))
    engine = spec["engine"]
    if isinstance(engine, str) and engine in ENGINES:
        return None
    if not isinstance(engine, str):
        return Problem(("spec", "engine"), "this must be text", "write one of " + ", ".join(ENGINES))
    return Problem(("spec", "engine"), f"{shown(engine)} is not an engine", suggestion(engine, ENGINES))


def _read_model(model: type[_ModelT], data: object, at: str, problems: list[Problem]) -> _ModelT | None:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems.extend(problems_of(error, model, data, (at,)))
        return None
