"""Manifests as a person would write them, for the tests of this room."""

from __future__ import annotations

from pathlib import Path

from controlplane.manifests.kinds.documents import Document, Spec
from controlplane.manifests.parsing import parse
from controlplane.manifests.text.findings import Finding, SourceFile
from controlplane.manifests.validating import validate

EXAMPLES = Path(__file__).parent / "examples"


def example_files() -> list[SourceFile]:
    """Every example file."""
    return [SourceFile(path.name, path.read_bytes()) for path in sorted(EXAMPLES.glob("*.yaml"))]


def examples() -> dict[tuple[str, str], Document]:
    """Every example document by kind and name; the examples are right."""
    parsed = parse(example_files())
    assert parsed.findings == ()
    return {document.key: document for document in parsed.documents}


def example_specs() -> dict[tuple[str, str], Spec]:
    """What is applied once the examples are."""
    return {key: document.spec for key, document in examples().items()}


def findings_of(text: str, path: str = "a.yaml") -> list[Finding]:
    """Everything wrong in one file by itself."""
    return list(parse([SourceFile(path, text.encode())]).findings)


def only_finding(text: str) -> Finding:
    """The one thing wrong in a file, by itself and beside the applied examples."""
    parsed = parse([SourceFile("a.yaml", text.encode())])
    findings = [*parsed.findings, *validate(parsed.documents, example_specs())]
    assert len(findings) == 1, "\n".join(map(str, findings))
    return findings[0]


def dataset(spec: str = "", name: str = "weather") -> str:
    """A Dataset in the example's lake, with more lines for its spec."""
    lines = "".join(f"  {line}\n" for line in spec.splitlines())
    return (
        f"apiVersion: haulier/v1\nkind: Dataset\nmetadata: {{name: {name}}}\nspec:\n"
        f"  owner: team-air\n  datastore: warehouse\n  object: {name}\n{lines}"
    )


def workflow(steps: str, name: str = "own", parameters: str = "") -> str:
    """A Workflow with these steps, one a line or more; steps are indented here."""
    indented = "".join(f"    {line}\n" for line in steps.strip("\n").splitlines())
    return (
        f"apiVersion: haulier/v1\nkind: Workflow\nmetadata: {{name: {name}}}\nspec:\n"
        + (f"  parameters: {parameters}\n" if parameters else "")
        + f"  steps:\n{indented}"
    )


def migration(lines: str = "", name: str = "own", **changes: str) -> str:
    """A Migration of the example's airlines to the warehouse; ``changes`` replace top fields of its spec."""
    spec = {
        "dataset": "airlines",
        "workflow": "copy",
        "to": "{datastore: warehouse, object: own_airlines}",
        "staging": "staging",
        **changes,
    }
    body = "".join(f"  {key}: {value}\n" for key, value in spec.items() if value)
    more = "".join(f"  {line}\n" for line in lines.splitlines())
    return f"apiVersion: haulier/v1\nkind: Migration\nmetadata: {{name: {name}}}\nspec:\n{body}{more}"
