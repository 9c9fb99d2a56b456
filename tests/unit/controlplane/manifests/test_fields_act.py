"""Every field of every kind acts, is for people, or is warned about: each is changed, to see what follows."""

from __future__ import annotations

import copy
import json
import re
import types
import typing
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import controlplane
from controlplane.manifests.compiling.plans import compile_migration
from controlplane.manifests.idle_fields import IDLE, warnings_about, warnings_of
from controlplane.manifests.kinds.datastore import ENGINES
from controlplane.manifests.kinds.documents import KINDS, load_spec, spec_model
from controlplane.manifests.kinds.fleet import FleetSpec, policy_of
from controlplane.manifests.kinds.model import Metadata
from controlplane.manifests.parsing import parse
from controlplane.manifests.text.findings import WARNING, SourceFile
from controlplane.manifests.validating import validate
from controlplane.service.migrations.planning import limits_of

Step = str | int
Way = tuple[Step, ...]

# Notes to people: nothing is expected of them.
FOR_PEOPLE = {
    ("Metadata", "annotations"),
    ("Metadata", "description"),
    ("Dataset", "consumers.name"),
    ("Dataset", "consumers.contact"),
    ("Dataset", "consumers.location"),
    ("Workflow", "parameters.description"),
}
# What acts outside of a compiled migration, and the product's text that reads it.
READ_BY = {
    ("Metadata", "name"): ("manifests/kinds/documents.py", r"metadata\.name"),
    ("Metadata", "labels"): ("service/migrations/selection.py", r"each\.labels"),
    ("Dataset", "owner"): ("service/access/ownership.py", r'get\("owner"'),
    ("Migration", "retention.staged"): ("service/migrations/planning.py", r"retention\.staged"),
    ("Migration", "retention.former"): ("service/migrations/planning.py", r"retention\.former"),
    ("Fleet", "hosts.labels"): ("service", r"hosts\.labels"),
    ("Fleet", "release"): ("service", r"\.release\b"),
    ("Fleet", "replicas"): ("service", r"\.replicas\b"),
    ("Fleet", "health.heardWithin"): ("service", r"heard_within"),
    ("Fleet", "health.readyMin"): ("service", r"ready_min"),
    ("Fleet", "rollout.start"): ("service", r"rollout\.start\b"),
}

VALUES: tuple[Any, ...] = (
    *(True, False, 1, 2, 7, 5433, 2.5, 4.5),
    *("alpha", "beta", "lone", "ltwo", "stg", "dst", "1h", "2h", "/srv/a", "/srv/b", ";", "|"),
    *(
        "0640",
        "0660",
        "env:ALPHA",
        "env:BETA",
        "text",
        "int64",
        "20%",
        "30%",
        "1MiB",
        "2MiB",
        "21:30",
        "23:30",
        "UTC",
        "Europe/Berlin",
    ),
    *("1.2.3", "1.2.4", "extract", "load", "SELECT a FROM input", "SELECT b FROM input", "SELECT 1", "SELECT 2"),
    *(["alpha"], ["beta"], ["extract"], ["a"], ["b"], ["lone"], ["ltwo"], [["1"]], [["2"]], ["mon"], ["tue"]),
    *("refuse", "replace", "auto", "manual", "none", "rollBack", "stay", "disable", "require", "verify-full"),
    *({"alpha": "1"}, {"alpha": "2"}, {"partRows": 11}, {"partRows": 12}),
    *(["20%", "100%"], ["30%", "100%"], [{"name": "a", "type": "int64"}], [{"name": "b", "type": "int64"}]),
    *({"source": "${migration.source}", "staging": "${migration.staging}", "partRowsMax": rows} for rows in (5, 6)),
    *(["index"], ["index:one"], "0640", "0660"),
)

PLACES: dict[str, dict[str, Any]] = {
    "csv": {"root": "/srv/csv"},
    "parquet": {"root": "/srv/parquet"},
    "sqlite": {"path": "/srv/one.sqlite"},
    "duckdb": {"path": "/srv/one.duckdb"},
    # A certificate and its key are given together, so that one of them can change.
    "postgresql": {"host": "pg", "database": "one", "user": "mover", "sslcert": "/etc/pg.crt", "sslkey": "/etc/pg.key"},
}


def a_store(engine: str, name: str) -> dict[str, Any]:
    return document("Datastore", name, {"engine": engine, **PLACES[engine]})


def document(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "haulier/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def a_dataset(name: str) -> dict[str, Any]:
    columns = [{"name": "a", "type": "int64"}, {"name": "b", "type": "text"}]
    spec: dict[str, Any] = {
        "owner": "air",
        "datastore": "src",
        "object": f"in_{name}",
        "columns": columns,
        "key": ["b"],
    }
    spec |= {"consumers": [{"name": "desk"}], "showValues": True}
    spec["transformations"] = [{"name": "cut", "sql": "SELECT a FROM input"}]
    return document("Dataset", name, spec)


def a_workflow(*extra: dict[str, Any]) -> dict[str, Any]:
    steps = [
        {
            "name": "extract",
            "kind": "extract",
            "params": {
                "source": "${migration.source}",
                "staging": "${migration.staging}",
                "partRowsMax": "${parameters.partRows}",
            },
        },
        {
            "name": "transform",
            "kind": "transform",
            "needs": ["extract"],
            "params": {
                "input": "${steps.extract.output}",
                "sql": "${migration.transform}",
                "columns": "${migration.destination.columns}",
            },
        },
        {
            "name": "load",
            "kind": "load",
            "needs": ["transform"],
            "params": {
                "input": "${steps.transform.output}",
                "destination": "${migration.destination}",
                "ifExists": "${migration.ifExists}",
                "waive": "${migration.waive}",
            },
        },
        {
            "name": "validate",
            "kind": "validate",
            "needs": ["load"],
            "params": {
                "source": "${migration.source}",
                "extracted": "${steps.extract.output}",
                "loaded": "${steps.transform.output}",
                "transformSql": "${migration.transform}",
                "destination": "${migration.destination}",
                "testQueries": "${migration.testQueries}",
                "publishedFence": "${steps.load.publishedFence}",
            },
        },
        {"name": "own", "kind": "acme-own", "needs": ["load"]},
        *extra,
    ]
    return document("Workflow", "wf", {"parameters": {"partRows": {"default": 9}}, "steps": steps})


def a_migration() -> dict[str, Any]:
    columns = [{"name": "a", "type": "int64"}, {"name": "c", "type": "text"}]
    spec: dict[str, Any] = {"dataset": "ds", "workflow": "wf", "staging": "stg", "transform": "SELECT a FROM input"}
    spec["to"] = {"datastore": "dst", "object": "out", "columns": columns, "key": ["c"]}
    spec["testQueries"] = [{"name": "q", "sql": "SELECT 1", "expect": [["1"]]}]
    return document("Migration", "mv", spec)


def a_fleet() -> dict[str, Any]:
    windows = [{"from": "20:00", "to": "22:00"}]
    return document("Fleet", "all", {"rollout": {"windows": windows}})


def world(engine: str = "csv") -> dict[tuple[str, str], dict[str, Any]]:
    """Documents in which everything is used."""
    found = [a_store(engine, "src"), a_store("duckdb", "dst"), a_store("parquet", "stg"), a_store("duckdb", "other")]
    found[3]["spec"]["path"] = "/srv/other.duckdb"
    found += [a_dataset("ds"), a_dataset("lone"), a_dataset("ltwo"), a_workflow(), a_migration(), a_fleet()]
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


def observe(documents: dict[tuple[str, str], dict[str, Any]]) -> str:
    """Everything that follows from these documents but their own text."""
    parsed = parse([SourceFile(f"{n}", json.dumps(each).encode()) for n, each in enumerate(documents.values())])
    specs: Any = {each.key: each.spec for each in parsed.documents}
    wrong = [*parsed.findings, *validate(parsed.documents, {}, parsed.refused)]
    if wrong:
        return "refused: " + "; ".join(sorted(each.message for each in wrong))
    stores = {name: spec for (kind, name), spec in specs.items() if kind == "Datastore"}
    own = specs["Migration", "mv"]
    plan = compile_migration("mv", own, specs["Workflow", own.workflow], specs["Dataset", own.dataset], stores)
    fleet = specs["Fleet", "all"]
    assert isinstance(fleet, FleetSpec)
    return repr((plan, limits_of(stores, None), policy_of(fleet)))


def leaves(model: type[BaseModel], before: Way = ()) -> Iterator[Way]:
    """Every field of a model that holds no further model, by the keys that people write."""
    for name, field in model.model_fields.items():
        here = (*before, field.alias or name)
        inner, many = _model_in(field.annotation)
        if inner is None:
            yield here
        else:
            yield from leaves(inner, (*here, *([0] if many == "list" else ["partRows"] if many == "map" else [])))


def _model_in(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    origin = typing.get_origin(annotation)
    for part in typing.get_args(annotation):
        inner, _ = _model_in(part)
        if inner is not None:
            return inner, "list" if origin is tuple else "map" if origin is dict else ""
    if isinstance(annotation, types.UnionType):
        return None, ""
    return None, ""


def said(way: Way) -> str:
    """A field as people say it, without places in lists and names in maps."""
    return ".".join(step for step in way if isinstance(step, str) and step != "partRows")


def put(spec: Any, way: Way, value: Any) -> None:
    for step, after in pairwise(way):
        if isinstance(spec, dict) and step not in spec:
            spec[step] = [] if isinstance(after, int) else {}
        spec = spec[step]
    spec[way[-1]] = value


def variants(kind: str, name: str, way: Way, engine: str = "csv") -> Iterator[dict[tuple[str, str], dict[str, Any]]]:
    """Worlds that differ in one field and whose documents have the right form."""
    base = world(engine)
    ways = [way]
    if kind == "Workflow" and way[0] == "steps":
        ways = [("steps", index, *way[2:]) for index in range(5)]
    for each in ways:
        for value in VALUES:
            changed = copy.deepcopy(base)
            try:
                put(changed[kind, name]["spec"], each, value)
                load_spec(kind, json.dumps(changed[kind, name]["spec"]))
            except (ValueError, IndexError, TypeError, KeyError):
                continue
            yield changed


NAMED = {"Dataset": "ds", "Workflow": "wf", "Migration": "mv", "Fleet": "all"}
SPECS = [(kind, name, "csv") for kind, name in NAMED.items()]
SPECS += [("Datastore", "src", engine) for engine in ENGINES]
FIELDS = [
    (kind, name, engine, way) for kind, name, engine in SPECS for way in leaves(spec_model(kind, {"engine": engine}))
]
IDLE_FIELDS = {(kind, idle.key) for kind, fields in IDLE.items() for idle in fields}


def test_the_worlds_are_right() -> None:
    for engine in ENGINES:
        assert not observe(world(engine)).startswith("refused")
    assert {kind for kind, *_ in SPECS} == set(KINDS)


def shown_as(each: Any) -> str:
    return said(each) if isinstance(each, tuple) else str(each)


@pytest.mark.parametrize(("kind", "name", "engine", "way"), FIELDS, ids=shown_as)
def test_a_field_acts_or_is_for_people_or_is_warned_about(kind: str, name: str, engine: str, way: Way) -> None:
    known = (kind, said(way))
    before = observe(world(engine))
    followed = (observe(changed) for changed in variants(kind, name, way, engine))
    if known in FOR_PEOPLE or (kind, str(way[0])) in IDLE_FIELDS:
        accepted = {each for each in followed if not each.startswith("refused")}
        assert accepted <= {before}, f"{known} acts: say so in the manual, and take it off the list"
    elif known in READ_BY:
        assert_read(*READ_BY[known])
    elif known != ("Datastore", "engine"):  # what may be chosen is another model
        assert any(each != before for each in followed), (
            f"{known} changes nothing: let it act, or warn about it in idle_fields.py"
        )


@pytest.mark.parametrize("name", Metadata.model_fields)
def test_metadata_is_read_or_for_people(name: str) -> None:
    if ("Metadata", name) not in FOR_PEOPLE:
        assert_read(*READ_BY["Metadata", name])


def assert_read(where: str, pattern: str) -> None:
    at = Path(controlplane.__path__[0]) / where
    texts = [at] if at.is_file() else sorted(at.rglob("*.py"))
    assert any(re.search(pattern, text.read_text()) for text in texts), f"nothing in {where} reads {pattern}"


def test_each_idle_field_is_warned_about_where_it_is_set_and_nowhere_else() -> None:
    plain = {"owner": "air", "datastore": "src", "object": "in"}
    set_to: dict[str, Any] = {
        "dependsOn": ["lone"],
        "window": "sundays",
        "transformations": [{"name": "cut", "sql": "SELECT a FROM input"}],
    }
    assert {("Dataset", key) for key in set_to} == IDLE_FIELDS
    for key, value in set_to.items():
        text = json.dumps(document("Dataset", "ds", {**plain, key: value}), indent=1)
        parsed = parse([SourceFile("a.yaml", text.encode())])
        (warning,) = warnings_of(parsed.documents)
        assert (warning.path, warning.field, warning.severity) == ("a.yaml", f"spec.{key}", WARNING)
        assert key in text.splitlines()[warning.line - 1]
        assert warning.message and warning.hint
        (again,) = warnings_about("Dataset", "ds", parsed.documents[0].spec)
        assert (again.path, again.field, again.message) == ("Dataset/ds", f"spec.{key}", warning.message)
    bare = parse([SourceFile("a.yaml", json.dumps(document("Dataset", "ds", plain)).encode())])
    assert warnings_of(bare.documents) == () and warnings_about("Dataset", "ds", bare.documents[0].spec) == []
