"""The agent as a witness: which heads it keeps, which it does not believe, and what it says then."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentd.core import effects, events, witness_effects
from agentd.core.grants import Recovered
from agentd.core.witnessing import (
    Alarmed,
    Kept,
    LogEra,
    ShownHead,
    TreeHead,
    Unsure,
    Witness,
    proves_consistency,
)
from controlplane.core.audit import merkle
from controlplane.core.audit.merkle_tiles import Tiles
from tests.unit.agentd.core.stories import CAPABILITIES, PROGRESS, Told, grant

PUBLIC = bytes(32)
KEY = sha256(PUBLIC).hexdigest()
LEAVES = [merkle.leaf_hash(b"%d" % n) for n in range(600)]
FORK = [*LEAVES[:5], *(merkle.leaf_hash(b"other %d" % n) for n in range(595))]


def head(size: int, era: int = 1, leaves: Sequence[bytes] = LEAVES, key: str = KEY) -> TreeHead:
    return TreeHead(era, size, Tiles().grown(leaves[:size])[0].root(), b"signed", key)


def shown(size: int, since: int, era: int = 1, leaves: Sequence[bytes] = LEAVES) -> ShownHead:
    tiles = Tiles().grown(leaves[:size])[0]
    proof = tuple(merkle.consistency_proof(since, size, tiles.subtree)) if since else ()
    return ShownHead(head(size, era, leaves), since, proof)


def begun(size: int, era: int = 2, leaves: Sequence[bytes] = LEAVES) -> LogEra:
    root = Tiles().grown(leaves[:size])[0].root()
    return LogEra(era, size, root, 7, "the disk was lost", b"signed", PUBLIC)


def test_the_first_head_is_kept_and_then_only_what_continues_it() -> None:
    witness = Witness()
    assert witness.see(shown(3, 0)) == Kept(head(3))
    assert witness.see(shown(3, 3)) is None
    assert witness.see(shown(7, 3)) == Kept(head(7))
    assert witness.head == head(7) and not witness.trouble


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 600), st.integers(1, 600))
def test_both_sides_agree_on_proofs(one: int, other: int) -> None:
    old, new = sorted((one, other))
    tiles = Tiles().grown(LEAVES[:new])[0]
    proof = merkle.consistency_proof(old, new, tiles.subtree)
    for p in (proof, proof[:-1], [*proof, LEAVES[0]], [LEAVES[0], *proof[1:]]):
        for root in (head(old).root, LEAVES[1]):
            mine = proves_consistency(old, new, root, tiles.root(), p)
            assert mine == merkle.proves_consistency(old, new, root, tiles.root(), p)
    assert not proves_consistency(0, new, head(new).root, tiles.root(), [])


@pytest.mark.parametrize(
    ("offered", "words"),
    [
        (shown(5, 0), "it was cut, or is an older copy"),
        (ShownHead(head(7, leaves=FORK), 7), "entries were changed"),
        (shown(9, 7, leaves=FORK), "its proof does not continue"),
        (ShownHead(head(9), 7), "its proof does not continue"),
        (ShownHead(head(9, key="another"), 7), "signed by key another"),
        (ShownHead(head(9, era=2), 5), "without the administrator's word"),
        (replace(shown(9, 5, era=2), begun=begun(5, era=3)), "without the administrator's word"),
        (replace(shown(9, 5, era=2), begun=replace(begun(5), public_key=b"x")), "is of another key"),
        (replace(shown(9, 4, era=2), begun=begun(5)), "does not continue the beginning of its era"),
        (replace(shown(9, 5, era=2), begun=begun(5, leaves=FORK[4:])), "does not continue the beginning"),
    ],
)
def test_a_log_that_is_not_what_was_seen(offered: ShownHead, words: str) -> None:
    witness = Witness(head(7))
    answer = witness.see(offered)
    assert isinstance(answer, Alarmed) and words in answer.because
    assert witness.trouble == answer.because
    assert witness.see(offered) is None, "the same is not said again"
    assert witness.head == head(7), "what was seen is not forgotten"


def test_late_answers_are_passed_over_however_many_they_are() -> None:
    witness = Witness()
    assert witness.greet() is None
    assert witness.see(shown(3, 0)) == Kept(head(3))
    for size in range(4, 20):
        assert witness.see(shown(size, 0)) is None, "hello and heartbeats said: nothing"
    assert witness.tell() == head(3)
    assert witness.see(shown(20, 3)) == Kept(head(20))
    for size in range(21, 40):
        assert witness.see(shown(size, 3)) is None, "heartbeats said: 3"
    assert not witness.trouble


def test_a_late_answer_may_be_of_the_era_before() -> None:
    witness = Witness(head(7))
    witness.greet()
    offered = replace(shown(9, 5, era=2), begun=begun(5))
    assert witness.see(offered) == Unsure(offered)
    witness.judged(offered, is_signed=True)
    assert witness.see(replace(shown(12, 5, era=2), begun=begun(5))) is None
    answer = witness.see(shown(12, 5, era=2))
    assert isinstance(answer, Alarmed), "nobody told of 5 entries in this era"


def test_a_proof_from_what_was_never_told_in_this_session_is_an_alarm_once() -> None:
    witness = Witness(head(7))
    witness.greet()
    answer = witness.see(shown(9, 3))
    assert isinstance(answer, Alarmed) and "without a proof" in answer.because
    for size in range(10, 40):
        assert witness.see(shown(size, 0)) is None, "the log grows, the alarm is the same"
    assert witness.see(shown(40, 7)) == Kept(head(40))
    assert not witness.trouble
    assert isinstance(witness.see(shown(50, 0)), Alarmed), "it is told again after a good head"
    assert witness.greet() == head(40)
    assert isinstance(witness.see(ShownHead(head(50, key="another"), 7)), Alarmed), "another kind"


def test_answers_come_in_order_and_an_answer_ends_the_wait_for_earlier_ones() -> None:
    witness = Witness()
    witness.greet()
    for size in (3, 7, 11):
        assert witness.see(shown(size, 0 if witness.head is None else witness.head.size)) == Kept(head(size))
        witness.tell()
    assert witness.see(shown(12, 7)) is None
    assert isinstance(witness.see(shown(13, 3)), Alarmed)


def test_a_restore_needs_the_administrators_signature() -> None:
    witness = Witness(head(7))
    offered = replace(shown(9, 5, era=2, leaves=FORK), begun=begun(5))
    assert witness.see(offered) == Unsure(offered)
    refused = witness.judged(offered, is_signed=False)
    assert isinstance(refused, Alarmed) and "without the signature" in refused.because
    kept = witness.judged(offered, is_signed=True)
    assert isinstance(kept, Kept) and kept.head == offered.head
    assert "the disk was lost" in kept.note and "2 entries that were seen are gone" in kept.note
    assert witness.judged(offered, is_signed=True) is None
    assert isinstance(witness.see(shown(9, 0)), Alarmed), "the era before is over"


def test_a_restore_to_an_empty_log_or_behind_what_was_seen() -> None:
    nothing = replace(ShownHead(head(4, era=2, leaves=FORK)), begun=replace(begun(5), size=0, root=merkle.EMPTY_ROOT))
    assert Witness(head(7)).see(nothing) == Unsure(nothing)
    further = replace(shown(9, 8, era=2), begun=begun(8))
    witness = Witness(head(7))
    assert witness.see(further) == Unsure(further)
    kept = witness.judged(further, is_signed=True)
    assert isinstance(kept, Kept) and "gone" not in kept.note


def test_what_follows() -> None:
    offered = shown(3, 0)
    assert witness_effects.of(Kept(head(3))) == [effects.KeepHead(head(3))]
    assert witness_effects.of(Kept(head(3), "a note")) == [effects.KeepHead(head(3)), effects.Alarm("a note")]
    assert witness_effects.of(Unsure(offered)) == [effects.CheckSignatures(offered)]
    (alarm,) = witness_effects.of(Alarmed("it was cut"))
    assert isinstance(alarm, effects.Alarm) and "it was cut" in alarm.message
    assert witness_effects.of(None) == []


def test_the_agent_keeps_and_shows_what_it_saw() -> None:
    told = Told()
    told.opened()
    assert told.tell(events.HeadShown(told.session, shown(3, 0))) == [effects.KeepHead(head(3))]
    told.tell(events.Ticked(), 20.0)
    reports = [each for each in told.done if isinstance(each, effects.SendReport)]
    assert reports[-1].witnessed == head(3)
    offered = replace(shown(9, 2, era=2), begun=begun(2))
    assert told.tell(events.HeadShown(told.session, offered)) == [effects.CheckSignatures(offered)]
    done = told.tell(events.SignaturesChecked(offered, are_good=True))
    assert effects.KeepHead(head(9, era=2)) in done
    stale = replace(told.session, number=99)
    assert told.tell(events.HeadShown(stale, shown(3, 0))) == []


def test_every_proof_of_life_tells_what_was_seen() -> None:
    """Starts, adoptions, resent results and new sessions: to an older control plane a heartbeat without a head means
    that nothing was seen, and what it shows then looks like a log without proof."""
    found = Recovered(grant("att_old"), None)
    told = Told([found], capabilities=replace(CAPABILITIES, slots=8))
    said: list[effects.SendReport] = []

    def hear() -> None:
        said.extend(each for each in told.done if isinstance(each, effects.SendReport) and each.heartbeat)

    told.opened()
    hear()
    told.tell(events.HeadShown(told.session, shown(3, 0)))
    told.tell(events.ChildAdopted("att_old", told.now, PROGRESS))
    hear()
    for n in range(7):
        told.running(grant(f"att_{n}"))
        hear()
    told.ended(attempt_id="att_1")
    told.tell(events.OutcomeRecorded("att_1"))
    told.tell(events.Ticked(), 100.0)
    hear()
    told.closed()
    told.tell(events.Ticked(), 100.0)
    told.opened()
    hear()
    assert len(said) == 11
    assert [each.witnessed for each in said] == [None, *[head(3)] * 10]
