"""Brief calls beside others: both get their turn, nothing is answered before it is durable, nothing asked is lost."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from threading import current_thread
from typing import TypeVar

import pytest

from controlplane.store.port import Brief, Conflict, StoreFailed, Tx
from controlplane.store.sqlite import library, on_loop
from controlplane.store.sqlite.store import SqliteStore

T = TypeVar("T")
BOUND_S = 60.0


def with_store(path: Path, body: Callable[[SqliteStore], Awaitable[T]]) -> T:
    async def bounded() -> T:
        store = SqliteStore(path)
        try:
            return await asyncio.wait_for(body(store), BOUND_S)
        finally:
            await asyncio.to_thread(store.close)

    return asyncio.run(bounded())


def new_id(tx: Tx) -> str:
    return tx.next_ids("mig_", 1)[0]


def where(tx: Tx) -> str:
    return current_thread().name


def test_a_brief_call_runs_on_the_loop_and_any_other_in_the_writer(tmp_path: Path) -> None:
    async def body(store: SqliteStore) -> tuple[str, str, str]:
        return current_thread().name, await store.write(Brief(where)), await store.write(where)

    loop, brief, other = with_store(tmp_path / "store.db", body)
    assert brief == loop
    assert other == "store-writer"


def test_other_calls_get_their_turn_however_many_brief_ones_come(tmp_path: Path) -> None:
    async def body(store: SqliteStore) -> tuple[int, bool]:
        stopping = False
        done = 0

        async def keep_asking() -> None:
            nonlocal done
            while not stopping:
                await store.write(Brief(new_id))
                done += 1

        busy = [asyncio.create_task(keep_asking()) for _ in range(100)]
        others = [await store.write(new_id) for _ in range(20)]
        stopping = True
        await asyncio.gather(*busy)
        return done, len(set(others)) == 20

    done, others_are_there = with_store(tmp_path / "store.db", body)
    assert others_are_there
    assert done > 100, "the brief ones went on meanwhile"


def test_more_brief_calls_than_one_batch_takes(tmp_path: Path) -> None:
    count = on_loop.CALLS_MAX * 3 + 1

    async def body(store: SqliteStore) -> list[str]:
        return await asyncio.gather(*(store.write(Brief(new_id)) for _ in range(count)))

    assert len(set(with_store(tmp_path / "store.db", body))) == count


def test_a_brief_call_is_durable_before_its_answer(tmp_path: Path) -> None:
    path = tmp_path / "store.db"

    async def body(store: SqliteStore) -> None:
        for _ in range(20):
            given = await store.write(Brief(new_id))
            seen = await store.read(lambda tx: tx.connection.execute("SELECT value FROM meta WHERE key = 'next_id'"))  # type: ignore[attr-defined]
            assert int(given[4:], 16) & 0xFFFFFFFF < int(seen.fetchone()[0])

    with_store(path, body)


def test_a_brief_call_that_raises_leaves_its_neighbours_alone(tmp_path: Path) -> None:
    def refuse(tx: Tx) -> str:
        tx.next_ids("mig_", 1000)
        raise Conflict("as asked")

    async def body(store: SqliteStore) -> list[str | BaseException]:
        calls = [Brief(new_id), Brief(refuse), Brief(new_id)]
        return await asyncio.gather(*(store.write(call) for call in calls), return_exceptions=True)

    first, refused, second = with_store(tmp_path / "store.db", body)
    assert isinstance(refused, Conflict)
    assert isinstance(first, str) and isinstance(second, str)
    assert int(second[4:], 16) == int(first[4:], 16) + 1, "what was refused left nothing behind"


def test_a_full_disk_is_answered_and_the_next_call_is_served(tmp_path: Path) -> None:
    def too_large(tx: Tx) -> None:
        raise library.OperationalError("database or disk is full")

    async def body(store: SqliteStore) -> str:
        answers = await asyncio.gather(
            store.write(Brief(new_id)), store.write(Brief(too_large)), return_exceptions=True
        )
        assert [type(answer) for answer in answers] == [StoreFailed, StoreFailed]
        await store.write(new_id)
        return await store.write(Brief(new_id))

    assert with_store(tmp_path / "store.db", body).endswith("2")


def test_a_closed_store_has_finished_the_brief_calls_that_were_asked(tmp_path: Path) -> None:
    async def body() -> list[str]:
        store = SqliteStore(tmp_path / "store.db")
        asked = [asyncio.ensure_future(store.write(Brief(new_id))) for _ in range(200)]
        await asyncio.sleep(0)
        await asyncio.to_thread(store.close)
        with pytest.raises(StoreFailed, match="the control plane is stopping"):
            await store.write(Brief(new_id))
        return await asyncio.gather(*asked)

    assert len(set(asyncio.run(body()))) == 200


def test_a_brief_caller_that_has_gone_stops_nobody(tmp_path: Path) -> None:
    async def body(store: SqliteStore) -> str:
        gone = asyncio.ensure_future(store.write(Brief(new_id)))
        await asyncio.sleep(0)
        gone.cancel()
        return await store.write(Brief(new_id))

    assert with_store(tmp_path / "store.db", body).endswith("2")


def test_a_second_loop_beside_the_first_is_served_by_the_writer(tmp_path: Path) -> None:
    async def body(store: SqliteStore) -> tuple[str, str]:
        here = await store.write(Brief(where))
        return here, await asyncio.to_thread(lambda: asyncio.run(store.write(Brief(where))))

    here, there = with_store(tmp_path / "store.db", body)
    assert here == current_thread().name
    assert there == "store-writer"
