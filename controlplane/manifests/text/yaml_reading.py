"""YAML text into plain values, with every mistake named by line and column.

Scalars follow YAML 1.2's core schema rather than PyYAML's 1.1: ``no`` and ``on`` are text, ``22:30`` is text and not
1350, ``007`` is text and not an octal number. The C loader composes nodes; they are converted and dropped at once,
because ten thousand documents of nodes would weigh hundreds of megabytes. When a finding needs a place, its document
alone is composed again (``locate``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from controlplane.manifests.text.findings import FieldPath, Finding, SourceFile, field_text, shown

DEPTH_MAX = 48
# Values in one document, also with every alias expanded: a few aliases of aliases can stand for billions of values. A
# dataset with the most columns a table can have needs a fifth of this.
VALUES_MAX = 50_000

_STR = "tag:yaml.org,2002:str"
_INT = "tag:yaml.org,2002:int"
_FLOAT = "tag:yaml.org,2002:float"
_BOOL = "tag:yaml.org,2002:bool"
_NULL = "tag:yaml.org,2002:null"
_SEQ = "tag:yaml.org,2002:seq"
_MAP = "tag:yaml.org,2002:map"

_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_INT_FORM = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,39})|0x[0-9a-fA-F]{1,16}|0o[0-7]{1,21}")
# A dot or an exponent is what makes a float; digits alone are whole numbers or, where they are too many, text.
_FLOAT_FORM = re.compile(
    r"[-+]?(?:(?:0|[1-9][0-9]{0,59})?\.[0-9]{1,60}(?:[eE][-+]?[0-9]{1,4})?|(?:0|[1-9][0-9]{0,59})(?:\.|[eE][-+]?[0-9]{1,4}))"
)
_SPECIAL_FIRST = frozenset("-+.0123456789tTfFnN~")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a YAML document stands: its file's whole text, its first line from 1, and where its characters are."""

    path: str
    line: int
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class RawDocument:
    """One YAML document: its plain value, and where it stands."""

    place: Place
    data: object


class _Unreadable(yaml.MarkedYAMLError):
    """A document that is valid YAML, but not within what a manifest may be."""


class _Loader(yaml.CSafeLoader):
    """Composes nodes only; nothing is ever constructed from a tag."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._values = 0

    def next_document(self) -> Node | None:
        """Compose one more document. Raises yaml.YAMLError."""
        self._values = 0
        node: Node | None = self.get_node()
        return node

    def descend_resolver(self, current_node: Node | None, current_index: object) -> None:
        # The C composer calls this once a node; it recurses on the C stack, which must not run out.
        self._depth += 1
        self._values += 1
        if self._depth > DEPTH_MAX or self._values > VALUES_MAX:
            mark = current_node.start_mark if current_node is not None else None
            deep = self._depth > DEPTH_MAX
            limit = (
                f"nested deeper than {DEPTH_MAX} levels" if deep else f"more than {VALUES_MAX:,} values in one document"
            )
            raise _Unreadable(None, None, limit, mark)

    def ascend_resolver(self) -> None:
        self._depth -= 1

    def resolve(self, kind: type[Node], value: Any, implicit: Any) -> str:
        if kind is not ScalarNode:
            return _MAP if kind is MappingNode else _SEQ
        if not implicit[0] or (value and value[0] not in _SPECIAL_FIRST):
            return _STR
        return _plain_tag(value)


def _plain_tag(value: str) -> str:
    if value in _NULLS:
        return _NULL
    if value in _BOOLS:
        return _BOOL
    if _INT_FORM.fullmatch(value):
        return _INT
    if _FLOAT_FORM.fullmatch(value) and math.isfinite(float(value)):
        return _FLOAT
    return _STR


def read(source: SourceFile) -> tuple[list[RawDocument], list[Finding]]:
    """Read every document of a file, without the empty ones; after a syntax error the rest of it is not read."""
    findings: list[Finding] = []
    try:
        text = source.content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = source.content[: error.start]
        column = error.start - (before.rfind(b"\n") + 1) + 1
        finding = Finding(
            source.path,
            before.count(b"\n") + 1,
            column,
            "",
            "this is not UTF-8 text",
            "save the file in the UTF-8 encoding",
        )
        return [], [finding]
    documents: list[RawDocument] = []
    try:
        for node in _compose_all(text):
            document = _document(source.path, text, node, findings)
            if document is not None:
                documents.append(document)
    except yaml.YAMLError as error:
        findings.append(_syntax_finding(source.path, text, error))
    return documents, findings


def _compose_all(text: str) -> Iterator[Node]:
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.next_document()
            if node is not None:
                yield node
    finally:
        loader.dispose()


def _document(path: str, text: str, node: Node, findings: list[Finding]) -> RawDocument | None:
    if isinstance(node, ScalarNode) and node.tag == _NULL:
        return None
    mark = node.start_mark
    reader = _Conversion(path)
    try:
        data = reader.value(node, (), 0)
    except _Unreadable as error:
        findings.append(_syntax_finding(path, text, error))
        return None
    findings.extend(reader.findings)
    # From the beginning of the line, so that the indentation of a block stays what it was.
    start = mark.index - mark.column
    return RawDocument(Place(path, mark.line + 1, text, start, node.end_mark.index), data)


class _Conversion:
    """Turns one document's nodes into dicts, lists and scalars, and notes what is wrong on the way."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.findings: list[Finding] = []
        self.values = 0

    def value(self, node: Node, field: FieldPath, depth: int) -> object:
        """Convert a node. Raises _Unreadable when the document is too deep or too large."""
        self.values += 1
        if self.values > VALUES_MAX:
            raise _Unreadable(None, None, f"more than {VALUES_MAX:,} values once aliases are expanded", node.start_mark)
        if depth > DEPTH_MAX:
            raise _Unreadable(None, None, "an alias that contains itself", node.start_mark)
        if isinstance(node, ScalarNode):
            return node.value if node.tag == _STR else self._scalar(node, field)
        if isinstance(node, MappingNode) and node.tag == _MAP:
            return self._mapping(node, field, depth + 1)
        if isinstance(node, SequenceNode) and node.tag == _SEQ:
            return [self.value(item, (*field, index), depth + 1) for index, item in enumerate(node.value)]
        self._note(node, field, f"the tag {shown(node.tag)} is not supported", "remove the tag")
        return None

    def _mapping(self, node: MappingNode, field: FieldPath, depth: int) -> dict[str, object]:
        result: dict[str, object] = {}
        merged: list[tuple[Node, FieldPath]] = []
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode) or key_node.tag != _STR:
                self._note(key_node, field, "a key must be text", 'put the key into quotes, as in "1": …')
                continue
            key = key_node.value
            if key == "<<" and key_node.style not in ("'", '"'):
                merged.append((value_node, (*field, key)))
            elif key in result:
                self._note(key_node, (*field, key), f"{shown(key)} is given twice", "keep one of the two")
            else:
                result[key] = self.value(value_node, (*field, key), depth)
        for value_node, path in merged:
            self._merge(result, value_node, path, depth)
        return result

    def _merge(self, into: dict[str, object], node: Node, field: FieldPath, depth: int) -> None:
        parts = node.value if isinstance(node, SequenceNode) else [node]
        for part in parts:
            value = self.value(part, field, depth)
            if isinstance(value, dict):
                for key, item in value.items():
                    into.setdefault(key, item)
            else:
                self._note(part, field, "only a mapping can be merged with <<", "give << an alias of a mapping")

    def _scalar(self, node: ScalarNode, field: FieldPath) -> object:
        text, tag = node.value, node.tag
        if tag == _INT and _INT_FORM.fullmatch(text):
            return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
        if tag == _BOOL and text in _BOOLS:
            return _BOOLS[text]
        if tag == _NULL and text in _NULLS:
            return None
        if tag == _FLOAT and _FLOAT_FORM.fullmatch(text) and math.isfinite(float(text)):
            return float(text)
        if tag in (_INT, _BOOL, _NULL, _FLOAT):
            message = f"this is not what its tag !!{tag.rpartition(':')[2]} promises"
        else:
            message = f"the tag {shown(tag)} is not supported"
        self._note(node, field, message, "remove the tag")
        return None

    def _note(self, node: Node, field: FieldPath, message: str, hint: str) -> None:
        mark = node.start_mark
        self.findings.append(Finding(self.path, mark.line + 1, mark.column + 1, field_text(field), message, hint))


def _syntax_finding(path: str, text: str, error: yaml.YAMLError) -> Finding:
    if isinstance(error, _Unreadable):
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
        return Finding(path, line, column, "", str(error.problem), "split the document, or write it without aliases")
    if isinstance(error, yaml.MarkedYAMLError):
        return _marked_finding(path, text, error)
    if isinstance(error, yaml.reader.ReaderError):
        # The C reader counts bytes from the start of its UTF-8 copy of the text.
        before = text.encode()[: error.position]
        column = len(before[before.rfind(b"\n") + 1 :].decode(errors="replace")) + 1
        message = "a character here is not allowed in YAML"
        return Finding(path, before.count(b"\n") + 1, column, "", message, "remove the control character")
    return Finding(path, 0, 0, "", "this is not YAML", "")


def _marked_finding(path: str, text: str, error: yaml.MarkedYAMLError) -> Finding:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
    message = f"this is not YAML: {error.problem or 'unreadable'}"
    if error.context:
        begun = error.context_mark
        since = f" begun on line {begun.line + 1}" if begun is not None and begun.line + 1 != line else ""
        message += f" {error.context}{since}"
    return Finding(path, line, column, "", message, _syntax_hint(_line_of(text, line), error.problem or ""))


def _line_of(text: str, line: int) -> str:
    lines = text.split("\n", line)
    return lines[line - 1] if 0 < line <= len(lines) else ""


def _syntax_hint(line: str, problem: str) -> str:
    if "tab character" in problem:
        return "indent with spaces, not tabs"
    if "cannot start any token" in problem:
        return "indent with spaces, not tabs" if "\t" in line else "put the value into quotes"
    if "${" in line and ("{" in line.replace("${", "") or "[" in line):
        return 'inside { } or [ ] put a reference into quotes: "${…}"'
    if "mapping values are not allowed" in problem:
        return "put a value that contains ': ' into quotes, and check the indentation"
    if "expected key" in problem or "block end" in problem or "block mapping" in problem:
        return "check the indentation of this line and of the one before"
    if "undefined alias" in problem:
        return "a value that begins with * needs quotes"
    return ""


def locate(place: Place, fields: Sequence[tuple[FieldPath, bool]]) -> list[tuple[int, int]]:
    """Return line and column, from 1, of each (field, at its key?), or of the nearest ancestor of an absent field."""
    try:
        root = next(_compose_all(place.text[place.start : place.end]), None)
    except yaml.YAMLError:
        # A document that leans on directives of its file cannot be read alone: its first line still helps.
        root = None
    if root is None:
        return [(place.line, 1)] * len(fields)
    marks = [_mark_of(root, field, at_key) for field, at_key in fields]
    return [(place.line + mark.line, mark.column + 1) for mark in marks]


def _mark_of(node: Node, field: FieldPath, at_key: bool) -> Any:
    mark = node.start_mark
    for part in field:
        child = _child(node, part)
        if child is None:
            break
        key_node, node = child
        # A block begins on the line after its key, and people look for the key.
        is_block = isinstance(node, MappingNode | SequenceNode) and not node.flow_style
        mark = (key_node if key_node is not None and (at_key or is_block) else node).start_mark
    return mark


def _child(node: Node, part: str | int) -> tuple[Node | None, Node] | None:
    if isinstance(node, MappingNode):
        for key_node, value_node in node.value:
            if isinstance(key_node, ScalarNode) and key_node.value == part:
                return key_node, value_node
    if isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        return None, node.value[part]
    return None
