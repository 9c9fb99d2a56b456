"""What an apply would change."""

from __future__ import annotations

import json

from controlplane.manifests.diffing import Change, canonical_json, change, diff, digest, document_digest
from controlplane.manifests.kinds.documents import load_metadata, load_spec
from controlplane.manifests.parsing import parse
from controlplane.manifests.text.findings import SourceFile
from tests.unit.controlplane.manifests.written import dataset, examples


def _document(text: str):  # type: ignore[no-untyped-def]
    (document,) = parse([SourceFile("a.yaml", text.encode())]).documents
    return document


def test_every_example_survives_its_canonical_json() -> None:
    for document in examples().values():
        spec, metadata = canonical_json(document.spec), canonical_json(document.metadata)
        assert load_spec(document.kind, spec) == document.spec
        assert load_metadata(metadata) == document.metadata
        assert canonical_json(load_spec(document.kind, spec)) == spec
        assert json.dumps(json.loads(spec), ensure_ascii=False, sort_keys=True, separators=(",", ":")) == spec


def test_order_comments_and_written_defaults_change_nothing() -> None:
    plain = _document(dataset("columns: [{name: a, type: text}]\npriority: 0"))
    other = _document(dataset("# a comment\ncolumns:\n- type: text\n  required: false\n  name: a"))
    assert document_digest(plain) == document_digest(other)
    assert change(document_digest(plain), document_digest(other)) is Change.UNCHANGED


def test_a_label_changes_a_manifest() -> None:
    plain = _document(dataset())
    labelled = _document(dataset().replace("{name: weather}", "{name: weather, labels: {a: b}}"))
    assert change(document_digest(plain), document_digest(labelled)) is Change.UPDATED
    assert change(None, document_digest(plain)) is Change.CREATED


def test_spec_and_metadata_cannot_trade_places() -> None:
    assert digest("{}", '{"a":1}') != digest('{"a":1}', "{}")


def test_a_difference_is_told_field_by_field() -> None:
    old = canonical_json(_document(dataset("priority: 1\nkey: [a, b]\nwindow: x")).spec)
    new = canonical_json(_document(dataset("priority: 2\nkey: [a]\ndependsOn: [other]")).spec)
    assert set(diff(old, new, "spec")) == {
        ("spec.priority", "1", "2"),
        ("spec.key[1]", '"b"', ""),
        ("spec.window", '"x"', ""),
        ("spec.dependsOn[0]", "", '"other"'),
    }
    assert diff(old, old, "spec") == []
