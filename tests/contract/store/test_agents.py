"""Agents and their hosts: kept whole, found by id and name, gone for good without leaving their name taken."""

from controlplane.core.hosts import Facts, Running
from controlplane.core.states import AgentState, Liveness
from controlplane.store.verbs.agents import HostRecord, WatchedAgent
from tests.contract.store.under_test import StoreUnderTest
from tests.kit.builders import NOW, an_agent


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


def test_only_the_newest_boots_are_remembered(store: StoreUnderTest) -> None:
    for number in range(20):
        store.write(lambda tx, n=number: tx.leave_boot("ag_1", f"boot-{n}", NOW + n))  # type: ignore[misc]
    assert sorted(store.read(lambda tx: tx.former_boots("ag_1"))) == sorted(f"boot-{n}" for n in range(4, 20))
    store.write(lambda tx: tx.forget_boots("ag_1"))
    assert store.read(lambda tx: tx.former_boots("ag_1")) == []


def test_what_hosts_say_is_kept_beside_their_agents(store: StoreUnderTest) -> None:
    facts = Facts("debian", "12", "x86_64", 4, 8 << 30, "Europe/Berlin")
    running = Running("0.1.0", "a", "b", "held", "roll_1", "c", "disk_full", "no room", ("d", "e"), "0.1.0", True, 7)
    store.write(lambda tx: tx.put_agent(an_agent(labels={"tier": "test"}), NOW))
    store.write(lambda tx: tx.put_introduced("ag_1", facts, running, {"tier": "test"}))
    store.write(lambda tx: tx.put_host_labels(an_agent(), {"tier": "prod", "zone": None}, {"tier": "prod"}))
    record = store.read(lambda tx: tx.host_record("ag_1"))
    assert (record.facts, record.running, record.own_labels) == (facts, running, {"tier": "test"})
    assert record.labels == {"tier": "prod", "zone": None}
    assert store.read(lambda tx: tx.host_records()) == {"ag_1": record}
    store.write(lambda tx: tx.set_cordon("ag_1", "new disks"))
    agent = store.read(lambda tx: tx.agent("ag_1"))
    assert agent is not None and (agent.labels, agent.cordon_reason) == ({"tier": "prod"}, "new disks")
    store.write(lambda tx: tx.put_introduced("ag_1", facts, Running(), {"tier": "other"}))
    assert store.read(lambda tx: tx.host_record("ag_1")).labels == {"tier": "prod", "zone": None}


def test_an_agent_that_is_gone_leaves_its_name_and_its_past(store: StoreUnderTest) -> None:
    store.write(lambda tx: tx.put_agent(an_agent(), NOW))
    store.write(lambda tx: tx.decommission("ag_1", "host-1~1", "sold"))
    assert store.read(lambda tx: tx.agent_by_name("host-1")) is None
    assert store.read(lambda tx: tx.agents()) == []
    assert store.read(lambda tx: tx.watched_agents()) == []
    gone = store.read(lambda tx: tx.agent("ag_1"))
    assert gone is not None and (gone.name, str(gone.state), gone.liveness_cause) == ("host-1~1", "gone", "sold")
    store.write(lambda tx: tx.put_agent(an_agent(id="ag_2"), NOW))
    assert [agent.id for agent, _ in store.read(lambda tx: tx.agents())] == ["ag_2"]


def test_an_agent_serves_in_its_life_of_today_only(store: StoreUnderTest) -> None:
    store.write(lambda tx: tx.put_agent(an_agent(incarnation=3), NOW))
    assert [store.read(lambda tx, n=n: tx.serves("ag_1", n)) for n in (2, 3, 4)] == [False, True, False]  # type: ignore[misc]
    assert not store.read(lambda tx: tx.serves("ag_2", 3))
    store.write(lambda tx: tx.put_agent(an_agent(incarnation=3, state=AgentState.DRAINING), NOW))
    assert not store.read(lambda tx: tx.serves("ag_1", 3))


def test_an_agent_that_is_kept_again_keeps_its_name_and_its_cordon(store: StoreUnderTest) -> None:
    store.write(lambda tx: tx.put_agent(an_agent(), NOW))
    store.write(lambda tx: tx.set_cordon("ag_1", "new disks"))
    store.write(lambda tx: tx.put_agent(an_agent(name="other", version="9", cordon_reason=""), NOW + 5.0))
    assert store.read(lambda tx: tx.agent("ag_1")) == an_agent(version="9", cordon_reason="new disks")


def test_watched_agents_are_all_that_are_not_gone(store: StoreUnderTest) -> None:
    store.write(lambda tx: tx.put_agent(an_agent(liveness=Liveness.LOST, heard_at=NOW - 9.0), NOW))
    store.write(lambda tx: tx.put_agent(an_agent(id="ag_2", name="host-2"), NOW))
    store.write(lambda tx: tx.decommission("ag_2", "host-2~1", "sold"))
    assert store.read(lambda tx: tx.watched_agents()) == [WatchedAgent("ag_1", Liveness.LOST, NOW - 9.0)]
    assert store.read(lambda tx: tx.host_record("ag_2")) == HostRecord(Facts(), Running(), {}, {})
