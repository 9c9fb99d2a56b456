"""Broken YAML becomes findings with their place; scalars mean what they look like."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.manifests.parsing import parse
from controlplane.manifests.text.findings import SourceFile
from controlplane.manifests.text.yaml_reading import DEPTH_MAX, locate, read


def _one(text: str) -> object:
    documents, findings = read(SourceFile("a.yaml", text.encode()))
    assert findings == []
    return documents[0].data


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("no", "no"),
        ("on", "on"),
        ("22:30", "22:30"),
        ("007", "007"),
        ("2013-01-01", "2013-01-01"),
        ("1_000", "1_000"),
        ("12", 12),
        ("-3", -3),
        ("0x1F", 31),
        ("0o17", 15),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("1e999", "1e999"),
        (".inf", ".inf"),
        ("9" * 5000, "9" * 5000),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("null", None),
        ('"12"', "12"),
        ("!!str 12", "12"),
        ("!!int 12", 12),
        ("decimal(10,2)", "decimal(10,2)"),
    ],
)
def test_a_plain_scalar_means_what_it_looks_like(written: str, meant: object) -> None:
    value = _one(f"a: {written}")
    assert value == {"a": meant}
    assert isinstance(value, dict)
    assert type(value["a"]) is type(meant)


@pytest.mark.parametrize(
    ("content", "line", "column", "message", "hint"),
    [
        (b"a:\n\tb: 1", 2, 1, "cannot start any token", "spaces, not tabs"),
        (b"a:\n  b: 1\n\tc: 2", 3, 1, "tab character", "spaces, not tabs"),
        (b"a: b: c", 1, 5, "mapping values are not allowed", "quotes"),
        (b"x: 1\na: {b: ${c}}", 2, 9, "did not find expected", "put a reference into quotes"),
        (b"a: *b", 1, 4, "undefined alias", "needs quotes"),
        (b"a: [1, 2", 2, 1, "begun on line 1", ""),
        (b"a: 1\nb: \x07", 2, 4, "not allowed in YAML", "control character"),
        (b"\xc3\xa4: 1\nb: \xff", 2, 4, "not UTF-8", "UTF-8"),
        (b"a: 1\nb: 2\na: 3", 3, 1, '"a" is given twice', "keep one"),
        (b"1: x", 1, 1, "a key must be text", "quotes"),
        (b"? [a]\n: b", 1, 3, "a key must be text", "quotes"),
        (b"a: !!python/object/apply:os.system [ls]", 1, 4, "is not supported", "remove the tag"),
        (b"a: !!int word", 1, 4, "!!int promises", "remove the tag"),
        (b"a: !!binary aGk=", 1, 4, "is not supported", "remove the tag"),
        (b"a: &x [*x]", 1, 4, "contains itself", ""),
        (b"[" * 100_000, 1, DEPTH_MAX, f"deeper than {DEPTH_MAX}", ""),
        (b'{"a":' * 100_000, 1, 236, f"deeper than {DEPTH_MAX}", ""),
    ],
)
def test_broken_yaml_is_named_with_its_place(content: bytes, line: int, column: int, message: str, hint: str) -> None:
    _, findings = read(SourceFile("a.yaml", content))
    finding = findings[0]
    assert (finding.path, finding.line, finding.column) == ("a.yaml", line, column)
    assert message in finding.message
    assert hint in finding.hint


def test_aliases_of_aliases_are_bounded() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    documents, findings = read(SourceFile("bomb.yaml", "\n".join(lines).encode()))
    assert documents == []
    assert "once aliases are expanded" in findings[0].message


def test_values_in_one_document_are_bounded() -> None:
    _, findings = read(SourceFile("a.yaml", b"[" + b"a," * 60_000))
    assert "more than 50,000 values in one document" in findings[0].message
    documents, _ = read(SourceFile("a.yaml", b"---\n- a\n- b\n" * 20_000))
    assert len(documents) == 20_000


def test_aliases_and_merge_keys_work() -> None:
    value = _one("base: &base {a: 1, b: 2}\nown: {<<: *base, b: 3}\nmany:\n  <<: [*base, {c: 4}]\n")
    assert value == {"base": {"a": 1, "b": 2}, "own": {"a": 1, "b": 3}, "many": {"a": 1, "b": 2, "c": 4}}
    _, findings = read(SourceFile("a.yaml", b"a: {<<: text}"))
    assert "only a mapping can be merged" in findings[0].message


def test_several_documents_a_byte_order_mark_and_empty_ones() -> None:
    documents, findings = read(SourceFile("a.yaml", b"\xef\xbb\xbf---\n# nothing\n---\na: 1\n---\n---\nb: 2\n...\n"))
    assert findings == []
    assert [(document.data, document.place.line) for document in documents] == [({"a": 1}, 4), ({"b": 2}, 7)]


def test_documents_before_a_syntax_error_are_kept() -> None:
    documents, findings = read(SourceFile("a.yaml", b"a: 1\n---\nb: [\n"))
    assert [document.data for document in documents] == [{"a": 1}]
    assert findings[0].line == 4


def test_a_field_is_found_again_in_its_document() -> None:
    text = b"x: 1\n---\n  a:\n    - b: 1\n      c: {d: 2}\n    - e\n"
    documents, _ = read(SourceFile("a.yaml", text))
    fields = [("a",), ("a", 0), ("a", 0, "c", "d"), ("a", 1), ("a", 0, "absent"), ("a", 0, "b"), ()]
    places = locate(documents[1].place, [(field, False) for field in fields])
    assert places == [(3, 3), (4, 7), (5, 14), (6, 7), (4, 7), (4, 10), (3, 3)]
    assert locate(documents[1].place, [(("a", 0, "b"), True)]) == [(4, 7)]


def test_a_document_that_leans_on_a_directive_keeps_its_first_line() -> None:
    documents, _ = read(SourceFile("a.yaml", b"%TAG !e! tag:yaml.org,2002:\n---\na: !e!str x\n"))
    assert documents[0].data == {"a": "x"}
    assert locate(documents[0].place, [(("a",), False)]) == [(3, 1)]


@given(st.binary(max_size=300))
def test_any_bytes_give_documents_or_findings(content: bytes) -> None:
    parsed = parse([SourceFile("a.yaml", content)])
    assert all(finding.message and finding.path == "a.yaml" for finding in parsed.findings)


_YAMLISH = st.text(st.sampled_from("abk:-{}[]\n \t'\"&*!%#|>?,~01.${}<\u0085\ue000\x00é"), max_size=120)


@given(_YAMLISH)
def test_text_full_of_yaml_marks_never_raises(text: str) -> None:
    read(SourceFile("a.yaml", text.encode()))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)


@given(kind=st.sampled_from(["Datastore", "Dataset", "Workflow", "Migration"]), metadata=_JSON, spec=_JSON)
def test_any_value_in_the_place_of_a_spec_never_raises(kind: str, metadata: object, spec: object) -> None:
    manifest = {"apiVersion": "haulier/v1", "kind": kind, "metadata": metadata, "spec": spec}
    text = json.dumps(manifest)
    parsed = parse([SourceFile("a.yaml", text.encode())])
    assert parsed.documents or parsed.findings
