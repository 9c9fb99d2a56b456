"""A full disk and bugs of our own, seen from outside: one clear status each, nothing lost, the listener stays open."""

import logging
from pathlib import Path
from typing import Any

import grpc
import pytest
from haulier.v1 import agent_pb2 as pb
from haulier.v1 import operator_pb2

from tests.integration.controlplane.plane import CALL_S, Running, a_hello, refusal, serving
from tests.kit.builders import a_plan
from tests.kit.running import run

LARGE = b"x" * 60_000


async def to_its_end(call: Any) -> None:
    """Take in what a stream says until it ends."""
    async for _ in call:
        pass


def disk_is_full(running: Running, full: bool) -> None:
    """Let the store's file not grow any more, or grow again."""
    connection = running.plane.store._batcher.connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages if full else pages + 100_000}")


def test_a_result_that_cannot_be_kept_is_not_acknowledged_and_arrives_the_next_time(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            joined = await running.join()
            talk = await running.talk(joined)
            migration = await running.start(a_plan())
            (grant,) = await talk.granted(1)
            disk_is_full(running, True)
            await talk.report(grant, result=LARGE)
            code, why = await talk.status()
            assert code is grpc.StatusCode.UNAVAILABLE
            assert "database or disk is full" in why
            assert talk.acknowledged == []
            disk_is_full(running, False)
            again = await running.talk(joined, incarnation=2)
            await again.settled(grant, result=LARGE)
            assert await running.state_of(migration) == "succeeded"

    run(body())


def test_a_hello_that_cannot_be_kept_is_told_so(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            joined = await running.join()
            disk_is_full(running, True)
            talk = running.call(joined)
            await talk.say(hello=a_hello(kinds=[f"kind-{n}" for n in range(9_000)]))
            assert (await talk.status())[0] is grpc.StatusCode.UNAVAILABLE
            disk_is_full(running, False)
            assert not running.plane.sessions.by_agent
            await running.talk(joined)

    run(body())


def test_an_operator_is_told_that_nothing_was_kept(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            disk_is_full(running, True)
            spec = "spec: {engine: parquet, root: /srv/%s}\n" % ("x" * 200)
            text = "---\n".join(
                f"apiVersion: haulier/v1\nkind: Datastore\nmetadata: {{name: d{n}}}\n{spec}" for n in range(500)
            )
            file = operator_pb2.ManifestFile(path="a.yaml", content=text.encode())
            request = operator_pb2.ApplyManifestsRequest(files=[file], request_id="r1")
            code, why = await refusal(running.ask("ApplyManifests", request))
            assert code is grpc.StatusCode.UNAVAILABLE
            assert why.endswith("nothing of this request was kept")
            disk_is_full(running, False)
            assert len((await running.ask("ApplyManifests", request)).outcomes) == 500

    run(body())


def test_a_bug_of_ours_is_one_line_for_the_caller_and_a_report_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any, **__: Any) -> Any:
        raise KeyError("a secret that must not leave")

    def broken_at_once() -> Any:
        raise KeyError("a secret that must not leave")

    async def body() -> None:
        async with serving(tmp_path) as running:
            joined = await running.join()
            await running.start(a_plan())
            with monkeypatch.context() as patched:
                patched.setattr(running.plane.inventory, "page", broken)
                patched.setattr(running.plane.operator_servicer._s.queries, "event_reading", broken_at_once)
                patched.setattr(running.plane.sessions, "open", broken)
                listed = running.ask("ListManifests", operator_pb2.ListManifestsRequest(kind="Dataset"))
                watched = running.operators().WatchEvents(
                    operator_pb2.WatchEventsRequest(), metadata=running.administrator, timeout=CALL_S
                )
                talk = running.call(joined)
                await talk.say(hello=a_hello())
                for code, why in (await refusal(listed), await refusal(anext(aiter(watched))), await talk.status()):
                    assert (code, why) == (grpc.StatusCode.INTERNAL, "internal error: KeyError")
            # The listener still serves.
            await running.talk(joined)

    with caplog.at_level(logging.ERROR):
        run(body())
    assert caplog.text.count("Traceback") == 3
    assert "/haulier.v1.OperatorService/ListManifests failed" in caplog.text


def test_messages_that_cannot_be_read_are_refused_in_one_line_and_leave_none_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    garbage = b"\xff\xff\xff"

    async def body() -> None:
        async with serving(tmp_path) as running:
            joined = await running.join()
            unary = running.listener().unary_unary("/haulier.v1.OperatorService/ListAgents")
            answered = running.listener().unary_stream("/haulier.v1.OperatorService/WatchEvents")
            both = running.agents(joined).stream_stream("/haulier.v1.AgentService/Session")
            metadata = running.administrator
            hello = pb.SessionRequest(sequence=1, hello=a_hello()).SerializeToString()
            assert await refusal(unary(garbage, timeout=CALL_S, metadata=metadata)) == (
                grpc.StatusCode.INVALID_ARGUMENT,
                "ListAgents: the message cannot be read; is the other side Haulier?",
            )
            assert (await refusal(to_its_end(answered(garbage, metadata=metadata))))[1].startswith("WatchEvents: ")
            for said in ([garbage], [hello, garbage]):
                code, why = await refusal(to_its_end(both(iter(said))))
                assert code is grpc.StatusCode.INVALID_ARGUMENT, why
                assert why.startswith("Session: "), why
            # The agent is none the worse for it.
            await running.talk(joined, incarnation=2)

    with caplog.at_level(logging.WARNING):
        run(body())
    assert caplog.records == []
