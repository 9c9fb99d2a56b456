"""What a store keeps for the record: manifests, agents, tokens, answers."""

import pytest

from controlplane.core.model import Requirements
from controlplane.core.states import AgentState, Liveness
from controlplane.store.port import Conflict, JoinToken, OperatorToken, Resource
from tests.contract.store.conftest import StoreUnderTest
from tests.kit.builders import NOW, an_agent

TOKEN = JoinToken("hash-1", "host-1", NOW + 900.0, "", "", "", None)


def resource(name: str, generation: int = 1, kind: str = "Dataset", spec: str = "{}") -> Resource:
    return Resource(kind, name, generation, f"digest-{generation}", '{"labels":{}}', spec, NOW + generation)


def test_manifests_keep_their_newest_generation(store: StoreUnderTest) -> None:
    store.write(lambda tx: tx.put_resources([resource("b"), resource("a"), resource("c", kind="Datastore")]))
    store.write(lambda tx: tx.put_resources([resource("a", 2, spec='{"x":1}')]))
    assert store.read(lambda tx: tx.resource("Dataset", "a")) == resource("a", 2, spec='{"x":1}')
    assert store.read(lambda tx: tx.resource("Dataset", "c")) is None
    assert [row.name for row in store.read(lambda tx: tx.resources("Dataset", "", 9))] == ["a", "b"]
    assert [row.name for row in store.read(lambda tx: tx.resources("Dataset", "a", 9))] == ["b"]
    assert [row.name for row in store.read(lambda tx: tx.resources("Dataset", "", 1))] == ["a"]
    assert store.read(lambda tx: tx.all_specs()) == {
        ("Dataset", "a"): (2, "digest-2", '{"x":1}'),
        ("Dataset", "b"): (1, "digest-1", "{}"),
        ("Datastore", "c"): (1, "digest-1", "{}"),
    }


def test_agents_are_kept_whole_and_found_by_id_and_name(store: StoreUnderTest) -> None:
    one = an_agent(labels={"zone": "a"}, datastores=frozenset({"lake", "shop"}))
    two = an_agent(id="ag_2", name="a-host", liveness=Liveness.SUSPECT, liveness_cause="closed")
    store.batch([lambda tx: tx.put_agent(one, NOW), lambda tx: tx.put_agent(two, NOW)])
    assert store.read(lambda tx: tx.agent("ag_1")) == one
    assert store.read(lambda tx: tx.agent_by_name("a-host")) == two
    assert store.read(lambda tx: tx.agent("host-1")) is None
    assert store.read(lambda tx: tx.agent_by_name("ag_1")) is None
    assert [agent.name for agent, _ in store.read(lambda tx: tx.agents())] == ["a-host", "host-1"]
    drained = an_agent(state=AgentState.DRAINING, drain_reason="new disk", incarnation=7, slots=1)
    store.write(lambda tx: tx.put_agent(drained, NOW + 5.0))
    assert store.read(lambda tx: tx.agent("ag_1")) == drained
    assert store.read(lambda tx: tx.counts())["agents"] == {"alive": 1, "suspect": 1}


def test_placement_classes_are_kept_once(store: StoreUnderTest) -> None:
    requirements = Requirements("load", ("lake",), (("zone", "a"),))
    store.write(lambda tx: tx.put_class("pc_1", requirements))
    store.write(lambda tx: tx.put_class("pc_1", Requirements("extract")))
    assert store.read(lambda tx: tx.classes()) == {"pc_1": requirements}


def test_a_join_token_is_used_once(store: StoreUnderTest) -> None:
    used = TOKEN._replace(
        used_request_id="r1", used_key_fingerprint="f1", used_agent_name="host-1", answer=b"certificate"
    )
    store.write(lambda tx: tx.put_join_token(TOKEN))
    assert store.read(lambda tx: tx.join_token("hash-1")) == TOKEN
    assert store.read(lambda tx: tx.join_token("hash-2")) is None
    store.write(lambda tx: tx.use_join_token(used))
    with pytest.raises(Conflict, match="the join token was used before"):
        store.write(lambda tx: tx.use_join_token(used._replace(used_request_id="r2")))
    assert store.read(lambda tx: tx.join_token("hash-1")) == used


def test_operators_are_kept(store: StoreUnderTest) -> None:
    ada = OperatorToken("ada", "operator", "hash-9", NOW + 60.0)
    store.write(lambda tx: tx.put_operator_token(ada, NOW))
    assert store.read(lambda tx: tx.operator_token("hash-9")) == ada
    assert store.read(lambda tx: tx.operator_token("hash-8")) is None


def test_an_answer_is_kept_for_a_repeat(store: StoreUnderTest) -> None:
    assert store.read(lambda tx: tx.answer("r1")) is None
    store.write(lambda tx: tx.keep_answer("r1", "StartMigrations", "[]", NOW))
    assert store.read(lambda tx: tx.answer("r1")) == ("StartMigrations", "[]")


def test_a_store_begins_with_the_first_generation(store: StoreUnderTest) -> None:
    assert store.read(lambda tx: tx.generation()) == 1
    store.reopen()
    assert store.read(lambda tx: tx.generation()) == 1
