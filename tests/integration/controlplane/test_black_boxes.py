"""Black boxes on a real control plane: an agent brings its own, operators see the newest, and nothing grows."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from haulier.v1 import black_box_pb2 as pb
from haulier.v1 import black_box_pb2_grpc

from controlplane.admin.init import PROFILE_FILE
from controlplane.cli.main import main
from controlplane.cli.screen.exits import Exit
from controlplane.rpc.agents.black_box_servicer import BYTES_MAX
from controlplane.service.rollouts.black_boxes import KEPT_MAX
from tests.integration.controlplane.plane import CALL_S, Joined, Running, serving
from tests.kit.running import run

BOX = {
    "request_id": "roll_1:x",
    "version": "0.2.0",
    "digest": "b" * 64,
    "back_to": "0.1.0",
    "cause_code": "selftest_failed",
    "cause": "the self-test failed: migrate duckdb",
    "probation": {"tested": {"passed": False, "failed": ["migrate duckdb"], "detail": "a row is missing"}},
    "timeline": [{"at": 1.0, "what": "switch begun"}, {"at": 2.0, "what": "looked"}],
    "figures": {"agent_rss_bytes": 60_000_000, "load": [1.0]},
    "held_attempts": [{"attempt_id": "att_1"}],
    "log": ["first", "the last \x1b[31mline"],
}


async def report(running: Running, joined: Joined, request_id: str, data: bytes) -> int:
    """Bring a black box as an agent does; returns the bytes that are stored."""

    def pieces() -> Iterator[pb.ReportBlackBoxRequest]:
        for offset in range(0, max(1, len(data)), 32 * 1024):
            yield pb.ReportBlackBoxRequest(request_id=request_id, data=data[offset : offset + 32 * 1024])

    stub = black_box_pb2_grpc.BlackBoxServiceStub(running.agents(joined))
    (answer,) = [each async for each in stub.ReportBlackBox(pieces(), timeout=CALL_S)]
    return int(answer.stored_bytes)


async def shown(running: Running, name: str, *options: str) -> int:
    """Run the command beside the control plane."""
    profile = running.state / "dialled.json"
    told = json.loads((running.state / PROFILE_FILE).read_text())
    profile.touch(mode=0o600)
    profile.write_text(json.dumps({**told, "address": running.public_address}))
    arguments = ["agent", "black-box", name, "--profile", str(profile), *options]
    return await asyncio.to_thread(main, arguments)


def test_the_newest_black_box_of_an_agent_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def story() -> None:
        async with serving(tmp_path / "state") as running:
            joined = await running.join("host-1")
            assert await shown(running, "host-1") == Exit.NOT_FOUND
            assert "no upgrade of it failed" in capsys.readouterr().err
            older = json.dumps({**BOX, "cause_code": "crashed"}).encode()
            await report(running, joined, "roll_0:y", older)
            data = json.dumps(BOX).encode()
            for _ in range(2):
                assert await report(running, joined, "roll_1:x", data) == len(data)
            assert await shown(running, "host-1") == 0
            page = capsys.readouterr().out
            for text in ("selftest_failed", "migrate duckdb", "back to 0.1.0", "switch begun", "1 attempts"):
                assert text in page
            assert "\x1b" not in page, "what a host says never steers a terminal"
            assert await shown(running, "host-1", "-o", "json") == 0
            assert json.loads(capsys.readouterr().out) == BOX

    run(story())


def test_only_so_many_and_so_long_ones_are_kept(tmp_path: Path) -> None:
    async def story() -> None:
        async with serving(tmp_path / "state") as running:
            joined = await running.join("host-1")
            for number in range(KEPT_MAX + 3):
                await report(running, joined, f"../../{number}", b"{}")
            home = running.state / "black-boxes"
            assert len(list(home.rglob("*.json"))) == KEPT_MAX
            assert not list(home.rglob("*.new"))
            for request_id, data in (("x", b"x" * (BYTES_MAX + 1)), ("", b"{}"), ("x", b"")):
                await refused(report(running, joined, request_id, data))

    run(story())


async def refused(call: Any) -> None:
    """See a call refused for what it carries."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    assert raised.value.code() is grpc.StatusCode.FAILED_PRECONDITION
