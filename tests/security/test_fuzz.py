"""Whatever bytes come as a step's parameters or as a message: the agent names what is wrong, and that is all."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from haulier.v1 import agent_pb2 as pb
from haulier.v1 import kinds_pb2 as k
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentd.core.grants import SessionId
from agentd.datastores.engines import place_asked
from agentd.datastores.port.failures import StepFailure
from agentd.enforcement.allowing import touched
from agentd.executors.context import Context
from agentd.executors.registry import BUILT_IN
from agentd.link import translate
from agentd.policy.host_policy import Policy
from agentd.policy.places import DatastoreRule
from agentd.policy.refusals import PolicyRefused
from tests.security.watching import digest_of_tree

HOME = "{home}"
TEXTS = ["", "id", "note", "readings.csv", "data.db", "files", "lake", "../outside/secret", "/etc/passwd", "SELECT 1"]
TEXTS += [HOME, f"{HOME}/data.db", f"{HOME}/data.duckdb", f"{HOME}/../outside", f"{HOME}/link", "\0", "a\nb", "é" * 70]
TEXTS += ["SELECT * FROM input", "SELECT id FROM input", ",", "''", '"', "mig_1/step_1/att_1", "part-00001.parquet"]
EXAMPLES = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))

texts = st.sampled_from(TEXTS) | st.text(max_size=20)
numbers = st.sampled_from([0, 1, 2, 9, 38, 39, 2**31, 2**32 - 1]) | st.integers(0, 2**32 - 1)


def values_of(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    """Values of a contract field, likely ones among them."""
    if field.message_type is not None:
        if field.message_type.GetOptions().map_entry:
            return st.dictionaries(texts, texts, max_size=3)
        return messages(field.message_type, depth + 1)
    if field.enum_type is not None:
        return st.integers(0, 12)
    kinds: dict[int, st.SearchStrategy[Any]] = {
        FieldDescriptor.TYPE_STRING: texts.filter(_is_sendable),
        FieldDescriptor.TYPE_BYTES: st.binary(max_size=40),
        FieldDescriptor.TYPE_BOOL: st.booleans(),
        FieldDescriptor.TYPE_DOUBLE: st.floats() | st.sampled_from([1.0, 60.0]),
    }
    return kinds.get(field.type, numbers)


def _is_sendable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def messages(descriptor: Any, depth: int = 0) -> st.SearchStrategy[dict[str, Any]]:
    """Fields of a message, most of them set."""
    fields = {}
    for field in descriptor.fields:
        found = values_of(field, depth)
        is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
        fields[field.name] = st.lists(found, max_size=3) if field.is_repeated and not is_map else found
    if depth > 4:
        return st.just({})
    return st.fixed_dictionaries({}, optional=fields)


def filled(kind: type[Message], told: dict[str, Any]) -> Message:
    """A message of the fields; of a oneof the last one stays."""
    message = kind()
    for name, value in told.items():
        field = message.DESCRIPTOR.fields_by_name[name]
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            getattr(message, name).update({k_: v for k_, v in value.items() if _is_sendable(k_ + v)})
        elif field.message_type is not None:
            below = type(getattr(kind(), name).add() if field.is_repeated else getattr(kind(), name))
            if field.is_repeated:
                getattr(message, name).extend(filled(below, each) for each in value)
            else:
                getattr(message, name).CopyFrom(filled(below, value))
        elif field.is_repeated:
            getattr(message, name).extend(value)
        else:
            setattr(message, name, value)
    return message


class Ground:
    """A root with data that may be touched, and a tree beside it that may not."""

    def __init__(self, home: Path) -> None:
        self.root, self.outside = home / "root", home / "outside"
        self.root.mkdir()
        self.outside.mkdir()
        (self.outside / "secret").write_text("canary")
        (self.root / "readings.csv").write_text("id,note\n1,one\n")
        (self.root / "link").symlink_to(self.outside)
        self.before = digest_of_tree(self.outside)
        names = [DatastoreRule(name) for name in ("files", "lake", "id", "note", "*")]
        self.policy = Policy(home / "policy", kinds=("*",), datastores=tuple(names), roots=(str(self.root),))

    def allow(self, datastore: k.Datastore) -> None:
        try:
            self.policy.check_place(place_asked(datastore))
        except PolicyRefused as error:
            raise StepFailure("policy_refused", str(error)) from error

    def context(self, params: bytes) -> Context:
        directory = self.root.parent / "att_1"
        directory.mkdir(exist_ok=True)
        return Context("att_1", "step_1", "mig_1", 1, 7, "t", params, directory, allow_datastore=self.allow)


def told_apart(work: Callable[[], object]) -> None:
    """Work may be refused, by name; anything else that is raised is a bug."""
    try:
        work()
    except (StepFailure, PolicyRefused) as error:
        assert str(error)


@pytest.mark.parametrize("kind", BUILT_IN)
def test_no_parameters_bring_a_step_to_anything_but_an_answer(kind: str) -> None:
    made = BUILT_IN[kind].params
    assert made is not None

    @EXAMPLES
    @given(messages(made.DESCRIPTOR), st.binary(max_size=8), st.booleans())
    def trial(told: dict[str, Any], noise: bytes, undo: bool) -> None:
        with tempfile.TemporaryDirectory() as home:
            ground = Ground(Path(home))
            data = filled(made, told).SerializeToString().replace(HOME.encode(), str(ground.root).encode())
            found = BUILT_IN[kind].make()
            for params in (filled_again(made, told, str(ground.root)), data[: len(data) // 2] + noise):
                context = ground.context(params)
                told_apart(lambda context=context: found.undo(context) if undo else found.run(context))  # type: ignore[misc]
                told_apart(lambda params=params: judged(ground.policy, kind, params, undo))  # type: ignore[misc]
            assert digest_of_tree(ground.outside) == ground.before

    trial()


def filled_again(kind: type[Message], told: dict[str, Any], home: str) -> bytes:
    """The same message with the ground's own paths in it, lengths and all."""

    def placed(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace(HOME, home)
        if isinstance(value, dict):
            return {name: placed(each) for name, each in value.items()}
        return [placed(each) for each in value] if isinstance(value, list) else value

    return filled(kind, placed(told)).SerializeToString()


def judged(policy: Policy, kind: str, params: bytes, undo: bool) -> None:
    touched(policy, BUILT_IN[kind].uses_of(params, undo))


@EXAMPLES
@given(messages(pb.SessionResponse.DESCRIPTOR), st.binary(max_size=30), st.integers(0, 400))
def test_no_message_brings_the_link_to_anything_but_events(told: dict[str, Any], noise: bytes, at: int) -> None:
    data = filled(pb.SessionResponse, told).SerializeToString()
    for each in (data, data[:at] + noise + data[at:]):
        try:
            message = pb.SessionResponse.FromString(each)
        except DecodeError:
            continue
        for event in translate.said(SessionId(1, 1), message):
            if not isinstance(event, translate.BadMessage):
                assert type(event).__module__ == "agentd.core.events"
        try:
            translate.welcome(SessionId(1, 1), message)
        except translate.BadMessage as error:
            assert str(error)
