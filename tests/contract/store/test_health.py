"""Counts by state, and a proof that the store can write."""

from controlplane.store.verbs.health import Counts
from tests.contract.store.moves import grant, insert, plan
from tests.contract.store.under_test import SharedStoreUnderTest, StoreUnderTest
from tests.kit.builders import NOW, an_agent


def test_counts_are_by_the_state_that_people_see(store: StoreUnderTest) -> None:
    assert store.read(lambda tx: tx.counts()) == Counts({}, {}, {})
    _, (one, _) = store.write(lambda tx: insert(tx, plan("one"), plan("two", needs=("one",))))
    store.write(lambda tx: insert(tx, plan("load"), name="m2"))
    store.write(lambda tx: grant(tx, one))
    store.write(lambda tx: tx.put_agent(an_agent(), NOW))
    store.write(lambda tx: tx.put_agent(an_agent(id="ag_2", name="gone"), NOW))
    store.write(lambda tx: tx.decommission("ag_2", "gone~1", "sold"))
    # Of two that run, one has an attempt.
    expected = Counts({"running": 1, "waiting": 1}, {"leased": 1, "ready": 2}, {"alive": 1})
    assert store.read(lambda tx: tx.counts()) == expected


def test_writing_is_proved_as_often_as_one_likes(store: StoreUnderTest) -> None:
    for at in (NOW, NOW, NOW + 1.0):
        store.write(lambda tx, at=at: tx.prove_writable(at))  # type: ignore[misc]
    assert store.read(lambda tx: tx.last_position()) == 0


def test_a_proof_of_writing_is_a_write(shared_store: SharedStoreUnderTest) -> None:
    seen = set()
    for number in range(3):
        seen.add(shared_store.write(lambda tx: tx.foreign_writes()))
        shared_store.elsewhere(lambda tx, at=NOW + number: tx.prove_writable(at))  # type: ignore[misc]
    assert len(seen) == 3
