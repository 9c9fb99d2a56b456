"""What each side declares of engines and step kinds, held against the other side, the contract and what is packaged.

The sides ship apart and share no module, so each has a table of its own. Whoever takes one entry out of any of them, or
adds one to some of them only, fails here.
"""

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from google.protobuf.message import Message
from haulier.v1 import kinds_pb2 as k

from agentd.datastores.engines import ENGINES as OF_AGENT
from agentd.datastores.engines import place_asked
from agentd.datastores.port.failures import StepFailure
from agentd.executors.registry import BUILT_IN as KINDS_OF_AGENT
from agentd.executors.uses import Uses
from controlplane.core.migrations.clean_up import CLEAN_UP, LEFT_BY
from controlplane.manifests.compiling.step_kinds import BUILT_IN as KINDS_OF_CONTROL_PLANE
from controlplane.manifests.kinds.datastore import ENGINES as OF_CONTROL_PLANE
from tests.repo.test_docs import ROOT, page, section, ticked

OF_CONTRACT = {field.name for field in k.Datastore.DESCRIPTOR.oneofs_by_name["engine"].fields}
# Parameters of these messages are of step kinds; a kind that is retired leaves its message here.
PARAMS_OF_CONTRACT = {name for name in k.DESCRIPTOR.message_types_by_name if name.endswith("Params")}
VARIANTS = [(kind, undo, what) for kind in KINDS_OF_AGENT for undo in (False, True) for what in (0, 1)]


def alike() -> bool:
    """Whether every table has the entries of the contract, and no others."""
    params = {kind.params.__name__ for kind in KINDS_OF_AGENT.values() if kind.params is not None}
    theirs = {kind.params.__name__ for kind in KINDS_OF_CONTROL_PLANE.values()}
    kinds = KINDS_OF_AGENT.keys() == KINDS_OF_CONTROL_PLANE.keys() and params == theirs == PARAMS_OF_CONTRACT
    return kinds and OF_AGENT.keys() == OF_CONTROL_PLANE.keys() == OF_CONTRACT


ENTRIES = [
    (table, name) for table in (OF_AGENT, OF_CONTROL_PLANE, KINDS_OF_AGENT, KINDS_OF_CONTROL_PLANE) for name in table
]


@pytest.mark.parametrize(("table", "name"), ENTRIES, ids=[name for _, name in ENTRIES])
def test_an_entry_that_is_missing_anywhere_is_missed(
    monkeypatch: pytest.MonkeyPatch, table: dict[str, Any], name: str
) -> None:
    assert alike()
    monkeypatch.delitem(table, name)
    assert not alike()


def test_the_contract_and_both_sides_have_the_same_engines() -> None:
    assert alike()
    assert all(name == engine.name for name, engine in OF_AGENT.items())
    assert all(name == engine.name for name, engine in OF_CONTROL_PLANE.items())


@pytest.mark.parametrize("name", sorted(OF_CONTRACT))
def test_both_sides_say_the_same_of_an_engine(name: str) -> None:
    engine, spec = OF_AGENT[name], OF_CONTROL_PLANE[name].spec
    store = k.Datastore.DESCRIPTOR.fields_by_name[name].message_type
    assert store is not None
    if engine.is_server:
        assert "host" in spec.model_fields and spec.model_fields["port"].default == engine.port
    else:
        assert engine.path_field in spec.model_fields and engine.path_field in store.fields_by_name
    # Whatever a manifest may say of a place is somewhere in the message, or it would be lost on the way.
    of_every_datastore = {"engine", "concurrency_max", "migrations_max", "placement"}
    assert {field.removesuffix("_") for field in spec.model_fields} - of_every_datastore == {
        {"lock_wait_s": "lock_wait"}.get(field.name, field.name) for field in store.fields
    }


def test_what_an_agent_does_not_declare_is_refused() -> None:
    with pytest.raises(StepFailure, match="no engine this agent knows"):
        place_asked(k.Datastore(name="lake"))


@pytest.mark.parametrize("name", sorted(KINDS_OF_AGENT))
def test_both_sides_say_the_same_of_a_step_kind(name: str) -> None:
    mine, theirs = KINDS_OF_AGENT[name], KINDS_OF_CONTROL_PLANE[name]
    assert mine.params is theirs.params
    everything = [used(name, undo, what) for _, undo, what in VARIANTS if _ == name]
    if theirs.read_only:
        assert not any(each.writes or each.deletes or each.host_program for each in everything)
    if theirs.writes_destination:
        assert any(each.deletes for each in everything), "what a fence guards is what a step may replace"
    assert theirs.fenced is not any(each.host_program is not None for each in everything)


def test_whatever_leaves_something_behind_is_cleaned_up() -> None:
    leaving = {name for name, kind in KINDS_OF_CONTROL_PLANE.items() if kind.left_at is not None}
    assert leaving == LEFT_BY.keys() == set(KINDS_OF_AGENT[CLEAN_UP].allowed_with)


@pytest.mark.parametrize(("name", "undo", "what"), VARIANTS)
def test_a_step_kind_declares_every_datastore_of_its_parameters(name: str, undo: bool, what: int) -> None:
    params = filled(name, what)
    declared = [thing for thing, _, _ in KINDS_OF_AGENT[name].uses_of_read(params, undo).things()]
    mentioned = list(datastores_in(params))
    assert all(each in declared for each in mentioned)
    assert len(declared) == len(mentioned)


def used(name: str, undo: bool, what: int) -> Uses:
    return KINDS_OF_AGENT[name].uses_of_read(filled(name, what), undo)


def filled(name: str, what: int) -> Message:
    """Parameters with a datastore of its own wherever one can be; `what` chooses among alternatives."""
    made = KINDS_OF_AGENT[name].params
    assert made is not None
    params = made()
    _fill(params, name, what)
    return params


def _fill(message: Message, at: str, what: int) -> None:
    if isinstance(message, k.Datastore):
        message.name, message.csv.root = at, "/srv"
        return
    for field in message.DESCRIPTOR.fields:
        below, oneof = field.message_type, field.containing_oneof
        is_other = oneof is not None and len(oneof.fields) > 1 and oneof.fields[what % len(oneof.fields)] != field
        if below is None or field.is_repeated or is_other:
            continue
        getattr(message, field.name).SetInParent()
        _fill(getattr(message, field.name), f"{at}-{field.name}", what)


def datastores_in(message: Message) -> Iterator[k.Datastore]:
    """Every datastore anywhere in a message."""
    if isinstance(message, k.Datastore):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for each in value if field.is_repeated else (value,):
                yield from datastores_in(each)


# ---- What is packaged and written


def policies() -> Iterator[tuple[str, str]]:
    """Every policy that packages and examples bring: where, and its text."""
    yield "packaging/config/policy.toml", (ROOT / "packaging/config/policy.toml").read_text()
    values = yaml.safe_load((ROOT / "packaging/chart/values.yaml").read_text())
    yield "packaging/chart/values.yaml", values["agents"]["policy"]
    for document in yaml.safe_load_all((ROOT / "packaging/kubernetes/haulier.yaml").read_text()):
        if document and "policy.toml" in (document.get("data") or document.get("stringData") or {}):
            yield "packaging/kubernetes/haulier.yaml", (document.get("data") or document["stringData"])["policy.toml"]


def test_packages_bring_a_policy_with_the_kinds_that_say_so() -> None:
    wanted = {kind.name for kind in KINDS_OF_AGENT.values() if kind.by_default}
    found = dict(policies())
    assert len(found) == 3
    for where, text in found.items():
        assert set(tomllib.loads(text)["kinds"]) == wanted, where


def test_the_pages_name_every_engine_and_kind() -> None:
    of_manifests = ticked(page("manifests.md"))
    assert OF_AGENT.keys() <= of_manifests
    assert {kind.name for kind in KINDS_OF_AGENT.values() if kind.allowed_with or kind.needs_programs} <= ticked(
        page("host-policy.md")
    )
    assert "`uses`" in section(page("host-policy.md"), "## Step kinds of your own")


def test_every_library_is_preloaded_by_the_engine_that_needs_it() -> None:
    modules = {name for engine in OF_AGENT.values() for name in engine.preload}
    assert {"duckdb", "psycopg", "pyarrow.csv"} <= modules
