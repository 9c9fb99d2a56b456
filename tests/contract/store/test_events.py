"""The event log: events in order, forwards and backwards, and by whom they are about; nothing of a refused call."""

from controlplane.core.events import Event
from controlplane.store.port import Conflict, Tx
from tests.contract.store.moves import grant, insert, names_of, plan
from tests.contract.store.under_test import StoreUnderTest
from tests.kit.builders import FENCE, NOW


def test_events_are_found_by_whom_they_are_about(store: StoreUnderTest) -> None:
    migration, (step,) = store.write(lambda tx: insert(tx, plan("load")))
    store.write(lambda tx: grant(tx, step))
    store.write(lambda tx: tx.record([Event(NOW, "AgentJoined", "ag_1", agent_id="ag_1", detail="host-1")]))
    store.write(lambda tx: tx.record([Event(NOW, "ManifestApplied", "Dataset/x")]))
    store.write(lambda tx: tx.record([]))
    everything = store.read(lambda tx: tx.events_after(0, "", 100))
    assert names_of(everything) == ["MigrationStarted", "LeaseGranted", "AgentJoined", "ManifestApplied"]
    assert [position for position, _ in everything] == sorted({position for position, _ in everything})

    def of(subject: str) -> list[str]:
        return names_of(store.read(lambda tx: tx.events_after(0, subject, 100)))

    assert of(migration.id) == ["MigrationStarted", "LeaseGranted"]
    assert of(step.id) == ["LeaseGranted"]
    assert of("ag_1") == ["AgentJoined"]
    assert of("Dataset/x") == ["ManifestApplied"]
    assert of("mig_none") == of("step_none") == of("nobody") == []
    second = everything[1][0]
    assert names_of(store.read(lambda tx: tx.events_after(second, "", 1))) == ["AgentJoined"]
    assert everything[1][1].fence == FENCE


def happened(*types: str, subject: str = "ag_1") -> list[Event]:
    return [Event(NOW, each, subject, agent_id="ag_1") for each in types]


def test_events_are_read_backwards_too(store: StoreUnderTest) -> None:
    migration, (step,) = store.write(lambda tx: insert(tx, plan("load")))
    store.write(lambda tx: grant(tx, step))
    store.write(lambda tx: tx.record(happened("AgentJoined", "AgentLost")))
    end = store.read(lambda tx: tx.last_position()) + 1

    def before(position: int, subject: str, limit: int = 9) -> list[str]:
        return names_of(store.read(lambda tx: tx.events_before(position, subject, limit)))

    assert before(end, "") == ["AgentLost", "AgentJoined", "LeaseGranted", "MigrationStarted"]
    assert before(end, "", 2) == ["AgentLost", "AgentJoined"]
    assert before(end - 1, "ag_1") == ["AgentJoined"]
    assert before(end, migration.id) == ["LeaseGranted", "MigrationStarted"]
    assert before(end, step.id) == ["LeaseGranted"]
    assert before(1, "") == before(end, "nobody") == []


def test_positions_rise_and_types_are_known(store: StoreUnderTest) -> None:
    assert store.read(lambda tx: (tx.last_position(), tx.event_types())) == (0, [])
    store.write(lambda tx: tx.record(happened("A", "B", "A")))
    rows = store.read(lambda tx: tx.events_after(0, "", 9))
    assert [row.position for row in rows] == [1, 2, 3]
    assert [row.event for row in rows] == happened("A", "B", "A")
    assert store.read(lambda tx: (tx.last_position(), sorted(tx.event_types()))) == (3, ["A", "B"])


def test_recorded_events_are_taken_once_and_without_what_was_rolled_back(store: StoreUnderTest) -> None:
    def refuse(tx: Tx) -> None:
        tx.record(happened("Lost"))
        raise Conflict("as asked")

    store.batch([lambda tx: tx.record(happened("A")), refuse, lambda tx: tx.record(happened("B"))])
    assert store.write(lambda tx: tx.take_recorded()) == happened("A", "B")
    assert store.write(lambda tx: tx.take_recorded()) == []
    store.write(lambda tx: tx.record(happened("C")))
    store.power_loss([lambda tx: tx.record(happened("Lost"))])
    taken = store.write(lambda tx: tx.take_recorded())
    assert "Lost" not in {event.type for event in taken}


def test_gaps_are_filled_where_nothing_is(store: StoreUnderTest) -> None:
    store.write(lambda tx: tx.record(happened("A")))
    (missing,) = happened("EntryMissing")
    store.write(lambda tx: tx.fill_gaps({3: missing, 2: missing}))
    store.write(lambda tx: tx.record(happened("B")))
    rows = store.read(lambda tx: tx.events_after(0, "", 9))
    assert [(row.position, row.event.type) for row in rows] == [
        (1, "A"),
        (2, "EntryMissing"),
        (3, "EntryMissing"),
        (4, "B"),
    ]
