"""Output of attempts: kept once, bounded, its beginning and its end."""

import asyncio
from pathlib import Path

import pytest

from controlplane.service.steps import outputs
from controlplane.service.steps.outputs import Outputs, Piece
from controlplane.store.port import StoreFailed
from tests.kit.builders import a_plan
from tests.kit.running import run
from tests.unit.controlplane.service.room import Host, Room


async def attempt(room: Room) -> tuple[Host, str]:
    """A running attempt, and its agent."""
    host = await room.connect()
    await room.start(a_plan())
    return host, host.grants[0].attempt.id


async def whole(kept: Outputs, attempt_id: str, bytes_max: int = 7) -> bytes:
    """All output that is stored, a few bytes at a time, with a mark where some was left out."""
    text, position = b"", 0
    while True:
        piece = await kept.read(attempt_id, position, bytes_max)
        text += b"<%d>" % piece.dropped_bytes if piece.dropped_bytes else b""
        text += piece.data
        if not piece.data:
            return text
        position = piece.position


def test_pieces_are_kept_in_order_and_repeats_once(tmp_path: Path) -> None:
    async def body() -> None:
        room = Room()
        host, attempt_id = await attempt(room)
        kept = Outputs(room.store, tmp_path / "outputs")

        async def append(offset: int, data: bytes, dropped: int = 0) -> int | None:
            return await kept.append(host.id, attempt_id, offset, data, dropped, last=False)

        assert await kept.read(attempt_id, 0, 9) == Piece(b"", 0)
        assert await append(0, b"one\n") == 4
        assert await append(0, b"one\n") == 4
        # A piece that overlaps what is stored adds what is new.
        assert await append(2, b"e\ntwo\n") == 8
        assert await append(20, b"end\n", dropped=12) == 24
        assert await whole(kept, attempt_id) == b"one\ntwo\n\n[12 bytes left out]\nend\n"

    run(body())


def test_a_chatty_attempt_keeps_its_beginning_and_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "HEAD_BYTES_MAX", 10)
    monkeypatch.setattr(outputs, "TAIL_BYTES_MAX", 20)

    async def body() -> None:
        room = Room()
        host, attempt_id = await attempt(room)
        kept = Outputs(room.store, tmp_path)
        printed = b""
        follower, position = b"", 0
        for number in range(40):
            line = b"line %02d\n" % number
            await kept.append(host.id, attempt_id, len(printed), line, 0, last=False)
            printed += line
            piece = await kept.read(attempt_id, position, 100)
            position = piece.position
            follower += piece.data
            while (piece := await kept.read(attempt_id, position, 100)).data:
                position = piece.position
                follower += piece.data
        # Whoever follows from the beginning misses nothing.
        assert follower == printed
        text = await whole(kept, attempt_id)
        head, _, rest = text.partition(b"<")
        left_out, _, tail = rest.partition(b">")
        assert head == printed[:10]
        assert printed.endswith(tail) and 10 <= len(tail) <= 20
        assert len(head) + int(left_out) + len(tail) == len(printed)

    run(body())
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 50


def test_only_the_agent_of_an_attempt_writes_its_output(tmp_path: Path) -> None:
    async def body() -> None:
        room = Room()
        host, attempt_id = await attempt(room)
        kept = Outputs(room.store, tmp_path)
        for agent_id, of in (("ag_other", attempt_id), (host.id, "att_nobody"), (host.id, "../escape")):
            assert await kept.append(agent_id, of, 0, b"x", 0, last=True) is None
        assert not kept.over(attempt_id)

    run(body())
    assert list(tmp_path.iterdir()) == []


def test_the_last_piece_ends_it_and_rings(tmp_path: Path) -> None:
    async def body() -> None:
        room = Room()
        host, attempt_id = await attempt(room)
        kept = Outputs(room.store, tmp_path)
        assert await kept.known(attempt_id) and await kept.running(attempt_id)
        assert not await kept.known("att_nobody") and not await kept.running("att_nobody")
        with kept.changed.watch() as watch:
            await kept.append(host.id, attempt_id, 0, b"", 0, last=True)
            assert await watch.rung(10.0)
        assert kept.over(attempt_id)
        assert host.session is not None
        await room.migrations.undo("m1", "MigrationCancelAsked", "no")
        assert not await kept.running(attempt_id)

    run(body())


def test_what_is_remembered_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "REMEMBERED_MAX", 2)

    async def body() -> None:
        room = Room()
        host = await room.connect(slots=9)
        await room.start(*(a_plan(name=f"s{n}", target=f"t{n}") for n in range(4)))
        kept = Outputs(room.store, tmp_path)
        ids = [lease.attempt.id for lease in host.grants]
        for attempt_id in ids:
            assert await kept.append(host.id, attempt_id, 0, b"x", 0, last=True) == 1
        assert [kept.over(attempt_id) for attempt_id in ids] == [False, False, True, True]
        # Forgotten is not lost: it is looked up again.
        assert await kept.append(host.id, ids[0], 1, b"y", 0, last=False) == 2

    run(body())


def test_output_that_cannot_be_kept_is_said_again_later(tmp_path: Path) -> None:
    async def body() -> None:
        room = Room()
        host, attempt_id = await attempt(room)
        blocked = tmp_path / "outputs"
        blocked.write_text("a file where the directory should be")
        kept = Outputs(room.store, blocked)
        with pytest.raises(StoreFailed, match=f"the output of {attempt_id} could not be kept: File exists"):
            await kept.append(host.id, attempt_id, 0, b"x", 0, last=False)
        await asyncio.to_thread(blocked.unlink)
        assert await kept.append(host.id, attempt_id, 0, b"x", 0, last=False) == 1

    run(body())
