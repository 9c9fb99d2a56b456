"""The store itself: its generation, answers that are given once more, writers beside it."""

from controlplane.store.verbs.store import GivenAnswer
from tests.contract.store.under_test import SharedStoreUnderTest, StoreUnderTest
from tests.kit.builders import NOW


def test_an_answer_is_kept_for_a_repeat(store: StoreUnderTest) -> None:
    assert store.read(lambda tx: tx.answer("r1")) is None
    store.write(lambda tx: tx.keep_answer("r1", "StartMigrations", "[]", NOW))
    assert store.read(lambda tx: tx.answer("r1")) == GivenAnswer("StartMigrations", "[]")


def test_a_store_begins_with_the_first_generation(store: StoreUnderTest) -> None:
    assert store.read(lambda tx: tx.generation()) == 1
    store.reopen()
    assert store.read(lambda tx: tx.generation()) == 1


def test_old_answers_are_forgotten_some_at_a_time(store: StoreUnderTest) -> None:
    for number in range(3):
        store.write(lambda tx, n=number: tx.keep_answer(f"r{n}", "Start", "[]", NOW + n))  # type: ignore[misc]
    assert store.write(lambda tx: tx.drop_requests(NOW + 2.0, 1)) == 1
    assert store.write(lambda tx: tx.drop_requests(NOW + 2.0, 9)) == 1
    assert store.write(lambda tx: tx.drop_requests(NOW + 2.0, 9)) == 0
    left = [n for n in range(3) if store.read(lambda tx, n=n: tx.answer(f"r{n}"))]  # type: ignore[misc]
    assert left == [2]


def test_writes_of_somebody_else_are_noticed_and_ones_own_are_not(shared_store: SharedStoreUnderTest) -> None:
    store = shared_store
    before = store.write(lambda tx: tx.foreign_writes())
    store.write(lambda tx: tx.next_ids("mig_", 1))
    assert store.write(lambda tx: tx.foreign_writes()) == before
    store.elsewhere(lambda tx: tx.next_ids("mig_", 1))
    assert store.write(lambda tx: tx.foreign_writes()) != before
