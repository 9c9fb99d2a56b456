"""What a witness' head means for a log, and a whole log verified from its entries."""

from collections.abc import Sequence

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controlplane.core.audit import text as audit_text
from controlplane.core.audit.heads import Continued, LogEra, TreeHead, judge_witness, key_id_of
from controlplane.core.audit.leaves import leaf_of
from controlplane.core.audit.merkle import Frontier
from controlplane.core.audit.verifying import Entry, Seal, Verification, verify
from controlplane.core.events import Event
from controlplane.identity.audit_key import AuditKey, era_is_signed, head_is_signed

KEY = AuditKey(Ed25519PrivateKey.generate())
OTHER = AuditKey(Ed25519PrivateKey.generate())
EVENTS = [Event(float(n), "LeaseGranted", f"step_{n}", "mig_1", f"att_{n}_1", "ag_1", 2**62 + n) for n in range(9)]
ENTRIES: list[Entry] = [(n, event) for n, event in enumerate(EVENTS, 1)]


def root_of(size: int, events: Sequence[Event] = EVENTS) -> bytes:
    frontier = Frontier()
    frontier.add(leaf_of(position, event) for position, event in enumerate(events[:size], 1))
    return frontier.root()


def head(size: int, era: int = 1, root: bytes | None = None, key: AuditKey = KEY) -> TreeHead:
    return key.head(era, size, root_of(size) if root is None else root)


def era(number: int, size: int, key: AuditKey = KEY) -> LogEra:
    return key.begin_era(number, size, root_of(size), 7, "the disk was lost")


def judged(own: TreeHead | None, seen: TreeHead, eras: Sequence[LogEra] = ()) -> object:
    return judge_witness(own, eras, seen, root_of)


def checked(
    seal: Seal, entries: Sequence[Entry] = ENTRIES, witnessed: Sequence[tuple[str, TreeHead]] = ()
) -> Verification:
    return verify(seal, entries, witnessed, head_is_signed=head_is_signed, era_is_signed=era_is_signed)


def test_a_log_continues_what_was_seen() -> None:
    assert judged(head(9), head(4)) == Continued(4)
    assert judged(head(9), head(9)) == Continued(9)


@pytest.mark.parametrize(
    ("own", "seen", "words"),
    [
        (None, head(4), "never been sealed"),
        (head(4), head(9), "it was cut, or is an older copy"),
        (head(9), head(4, root=bytes(32)), "entries were changed"),
        (head(9), head(2, era=2), "before a restore"),
    ],
)
def test_a_log_that_contradicts(own: TreeHead | None, seen: TreeHead, words: str) -> None:
    assert words in str(judged(own, seen))


def test_a_restore_loses_what_was_seen_after_the_backup() -> None:
    begun = era(2, 5)
    assert judged(head(9, era=2), head(4), [begun]) == Continued(5, begun, 0)
    assert judged(head(9, era=2), head(8), [begun]) == Continued(5, begun, 3)
    assert judged(head(9, era=2), head(4, root=bytes(32)), [begun]) == Continued(5, begun, 0)
    second = era(3, 7)
    assert judged(head(9, era=3), head(6), [begun, second]) == Continued(7, second, 1)


def test_an_intact_log() -> None:
    seal = Seal(head(9, era=2), KEY.public_key, [era(2, 5)])
    verdict = checked(seal, witnessed=[("a", head(4)), ("b", head(9, era=2))])
    assert verdict == Verification(entries=9, witnesses=2, key_id=KEY.key_id)
    assert str(head(4)).startswith("4 entries with root ")
    assert KEY.key_id in repr(KEY)


def test_entries_beyond_the_head_are_not_sealed_yet() -> None:
    assert not checked(Seal(head(4), KEY.public_key)).faults


def test_archived_entries_count_by_their_hash() -> None:
    entries: list[Entry] = [(n, leaf_of(n, event) if n < 4 else event) for n, event in enumerate(EVENTS, 1)]
    assert checked(Seal(head(9), KEY.public_key), entries) == Verification(entries=9, archived=3, key_id=KEY.key_id)


SWAPPED = [*ENTRIES[:2], (3, EVENTS[3]), (4, EVENTS[2]), *ENTRIES[4:]]
CHANGED = [*ENTRIES[:2], (3, EVENTS[2]._replace(detail="nothing")), *ENTRIES[3:]]


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        (CHANGED, "one was changed"),
        (SWAPPED, "one was changed"),
        ([*ENTRIES[:2], *ENTRIES[3:]], "after position 2 comes 4"),
        (ENTRIES[:6], "the log ends after 6 entries"),
    ],
)
def test_a_log_that_was_touched(entries: Sequence[Entry], words: str) -> None:
    (fault,) = checked(Seal(head(9), KEY.public_key), entries).faults
    assert words in fault


def test_heads_of_strangers() -> None:
    assert "no signed head yet" in checked(Seal(None, KEY.public_key)).faults[0]
    forged = head(9)._replace(signature=bytes(64))
    assert "is not signed by key" in checked(Seal(forged, KEY.public_key)).faults[0]
    assert "is not signed by key" in checked(Seal(head(9, key=OTHER), KEY.public_key)).faults[0]
    assert "another key" in checked(Seal(head(9), KEY.public_key), witnessed=[("a", head(4, key=OTHER))]).faults[0]
    assert not head_is_signed(head(4)._replace(key_id=key_id_of(b"x")), b"x")


def test_witnesses_and_eras_that_do_not_fit() -> None:
    short = Seal(head(4), KEY.public_key)
    assert "it was cut" in checked(short, witnessed=[("a", head(9))]).faults[0]
    wrong = Seal(head(9, era=2), KEY.public_key, [era(2, 5)._replace(root=bytes(32))])
    assert "beginning of era 2 is not signed" in checked(wrong).faults[0]
    other = Seal(head(9, era=2), KEY.public_key, [KEY.begin_era(2, 5, bytes(32), 7, "why")])
    assert "era 2 began with 5 other entries" in checked(other).faults[0]


def test_text_and_back() -> None:
    seal = Seal(head(9, era=2), KEY.public_key, [era(2, 5)])
    assert audit_text.seal_from(audit_text.seal_value(seal)) == seal
    empty = Seal(None, KEY.public_key, [])
    assert audit_text.seal_from(audit_text.seal_value(empty)) == empty
    for entry in ((1, EVENTS[0]), (2, Event(0.5, "a", "b")), (3, bytes(32))):
        assert audit_text.entry_from(audit_text.entry_value(*entry)) == entry
    value = audit_text.head_value(head(4))
    assert audit_text.head_from(value) == audit_text.head_from({"audit": {"witnessed": value}}) == head(4)


def test_the_first_line_of_an_archive() -> None:
    assert audit_text.archive_from(audit_text.archive_value(1, 9)) == (1, 9)
    for value in ({}, None, {"format": "other", "first": 1, "last": 2}):
        with pytest.raises(audit_text.Unreadable):
            audit_text.archive_from(value)


@pytest.mark.parametrize("value", [{}, [], {"audit": {"witnessed": None}}, {"root": "x"}, None])
def test_text_that_is_something_else(value: object) -> None:
    for read in (audit_text.head_from, audit_text.seal_from, audit_text.entry_from):
        with pytest.raises(audit_text.Unreadable):
            read(value)
    with pytest.raises(audit_text.Unreadable, match="format"):
        audit_text.seal_from({"format": "other"})
