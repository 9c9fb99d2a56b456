"""The audit log: tiles, heads and eras as they were put."""

from controlplane.core.audit.heads import LogEra, TreeHead
from tests.contract.store.under_test import StoreUnderTest
from tests.kit.builders import NOW


def test_only_the_newest_head_is_kept(store: StoreUnderTest) -> None:
    assert store.read(lambda tx: tx.audit_head()) is None
    for size in (1, 7):
        head = TreeHead(1, size, b"\x01" * 32, b"\x02" * 64, "key")
        store.write(lambda tx, head=head: tx.put_audit_head(head))  # type: ignore[misc]
        assert store.read(lambda tx: tx.audit_head()) == head


def test_tiles_grow_and_are_replaced_whole(store: StoreUnderTest) -> None:
    store.write(lambda tx: tx.put_audit_tiles({(0, 0): b"a", (0, 1): b"b", (1, 0): b"c"}))
    store.write(lambda tx: tx.put_audit_tiles({(0, 1): b"bb"}))
    everything = [(0, 0), (0, 1), (1, 0), (9, 9)]
    assert store.read(lambda tx: tx.audit_tiles(everything)) == {(0, 0): b"a", (0, 1): b"bb", (1, 0): b"c"}
    store.write(lambda tx: tx.replace_audit_tiles({(0, 0): b"z"}))
    assert store.read(lambda tx: tx.audit_tiles(everything)) == {(0, 0): b"z"}


def test_eras_come_in_their_order(store: StoreUnderTest) -> None:
    eras = [LogEra(era, era * 10, b"\x01" * 32, era, "restored", b"\x02" * 64, b"\x03" * 32) for era in (3, 2)]
    for era in eras:
        store.write(lambda tx, era=era: tx.put_audit_era(era, NOW))  # type: ignore[misc]
    assert store.read(lambda tx: tx.audit_eras()) == eras[::-1]
