"""The schemas for editors say what the models say."""

from __future__ import annotations

import json

import pytest

from controlplane.manifests.kinds.documents import KINDS
from controlplane.manifests.kinds.json_schema import any_schema, schema


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_stands_alone(kind: str) -> None:
    found = schema(kind)
    text = json.dumps(found)
    assert found["properties"]["kind"] == {"const": kind}
    assert found["additionalProperties"] is False
    named = {part.split('"')[0] for part in text.split('"#/$defs/')[1:]}
    assert named <= found.get("$defs", {}).keys()


def test_fields_are_spelt_as_people_write_them() -> None:
    dataset = schema("Dataset")
    assert {"dependsOn", "owner", "columns"} <= dataset["properties"]["spec"]["properties"].keys()
    datastore = json.dumps(schema("Datastore"))
    assert '"passwordRef"' in datastore
    assert '"schema"' in datastore
    assert '"schema_"' not in datastore


def test_one_schema_covers_every_kind() -> None:
    assert [one["title"] for one in any_schema()["oneOf"]] == list(KINDS)
    with pytest.raises(KeyError):
        schema("Job")
