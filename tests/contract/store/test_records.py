"""What a store keeps for the record: manifests, agents, tokens, answers."""

import pytest

from controlplane.core.model import Requirements
from controlplane.core.states import AgentState, Liveness
from controlplane.store.port import Conflict
from controlplane.store.verbs.access import Approval, Certificate, JoinToken, OperatorToken
from controlplane.store.verbs.inventory import AppliedSpec, Resource
from controlplane.store.verbs.store import GivenAnswer
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
        ("Dataset", "a"): AppliedSpec(2, "digest-2", '{"x":1}'),
        ("Dataset", "b"): AppliedSpec(1, "digest-1", "{}"),
        ("Datastore", "c"): AppliedSpec(1, "digest-1", "{}"),
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
    assert store.read(lambda tx: tx.counts()).agents == {"alive": 1, "suspect": 1}


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


def test_operators_are_kept_and_revoked_once(store: StoreUnderTest) -> None:
    ada = OperatorToken("id-1", "ada", "operator", ("ops",), "$argon2id$…", NOW + 60.0, NOW, "bob", None)
    store.write(lambda tx: tx.put_operator(ada))
    assert store.read(lambda tx: tx.operator("id-1")) == ada
    assert store.read(lambda tx: tx.operator("id-2")) is None
    for at in (NOW + 1.0, NOW + 2.0):
        store.write(lambda tx, at=at: tx.revoke_operator("id-1", at))  # type: ignore[misc]
    assert store.read(lambda tx: tx.operators()) == [ada._replace(revoked_at=NOW + 1.0)]


def test_an_approval_moves_once_from_each_state(store: StoreUnderTest) -> None:
    asked = Approval("apr_1", "RevokeAgent", "digest", "agent: a", "ada", NOW, NOW + 60.0, "pending", "", "")
    store.write(lambda tx: tx.put_approval(asked))
    assert store.read(lambda tx: tx.approval_of("digest", NOW)) == asked
    assert store.read(lambda tx: tx.pending_approvals("ada", NOW)) == 1
    given = asked._replace(state="approved", decided_by="bob")
    store.write(lambda tx: tx.move_approval(given, "pending"))
    with pytest.raises(Conflict, match="apr_1 is no longer pending"):
        store.write(lambda tx: tx.move_approval(given, "pending"))
    assert store.read(lambda tx: tx.approval_of("digest", NOW)) == given
    assert store.read(lambda tx: tx.approval_of("digest", NOW + 60.0)) is None
    assert store.read(lambda tx: (tx.approval("apr_1"), tx.approvals(5))) == (given, [given])
    store.write(lambda tx: tx.move_approval(given._replace(state="used"), "approved"))
    assert store.read(lambda tx: tx.approval_of("digest", NOW)) is None


def test_certificates_are_counted_revoked_and_told_apart(store: StoreUnderTest) -> None:
    def issue(serial: str, authority: str, at: float = NOW) -> None:
        row = Certificate(serial, "ag_1", NOW + 100.0, authority, at)
        store.write(lambda tx: tx.put_certificate(row))

    store.write(lambda tx: tx.put_agent(an_agent(id="ag_1"), NOW))
    issue("a1", "old")
    issue("b2", "next", NOW + 5.0)
    assert store.read(lambda tx: tx.issued_since("ag_1", NOW + 1.0)) == 1
    # Holding a certificate of the next authority is not enough: it must have opened a session.
    assert store.read(lambda tx: tx.authority_holders("old", NOW)) == [an_agent().name]
    store.write(lambda tx: tx.see_certificate(Certificate("b2", "ag_1", NOW + 100.0, "next", NOW), NOW))
    assert store.read(lambda tx: tx.authority_holders("old", NOW)) == []
    store.write(lambda tx: tx.revoke_certificates("ag_1", NOW))
    assert sorted(store.read(lambda tx: tx.revoked_serials(NOW))) == ["a1", "b2"]
    assert store.read(lambda tx: tx.revoked_serials(NOW + 100.0)) == []
    store.write(lambda tx: tx.drop_certificates("ag_1", NOW + 200.0))
    assert store.read(lambda tx: tx.issued_since("ag_1", 0.0)) == 0


def test_only_the_newest_boots_are_remembered(store: StoreUnderTest) -> None:
    for number in range(20):
        store.write(lambda tx, n=number: tx.leave_boot("ag_1", f"boot-{n}", NOW + n))  # type: ignore[misc]
    assert sorted(store.read(lambda tx: tx.former_boots("ag_1"))) == sorted(f"boot-{n}" for n in range(4, 20))
    store.write(lambda tx: tx.forget_boots("ag_1"))
    assert store.read(lambda tx: tx.former_boots("ag_1")) == []


def test_an_answer_is_kept_for_a_repeat(store: StoreUnderTest) -> None:
    assert store.read(lambda tx: tx.answer("r1")) is None
    store.write(lambda tx: tx.keep_answer("r1", "StartMigrations", "[]", NOW))
    assert store.read(lambda tx: tx.answer("r1")) == GivenAnswer("StartMigrations", "[]")


def test_a_store_begins_with_the_first_generation(store: StoreUnderTest) -> None:
    assert store.read(lambda tx: tx.generation()) == 1
    store.reopen()
    assert store.read(lambda tx: tx.generation()) == 1


def test_values_are_due_at_their_time_and_then_forgotten(store: StoreUnderTest) -> None:
    store.batch([lambda tx: tx.show_values("step_1", NOW + 5.0), lambda tx: tx.show_values("step_2", NOW + 9.0)])
    store.write(lambda tx: tx.show_values("step_1", NOW + 7.0))
    assert store.read(lambda tx: tx.values_due(NOW + 6.0, 9)) == []
    assert store.read(lambda tx: tx.values_due(NOW + 9.0, 1)) == ["step_1"]
    store.write(lambda tx: tx.withhold_values("step_1", b""))
    assert store.read(lambda tx: tx.values_due(NOW + 9.0, 9)) == ["step_2"]
