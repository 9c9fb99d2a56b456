"""Manifests: the newest generation is applied, every generation stays."""

import pytest

from controlplane.store.port import Conflict
from controlplane.store.verbs.inventory import AppliedSpec, Resource
from tests.contract.store.under_test import StoreUnderTest
from tests.kit.builders import NOW


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


def test_generations_stay_when_a_manifest_is_replaced_or_deleted(store: StoreUnderTest) -> None:
    store.write(lambda tx: tx.put_resources([resource("a"), resource("b")]))
    store.write(lambda tx: tx.put_resources([resource("a", 2, spec='{"x":2}')]))
    assert store.read(lambda tx: tx.deleted_generations()) == {}
    store.write(lambda tx: tx.delete_resource("Dataset", "a"))
    assert store.read(lambda tx: tx.resource("Dataset", "a")) is None
    assert store.read(lambda tx: tx.deleted_generations()) == {("Dataset", "a"): 2}
    specs = [store.read(lambda tx, n=n: tx.generation_spec("Dataset", "a", n)) for n in (1, 2, 3)]  # type: ignore[misc]
    assert specs == ["{}", '{"x":2}', None]
    with pytest.raises(Conflict, match="Dataset a is not applied"):
        store.write(lambda tx: tx.delete_resource("Dataset", "a"))
    store.write(lambda tx: tx.put_resources([resource("a", 3)]))
    assert store.read(lambda tx: tx.deleted_generations()) == {}


def test_which_generation_was_applied_at_an_instant(store: StoreUnderTest) -> None:
    for generation in (1, 2, 5):
        store.write(lambda tx, n=generation: tx.put_resources([resource("a", n)]))  # type: ignore[misc]

    def at(instant: float, name: str = "a") -> int:
        return store.read(lambda tx: tx.generation_at("Dataset", name, instant))

    instants = (NOW, NOW + 1.0, NOW + 1.5, NOW + 2.0, NOW + 9.0)
    assert [at(instant) for instant in instants] == [0, 1, 1, 2, 5]
    assert at(NOW + 9.0, "b") == 0
