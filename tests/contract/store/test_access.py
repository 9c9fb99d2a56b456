"""Join tokens, certificates, operators and approvals: each is used once, and what was revoked stays so."""

from typing import Any

import pytest

from controlplane.store.port import Conflict
from controlplane.store.verbs.access import Approval, Certificate, JoinToken, OperatorToken
from tests.contract.store.under_test import StoreUnderTest
from tests.kit.builders import NOW, an_agent

TOKEN = JoinToken("hash-1", "host-1", NOW + 900.0, "", "", "", None)


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


def test_unused_join_tokens_end_and_used_ones_are_left_alone(store: StoreUnderTest) -> None:
    used = TOKEN._replace(hash="hash-2", used_request_id="r1")
    short = TOKEN._replace(hash="hash-3", expires_at=NOW - 5.0)
    for token in (TOKEN, used._replace(used_request_id=""), short):
        store.write(lambda tx, token=token: tx.put_join_token(token))  # type: ignore[misc]
    store.write(lambda tx: tx.use_join_token(used))
    store.write(lambda tx: tx.expire_join_tokens(NOW))
    found = [store.read(lambda tx, n=n: tx.join_token(f"hash-{n}")) for n in (1, 2, 3)]  # type: ignore[misc]
    assert found == [TOKEN._replace(expires_at=NOW), used, short]


def test_open_approvals_are_somebodys_by_a_method_newest_first(store: StoreUnderTest) -> None:
    def ask(id: str, at: float, **changes: Any) -> Approval:
        asked = Approval(id, "Start", f"digest-{id}", "all", "ada", at, at + 60.0, "pending", "", "")._replace(
            **changes
        )
        store.write(lambda tx: tx.put_approval(asked))
        return asked

    one, two = ask("apr_1", NOW), ask("apr_2", NOW + 5.0, state="approved", decided_by="bob")
    ask("apr_3", NOW, state="denied")
    ask("apr_4", NOW, asked_by="eve")
    ask("apr_5", NOW, method="Apply")
    assert store.read(lambda tx: tx.open_approvals("ada", "Start", NOW + 9.0)) == [two, one]
    assert store.read(lambda tx: tx.open_approvals("ada", "Start", NOW + 60.0)) == [two]
    assert store.read(lambda tx: tx.open_approvals("bob", "Start", NOW)) == []
    assert [each.id for each in store.read(lambda tx: tx.approvals(2))] == ["apr_2", "apr_5"]


def test_operators_come_by_name_then_oldest_first(store: StoreUnderTest) -> None:
    bob = OperatorToken("id-1", "bob", "viewer", (), "$argon2id$…", NOW + 60.0, NOW, "", None)
    new = bob._replace(id="id-2", name="ada", created_at=NOW + 9.0)
    old = bob._replace(id="id-3", name="ada", created_at=NOW + 1.0)
    for token in (bob, new, old):
        store.write(lambda tx, token=token: tx.put_operator(token))  # type: ignore[misc]
    assert store.read(lambda tx: tx.operators()) == [old, new, bob]


def test_holders_of_an_authority_come_by_name(store: StoreUnderTest) -> None:
    for agent_id, name in (("ag_1", "c"), ("ag_2", "a"), ("ag_3", "b")):
        row = Certificate(agent_id, agent_id, NOW + 100.0, "old", NOW)
        store.write(lambda tx, row=row: tx.put_certificate(row))  # type: ignore[misc]
        store.write(lambda tx, id=agent_id, name=name: tx.put_agent(an_agent(id=id, name=name), NOW))  # type: ignore[misc]
    assert store.read(lambda tx: tx.authority_holders("old", NOW)) == ["a", "b", "c"]
    store.write(lambda tx: tx.revoke_certificates("ag_3", NOW))
    assert store.read(lambda tx: tx.authority_holders("old", NOW)) == ["a", "c"]
    assert store.read(lambda tx: tx.authority_holders("old", NOW + 100.0)) == []
