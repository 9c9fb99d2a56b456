"""Rollouts: kept whole, decided on one revision at a time, with every host's past noted apart from what came after."""

from dataclasses import replace

import pytest

from controlplane.core.rollouts.model import HostState, RolloutPolicy, RolloutState, StepCounts
from controlplane.core.rollouts.planning import look, steer
from controlplane.core.rollouts.windows import Window
from controlplane.store.port import Conflict
from tests.contract.store.under_test import StoreUnderTest
from tests.kit.builders import NOW
from tests.unit.controlplane.core.rollouts.story import Story, a_host

DAY_S = 86_400.0
POLICY = RolloutPolicy(windows=(Window(("mon",), 60, 120),), waves=(0.5, 1.0), time_zone="Europe/Berlin")


def begun(store: StoreUnderTest) -> Story:
    """A rollout that is kept, and not yet looked at."""
    story = Story([a_host(number) for number in range(4)], POLICY)
    store.write(lambda tx: tx.insert_rollout(story.rollout, list(story.rows.values())))
    return story


def test_a_rollout_is_kept_whole(store: StoreUnderTest) -> None:
    story = begun(store)
    assert store.read(lambda tx: tx.rollout("roll_1")) == story.rollout
    assert store.read(lambda tx: tx.rollout("roll_2")) is None
    in_order = sorted(story.rows.values(), key=lambda row: (row.wave, row.agent_id))
    assert store.read(lambda tx: tx.rollout_hosts("roll_1")) == in_order
    assert store.read(lambda tx: tx.rollouts("production", 9)) == [story.rollout]
    assert store.read(lambda tx: tx.rollouts("other", 9)) == []
    assert store.read(lambda tx: tx.watched_rollouts()) == [story.rollout]
    assert store.read(lambda tx: tx.rollout_counts("roll_1")) == [
        (0, "waiting", 1, 0),
        (1, "waiting", 1, 0),
        (2, "waiting", 2, 0),
    ]


def test_what_was_decided_on_an_older_revision_is_refused_whole(store: StoreUnderTest) -> None:
    story = begun(store)
    always_open = replace(story.rollout, policy=replace(POLICY, windows=()))
    looked = look(always_open, list(story.rows.values()), story.hosts, NOW)
    assert looked.orders
    store.write(
        lambda tx: tx.save_rollout(steer(story.rollout, list(story.rows.values()), "RolloutCancelled", NOW, ""), NOW)
    )
    with pytest.raises(Conflict, match="decided on meanwhile"):
        store.write(lambda tx: tx.save_rollout(looked, NOW))
    kept = store.read(lambda tx: tx.rollout("roll_1"))
    assert kept is not None and (kept.state, kept.revision) == (RolloutState.CANCELLED, 2)
    assert {row.state for row in store.read(lambda tx: tx.rollout_hosts("roll_1"))} == {HostState.WAITING}


def test_a_hosts_past_is_noted_when_it_is_asked_and_counted_apart_after(store: StoreUnderTest) -> None:
    story = Story([a_host(0)], RolloutPolicy(waves=(1.0,)))
    store.write(lambda tx: tx.insert_rollout(story.rollout, list(story.rows.values())))
    old, past, now = NOW - 8 * DAY_S, StepCounts(10, 1, 9, 2.0, 3.0), NOW
    store.write(lambda tx: tx.flush_hosts({}, {"ag_0": StepCounts(99, 99)}, old))
    store.write(lambda tx: tx.flush_hosts({}, {"ag_0": past}, now - DAY_S))
    store.write(lambda tx: tx.flush_hosts({}, {"ag_0": past}, now))
    changes = look(story.rollout, list(story.rows.values()), story.hosts, now)
    store.write(lambda tx: tx.save_rollout(changes, now))
    # On its way it is the old release's still.
    store.write(lambda tx: tx.flush_hosts({}, {"ag_0": StepCounts(5, 5)}, now))
    (row,) = store.read(lambda tx: tx.rollout_hosts("roll_1"))
    assert (row.past, row.after) == (past.plus(past), StepCounts())
    story.rollout, story.rows = store.read(lambda tx: tx.rollout("roll_1")) or story.rollout, {"ag_0": row}
    story.says("ag_0", "kept")
    kept = look(story.rollout, [row], story.hosts, now)
    store.write(lambda tx: tx.save_rollout(kept, now))
    store.write(lambda tx: tx.flush_hosts({}, {"ag_0": StepCounts(2, 1)}, now))
    (row,) = store.read(lambda tx: tx.rollout_hosts("roll_1"))
    assert (row.state, row.after) == (HostState.KEPT, StepCounts(2, 1))


def test_rollouts_are_listed_newest_first_and_watched_oldest_first(store: StoreUnderTest) -> None:
    first = begun(store).rollout
    later = replace(first, id="roll_2", fleet="other", created_at=NOW + 5.0)
    newest = replace(first, id="roll_3", created_at=NOW + 9.0)
    for rollout in (newest, later):
        store.write(lambda tx, rollout=rollout: tx.insert_rollout(rollout, []))  # type: ignore[misc]
    assert store.read(lambda tx: tx.rollouts("", 9)) == [newest, later, first]
    assert store.read(lambda tx: tx.rollouts("", 2)) == [newest, later]
    assert store.read(lambda tx: tx.rollouts("production", 9)) == [newest, first]
    assert store.read(lambda tx: tx.watched_rollouts()) == [first, later, newest]
