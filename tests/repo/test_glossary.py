"""Names in the contract and in the control plane's core are made of words that the glossary defines."""

import ast
import re
from functools import cache
from pathlib import Path

from google.protobuf.descriptor import FileDescriptor
from haulier.v1 import (
    access_pb2,
    agent_pb2,
    audit_pb2,
    black_box_pb2,
    fleet_pb2,
    kinds_pb2,
    operator_pb2,
    release_pb2,
    repository_pb2,
)

ROOT = Path(__file__).parents[2]
CONTRACT: list[FileDescriptor] = [
    each.DESCRIPTOR
    for each in (
        access_pb2,
        agent_pb2,
        audit_pb2,
        black_box_pb2,
        fleet_pb2,
        kinds_pb2,
        operator_pb2,
        release_pb2,
        repository_pb2,
    )
]
# Names of messages that say only half of a word that is defined.
SHORTENED = {"ShownHead": "treehead", "MetadataVersions": "signedmetadata"}
# Words that no name may contain, whatever the sentence: each has one of ours in its place.
BANNED = {"job", "task", "worker", "node", "master", "slave", "epoch", "subscriber", "asset"}


@cache
def defined() -> frozenset[str]:
    """Every word in bold in a table's first column, lower case, without spaces and hyphens."""
    rows = re.findall(r"^\| (\*\*.+?\*\*) \|", (ROOT / "GLOSSARY.md").read_text(), re.MULTILINE)
    words = [word for row in rows for word in re.findall(r"\*\*(.+?)\*\*", row)]
    assert len(words) == len(set(words)), "a word is defined twice"
    return frozenset(re.sub(r"[\s-]", "", word) for word in words)


def words_of(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z][a-z0-9]*", name)]


def singular(word: str) -> str:
    return word.removesuffix("ies") + "y" if word.endswith("ies") else word.removesuffix("s")


def has_a_defined_word(name: str) -> bool:
    words = words_of(name)
    if SHORTENED.get(name) in defined():
        return True
    phrases = ["".join(words[start:end]) for start in range(len(words)) for end in range(start + 1, len(words) + 1)]
    return any(phrase in defined() or singular(phrase) in defined() for phrase in phrases)


def contract_names() -> list[str]:
    """Messages and enums; a request or a response is named by its method, which is a sentence."""
    names = [name for file in CONTRACT for name in (*file.message_types_by_name, *file.enum_types_by_name)]
    return [name for name in names if not name.endswith(("Request", "Response"))]


def core_names() -> list[str]:
    return [
        node.name
        for path in (ROOT / "controlplane" / "core").glob("*.py")
        if path.name in ("model.py", "states.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith(("_", "Invalid"))
    ]


def test_every_noun_of_the_contract_is_defined() -> None:
    # Each engine has a message of its own name; Datastore is their noun.
    names = [name for name in contract_names() if not name.endswith("Store") and name != "IfExists"]
    assert len(names) > 40
    assert not [name for name in names if not has_a_defined_word(name)]


def test_every_noun_of_the_core_is_defined() -> None:
    names = core_names()
    assert len(names) > 10
    assert not [name for name in names if not has_a_defined_word(name)]


def test_no_name_uses_a_banned_word() -> None:
    fields = [
        f"{message.name}.{field.name}"
        for file in CONTRACT
        for message in file.message_types_by_name.values()
        for field in message.fields
        if BANNED & set(field.name.split("_"))
    ]
    assert not fields
    assert not [name for name in (*contract_names(), *core_names()) if BANNED & set(words_of(name))]


def test_banned_words_are_not_defined() -> None:
    assert not BANNED & defined()
