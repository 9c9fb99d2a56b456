"""Contract messages as JSON."""

import json

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from haulier.v1 import access_pb2 as access
from haulier.v1 import agent_pb2 as agent
from haulier.v1 import audit_pb2 as audit
from haulier.v1 import fleet_pb2 as fleet
from haulier.v1 import kinds_pb2 as kinds
from haulier.v1 import operator_pb2 as op

from controlplane.cli.screen.as_json import as_dict, dump


def test_every_field_is_there_under_its_contract_name() -> None:
    value = as_dict(op.MigrationSummary(name="flights", verified_rows=336_776))
    assert set(value) == {field.name for field in op.MigrationSummary.DESCRIPTOR.fields}
    assert value["name"] == "flights"
    assert value["verified_rows"] == 336_776
    assert value["reason"] == ""
    assert value["elapsed_s"] == 0.0


def messages() -> list[type[Message]]:
    """Every message that a service for people answers with."""
    services = [service for file in (op, access, fleet, audit) for service in file.DESCRIPTOR.services_by_name.values()]
    return [GetMessageClass(method.output_type) for service in services for method in service.methods]


def filled(message: Message, depth: int = 0) -> Message:
    """The message with JSON in every text whose name says that it is JSON, however deep."""
    for field in message.DESCRIPTOR.fields:
        if field.message_type is not None and not field.message_type.GetOptions().map_entry and depth < 6:
            inner = getattr(message, field.name)
            filled(inner.add() if field.is_repeated else inner, depth + 1)
            if not field.is_repeated:
                inner.SetInParent()
        elif field.name.endswith("_json"):
            setattr(message, field.name, '{"deep": {"fence": 4611686018427387905}}')
    return message


def texts(value: object) -> list[str]:
    """Every text in a JSON value."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    return [value] if isinstance(value, str) else []


def test_no_answer_has_json_inside_a_text() -> None:
    found = 0
    for kind in messages():
        value = as_dict(filled(kind()))
        assert not [text for text in texts(value) if text[:1] in ("{", "[")], kind
        assert "_json" not in dump(value)
        found += "deep" in dump(value)
    assert found >= 3, "manifests, steps and events have such texts"


def test_structure_is_kept_as_it_is_and_fences_in_it_are_texts() -> None:
    fence = (1_760_000_000 << 32) + 1
    step = op.StepView(result_json=json.dumps({"publishedFence": fence, "rows": 7, "checks": [{"fence": fence}]}))
    assert as_dict(step)["result"] == {"publishedFence": str(fence), "rows": 7, "checks": [{"fence": str(fence)}]}
    assert as_dict(op.StepView())["result"] is None
    assert as_dict(op.StepView(result_json="from a newer one"))["result"] == "from a newer one"


def test_fences_are_strings_because_they_use_all_64_bits() -> None:
    fence = (1_760_000_000 << 32) + 1
    assert as_dict(op.AttemptView(fence=fence))["fence"] == str(fence)
    assert as_dict(kinds.LoadResult(published_fence=fence))["published_fence"] == str(fence)


def test_enums_are_words() -> None:
    assert as_dict(op.ManifestOutcome(change=op.MANIFEST_CHANGE_CREATED))["change"] == "created"
    assert as_dict(op.AttemptView(direction=agent.DIRECTION_UNDO))["direction"] == "undo"
    assert as_dict(kinds.Column(type=kinds.COLUMN_TYPE_INT64))["type"] == "int64"


def test_an_enum_value_from_a_newer_control_plane_is_its_number() -> None:
    outcome = op.ManifestOutcome.FromString(b"\x18\x63")
    assert as_dict(outcome)["change"] == "99"


def test_messages_lists_maps_and_bytes() -> None:
    view = op.AgentView(labels={"zone": "b", "disk": "a"}, kinds=["load"], sample=agent.HostSample(cpu_fraction=0.5))
    value = as_dict(view)
    assert list(value["labels"].items()) == [("disk", "a"), ("zone", "b")]
    assert value["kinds"] == ["load"]
    assert value["sample"]["cpu_fraction"] == 0.5
    assert as_dict(op.AgentView())["sample"] is None
    assert as_dict(kinds.Staged(digest=b"\x00\xff"))["digest"] == "00ff"
    listing = op.ListMigrationsResponse(migrations=[op.MigrationSummary(name="a")])
    assert as_dict(listing)["migrations"][0]["name"] == "a"
    assert as_dict(op.GetStatusResponse(steps={"ready": 2}))["steps"] == {"ready": 2}


def test_json_text_cannot_act_on_a_terminal_and_still_says_the_same() -> None:
    hostile = {"name": "a\x1b[2J\x9b\u202e\u2028\x7f ü"}
    text = dump(hostile)
    assert not any(character in text for character in "\x1b\x9b\u202e\u2028\x7f")
    assert "ü" in text
    assert json.loads(text) == hostile
    assert "\n" not in dump({"a": [1, 2]}, indent=None)
