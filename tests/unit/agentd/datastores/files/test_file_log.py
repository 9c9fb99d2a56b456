"""The fence of a file: each number has one winner, and a smaller fence never wins."""

import os
from pathlib import Path

import pytest

from agentd.datastores.files.file_log import Entry, FileLog, LogState, folded, record_of, require_newest
from agentd.datastores.port.datastore import Writer
from agentd.datastores.port.failures import Fenced, StepFailure


def writer(fence: int, attempt: str = "", migration: str = "mig_1", target: str = "there") -> Writer:
    return Writer(target, fence, attempt or f"att_{fence}", migration)


def entry(number: int, kind: str, who: Writer, **cells: object) -> Entry:
    values = {"data": f"data-{number}", "input_digest": "ab", "mark": (number, number)} if kind == "publish" else {}
    return Entry(number, kind, who.target, who.fence, who.attempt_id, who.migration_id, **values | cells)  # type: ignore[arg-type]


def test_claims_take_successive_numbers_and_a_stale_one_is_refused(tmp_path: Path) -> None:
    log = FileLog(tmp_path / "log")
    assert log.entries() == []
    assert [log.claim(writer(f)) for f in (1, 2, 2, 5)] == [1, 2, 3, 4]
    for stale in (writer(4), writer(5, "att_other")):
        with pytest.raises(Fenced):
            log.claim(stale)
    # Fences of another target are not comparable with ours.
    assert log.claim(writer(1, target="elsewhere")) == 5
    assert [e.number for e in log.entries()] == [1, 2, 3, 4, 5]


def test_whoever_claims_in_between_refuses_the_publish(tmp_path: Path) -> None:
    log = FileLog(tmp_path / "log")
    old, new = writer(1), writer(2)
    number = log.claim(old)
    taken = log.claim(new)
    with pytest.raises(Fenced, match="att_2 with fence 2"):
        log.publish(entry(number + 1, "publish", old))
    log.publish(entry(taken + 1, "publish", new))
    assert folded(log.entries()).content == f"data-{taken + 1}"


def test_a_number_is_created_once(tmp_path: Path) -> None:
    log = FileLog(tmp_path / "log")
    log.home.mkdir()
    assert log.append(entry(1, "claim", writer(1)))
    assert not log.append(entry(1, "claim", writer(2)))
    assert [e.fence for e in log.entries()] == [1]
    assert sorted(p.name for p in log.home.iterdir()) == ["000001.json"]


def test_a_claim_sweeps_what_nobody_can_publish_any_more(tmp_path: Path) -> None:
    log = FileLog(tmp_path / "_haulier" / "a.csv")
    number = log.claim(writer(1))
    (bare := tmp_path / "a.csv").write_text("what is there")
    for name in ("data-000002", "data-000009", "kept-000001", "kept-000007"):
        (log.home / name).write_text(name)
    os.link(bare, log.home / "kept-000008")
    log.publish(entry(number + 1, "publish", writer(1), data="data-000002", kept="kept-000001"))
    everything = sorted(p.name for p in log.home.iterdir() if p.suffix != ".json")
    log.claim(writer(2), sweeps=False)
    assert sorted(p.name for p in log.home.iterdir() if p.suffix != ".json") == everything
    log.claim(writer(3))
    left = sorted(p.name for p in log.home.iterdir() if p.suffix != ".json")
    # A kept file that no entry names may be the last copy of somebody's data.
    assert left == ["data-000002", "kept-000001", "kept-000007"]


def test_a_file_that_a_later_claim_swept_means_refused_and_not_lost(tmp_path: Path) -> None:
    log = FileLog(tmp_path / "log")
    old = writer(1)
    number = log.claim(old)
    data = log.home / "data-000001"
    with pytest.raises(Fenced, match="att_2 with fence 2 claimed after us"), log.claimed(old, number):
        data.write_text("rows")
        log.claim(writer(2))
        data.stat()
    # Nobody claimed after this one: a file that is gone was lost to something else.
    newest = log.claim(writer(3))
    with pytest.raises(FileNotFoundError), log.claimed(writer(3), newest):
        data.stat()


def test_the_log_folds_to_what_readers_see() -> None:
    one, two = writer(1), writer(3, migration="mig_2")
    first = entry(2, "publish", one, kept="kept-1")
    second = entry(4, "publish", two, kept="data-2")
    assert folded([]) == LogState()
    assert folded([entry(1, "claim", one)]).content is None
    both = folded([first, second])
    assert (both.content, both.publishes, both.superseded) == ("data-4", (first, second), frozenset({(2, 2)}))
    back = folded([first, second, entry(6, "withdraw", writer(5, migration="mig_2"), data="data-2", changed=True)])
    assert (back.content, back.publishes, back.superseded) == ("data-2", (first,), frozenset({(4, 4)}))
    none = folded([first, entry(4, "withdraw", writer(5), data="", changed=True)])
    assert (none.content, none.restored, none.publishes) == (None, True, ())
    untouched = folded([first, entry(4, "withdraw", writer(5, migration="mig_9"))])
    assert untouched.content == "data-2"


def test_a_publish_that_was_published_over_is_not_undone() -> None:
    state = folded([entry(2, "publish", writer(1)), entry(4, "publish", writer(3, migration="mig_2"))])
    assert require_newest(state, writer(5, migration="mig_3")) is None
    assert require_newest(state, writer(5, migration="mig_2")) == state.publishes[-1]
    with pytest.raises(StepFailure) as caught:
        require_newest(state, writer(5))
    assert caught.value.code == "published_over"


def test_the_record_says_the_newest_fence_and_what_is_published() -> None:
    entries = [entry(1, "claim", writer(1)), entry(2, "publish", writer(1), rows=7), entry(3, "claim", writer(4))]
    assert record_of([], "there") is None
    record = record_of(entries, "there")
    assert record is not None
    assert (record.fence, record.attempt_id, record.published_fence, record.rows) == (4, "att_4", 1, 7)
    assert record_of(entries, "unknown") == record
    assert record_of(entries[:1], "unknown") is None
