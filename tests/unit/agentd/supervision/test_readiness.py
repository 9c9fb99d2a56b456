"""What an agent's own account means for each probe, and the pages that say it over HTTP."""

import asyncio
import json
from typing import Any

import pytest

from agentd.supervision import http_probes
from agentd.supervision.readiness import JOURNAL_LATE_S, PROBES, reasons

WELL: dict[str, Any] = {
    "connected": True,
    "stopping": False,
    "session_address": "plane:7421",
    "journal_writing_s": 0.0,
    "release_state": "kept",
    "held": [{"attempt_id": "att_1_1", "state": "running"}],
}


@pytest.mark.parametrize("probe", PROBES)
def test_all_is_well(probe: str) -> None:
    assert reasons(probe, WELL) == reasons(probe, {**WELL, "release_state": "none"}) == []


@pytest.mark.parametrize(
    ("change", "ready", "words"),
    [
        ({"connected": False}, False, "no session with plane:7421"),
        ({"stopping": True}, False, "stopping"),
        ({"journal_writing_s": JOURNAL_LATE_S + 1}, False, "its disk hangs"),
        ({"release_state": "probation"}, True, "its release is probation"),
        ({"held": [{"attempt_id": "att_2_1", "state": "stopping"}]}, True, "att_2_1 is being stopped"),
    ],
)
def test_what_is_not_well(change: dict[str, Any], ready: bool, words: str) -> None:
    told = {**WELL, **change}
    assert reasons("liveness", told) == []
    assert (reasons("readiness", told) == []) is ready
    assert words in reasons("rollout", told)[0]


async def asked(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


def test_pages() -> None:
    async def run() -> None:
        told = dict(WELL)
        server = await http_probes.listen("127.0.0.1:0", lambda: told)
        port = server.sockets[0].getsockname()[1]
        assert (await asked(port, b"GET /livez HTTP/1.1\r\n\r\n")).endswith(b"\r\n\r\nok\n")
        told["connected"] = False
        answer = await asked(port, b"GET /readyz?json HTTP/1.1\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert json.loads(answer.split(b"\r\n\r\n")[1]) == {"ok": False, "reasons": ["no session with plane:7421"]}
        assert (await asked(port, b"HEAD /rolloutz HTTP/1.1\r\n\r\n")).endswith(b"\r\n\r\n")
        assert (await asked(port, b"GET /livez HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        assert b" 404 " in await asked(port, b"GET /else HTTP/1.1\r\n\r\n")
        assert b" 405 " in await asked(port, b"PUT /livez HTTP/1.1\r\n\r\n")
        assert b" 400 " in await asked(port, b"nothing\r\n\r\n")
        assert await asked(port, b"GET /" + b"x" * 20_000) == b""
        with pytest.raises(http_probes.ProbeUnavailable):
            await http_probes.listen(f"127.0.0.1:{port}", lambda: told)
        server.close()

    asyncio.run(run())
