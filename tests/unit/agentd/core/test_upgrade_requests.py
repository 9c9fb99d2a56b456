"""The agent's part of an upgrade: wishes, fetching, the updater's word, and what the control plane is told."""

from dataclasses import replace

import pytest

from agentd.core import effects, events
from agentd.core.agent import Agent
from agentd.core.grants import Identity
from agentd.core.release_state import (
    PROBATION_MAX_S,
    PROBATION_S,
    HostRelease,
    HostState,
    Release,
    UndecodableState,
    Wish,
    host_release_from_text,
    wish_from_text,
    wish_to_text,
)
from agentd.core.upgrade_requests import RETRY_S, Upgrading
from tests.unit.agentd.core.stories import CAPABILITIES, Told, none_of, only

OLD, NEW = "a" * 64, "b" * 64
OWN = HostRelease("0.1.0", OLD, previous_digest="e" * 64, state=HostState.KEPT)
WISH = Wish("roll_1", Release("0.2.0", NEW), "haulier-agentd-0.2.0-x86_64.tar.zst", 300.0, 1_000_000)
ANSWER = replace(OWN, request_id=WISH.request_id, rollout_id="roll_1", wanted_digest=NEW)
ASKED = events.UpgradeAsked(WISH)


def host(own: HostRelease = OWN, wish: Wish | None = None) -> Told:
    told = Told()
    told.agent = Agent(Identity(3, "0.1", "boot"), CAPABILITIES, upgrading=Upgrading(own, wish))
    return told.opened()


def status(told: Told) -> HostRelease:
    return told.agent.upgrading.status


def test_a_wish_is_written_down_fetched_and_asked_of_the_updater() -> None:
    told = host()
    done = told.tell(ASKED)
    kinds = [type(each) for each in done]
    assert kinds == [effects.Note, effects.RememberWish, effects.FetchRelease, effects.SendReport]
    sent = only(done, effects.SendReport).release
    assert sent is not None
    assert (sent.state, sent.rollout_id, sent.wanted_digest, sent.version) == (
        HostState.FETCHING,
        "roll_1",
        NEW,
        "0.1.0",
    )
    assert told.tell(ASKED) == [], "said again, nothing new"
    assert told.tell(events.FetchProgressed(NEW, 5)) == [], "bytes wait for the heartbeat"
    beat = only(told.tell(events.Ticked(), 15.0), effects.SendReport)
    assert beat.release is not None and beat.release.fetched_bytes == 5
    assert only(told.tell(events.Ticked(), 15.0), effects.SendReport).release is None
    request = only(told.tell(events.ReleaseFetched(NEW)), effects.AskUpdater).request
    assert request.request_id == WISH.request_id
    assert (request.release, request.probation_s) == (WISH.release, 300.0)
    assert told.tell(events.ReleaseFetched(NEW)) == []
    assert status(told).state is HostState.FETCHING, "until the updater has a word to say"
    on_probation = replace(ANSWER, state=HostState.PROBATION, digest=NEW, version="0.2.0")
    report = only(told.tell(events.UpdaterTold(on_probation)), effects.SendReport)
    assert report.release == on_probation
    done = told.tell(events.UpdaterTold(replace(on_probation, state=HostState.KEPT)))
    assert only(done, effects.ForgetWish)
    assert status(told).rollout_id == "roll_1", "who asked stays told"
    assert told.tell(ASKED) == [], "and what was granted is not asked for again"


def test_hello_carries_what_runs() -> None:
    told = host()
    told.closed()
    dial = only(told.tell(events.Ticked(), 60.0), effects.OpenSession)
    assert dial.release == OWN


def test_an_agent_that_is_no_release_cannot_be_upgraded() -> None:
    told = host(HostRelease("0.1.0"))
    assert only(told.tell(ASKED), effects.Note)
    assert none_of(told.tell(ASKED), effects.FetchRelease)
    assert status(told).state is HostState.NONE


@pytest.mark.parametrize("digest", [OLD, "e" * 64])
def test_what_lies_here_is_not_fetched(digest: str) -> None:
    told = host()
    done = told.tell(events.UpgradeAsked(replace(WISH, release=Release("0.0.9", digest))))
    assert only(done, effects.AskUpdater).request.release.digest == digest
    assert none_of(done, effects.FetchRelease)


def test_what_could_not_be_fetched_is_tried_again_later() -> None:
    told = host()
    told.tell(ASKED)
    told.tell(events.FetchFailed(NEW, "disk_full", "no room", retryable=True))
    assert (status(told).state, status(told).cause_code) == (HostState.HELD, "disk_full")
    assert told.agent.upgrading.wake_at == told.now + RETRY_S
    told.now += RETRY_S
    assert only(told.tell(events.Ticked()), effects.FetchRelease).wish == WISH
    assert status(told).state is HostState.FETCHING
    told.tell(events.FetchFailed(NEW, "bad_request", "never", retryable=False))
    assert (status(told).state, status(told).cause_code) == (HostState.REFUSED, "bad_request")
    assert told.agent.upgrading.wake_at is None
    assert only(told.tell(ASKED), effects.FetchRelease), "said anew, it is tried anew"


def test_news_of_another_fetch_mean_nothing() -> None:
    told = host()
    told.tell(events.FetchProgressed(NEW, 5))
    told.tell(ASKED)
    for event in (
        events.FetchProgressed("c" * 64, 5),
        events.ReleaseFetched("c" * 64),
        events.FetchFailed("c" * 64, "x", "y", retryable=True),
    ):
        assert told.tell(event) == []
    assert status(told).fetched_bytes == 0


def test_a_wish_can_be_taken_back() -> None:
    told = host()
    told.tell(ASKED)
    assert told.tell(events.UpgradeTakenBack("roll_2", "not this one")) == []
    done = told.tell(events.UpgradeTakenBack("roll_1", "halted"))
    assert only(done, effects.StopFetching) and only(done, effects.ForgetWish)
    assert status(told) == OWN
    assert told.tell(events.ReleaseFetched(NEW)) == []
    assert told.tell(events.UpgradeTakenBack("roll_1", "halted")) == []


def test_a_newer_wish_replaces_an_older_one() -> None:
    told = host()
    told.tell(ASKED)
    newer = replace(WISH, rollout_id="roll_2", release=Release("0.3.0", "c" * 64))
    done = told.tell(events.UpgradeAsked(newer))
    assert [type(each) for each in done][2:4] == [effects.StopFetching, effects.FetchRelease]
    assert status(told).rollout_id == "roll_2"


def test_a_wish_outlives_the_daemon() -> None:
    told = Told()
    told.agent = Agent(Identity(3, "0.1", "boot"), CAPABILITIES, upgrading=Upgrading(OWN, WISH))
    assert only(told.tell(events.Started()), effects.FetchRelease).wish == WISH
    answered = replace(ANSWER, state=HostState.ROLLED_BACK)
    told.agent = Agent(Identity(3, "0.1", "boot"), CAPABILITIES, upgrading=Upgrading(answered, WISH))
    done = told.tell(events.Started())
    assert only(done, effects.ForgetWish)
    assert none_of(done, effects.FetchRelease)


@pytest.mark.parametrize("code", ["pinned", "opted_out"])
def test_what_the_owner_may_lift_stays_a_wish(code: str) -> None:
    told = host()
    told.tell(ASKED)
    told.tell(events.ReleaseFetched(NEW))
    refused = replace(ANSWER, state=HostState.REFUSED, cause_code=code)
    assert none_of(told.tell(events.UpdaterTold(refused)), effects.ForgetWish)
    assert status(told).cause_code == code
    done = told.tell(events.UpdaterTold(replace(refused, cause_code="downgrade")))
    assert only(done, effects.ForgetWish)


def test_what_is_incomplete_is_fetched_again() -> None:
    told = host()
    told.tell(ASKED)
    told.tell(events.ReleaseFetched(NEW))
    told.tell(events.UpdaterTold(replace(ANSWER, state=HostState.HELD, cause_code="disk_full")))
    assert told.agent.upgrading.wake_at is None, "the updater tries that by itself"
    told.tell(events.UpdaterTold(replace(ANSWER, state=HostState.HELD, cause_code="incomplete")))
    told.now += RETRY_S
    assert only(told.tell(events.Ticked()), effects.FetchRelease)


def test_a_stored_black_box_is_told_until_the_next_upgrade() -> None:
    told = host(replace(ANSWER, state=HostState.ROLLED_BACK))
    told.tell(events.BlackBoxStored("another"))
    assert not status(told).black_box_stored
    told.tell(events.BlackBoxStored(WISH.request_id))
    assert status(told).black_box_stored
    told.tell(events.UpdaterTold(replace(ANSWER, state=HostState.ROLLED_BACK)))
    assert status(told).black_box_stored
    told.tell(events.UpdaterTold(replace(ANSWER, state=HostState.KEPT, request_id="roll_2:x")))
    assert not status(told).black_box_stored


def test_probations_are_bounded() -> None:
    assert replace(WISH, probation_s=0.0).request().probation_s == PROBATION_S
    assert replace(WISH, probation_s=0.1).request().probation_s == 1.0
    assert replace(WISH, probation_s=1e9).request().probation_s == PROBATION_MAX_S


def test_texts_are_read_or_refused() -> None:
    assert wish_from_text(wish_to_text(WISH)) == WISH
    assert host_release_from_text('{"state": "held", "cause_code": "disk_full", "failed_digests": ["x"]}') == (
        HostRelease(state=HostState.HELD, cause_code="disk_full", failed_digests=("x",))
    )
    for read in (wish_from_text, host_release_from_text):
        with pytest.raises(UndecodableState):
            read("{}")


def test_a_retry_wakes_the_agent() -> None:
    told = host()
    told.closed()
    told.tell(ASKED)
    told.tell(events.FetchFailed(NEW, "control_plane_away", "no answer", retryable=True))
    assert told.agent.wake_at is not None and told.agent.wake_at <= told.now + RETRY_S
    assert WISH.digest == NEW
