"""Contract messages as JSON."""

import json

from haulier.v1 import agent_pb2 as agent
from haulier.v1 import kinds_pb2 as kinds
from haulier.v1 import operator_pb2 as op

from controlplane.cli.as_json import as_dict, dump


def test_every_field_is_there_under_its_contract_name() -> None:
    value = as_dict(op.MigrationSummary(name="flights", verified_rows=336_776))
    assert set(value) == {field.name for field in op.MigrationSummary.DESCRIPTOR.fields}
    assert value["name"] == "flights"
    assert value["verified_rows"] == 336_776
    assert value["reason"] == ""
    assert value["elapsed_s"] == 0.0


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
