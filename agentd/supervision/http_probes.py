"""Probes for those who speak HTTP only: `/livez` and `/readyz`, GET or HEAD, one request a connection, bounded."""

import asyncio
import contextlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from agentd.supervision import readiness

HEAD_BYTES_MAX = 8192
CONNECTIONS_MAX = 16
REQUEST_S_MAX = 5.0
_REQUEST = re.compile(rb"(GET|HEAD) (/[\x21-\x7e]{0,512}) HTTP/1\.[01]\r\n")
_ANY_REQUEST = re.compile(rb"[A-Z]+ /[^ ]* HTTP/1\.[01]\r\n")
_WORDS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}
_PROBES = {"/livez": "liveness", "/readyz": "readiness", "/rolloutz": "rollout"}


class ProbeUnavailable(Exception):
    """The probe address cannot be listened on."""


async def listen(address: str, told: Callable[[], Mapping[str, Any]]) -> asyncio.Server:
    """Answer on `address` (host:port on loopback) from what the daemon tells; raises ProbeUnavailable."""
    open_now = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now
        open_now += 1
        try:
            if open_now <= CONNECTIONS_MAX:
                async with asyncio.timeout(REQUEST_S_MAX):
                    writer.write(_answer(await reader.readuntil(b"\r\n\r\n"), told))
                    await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            # Too slow, too long, or gone: nobody is there who could be told.
            pass
        finally:
            open_now -= 1
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    host, _, port = address.rpartition(":")
    try:
        return await asyncio.start_server(serve, host.strip("[]"), int(port), limit=HEAD_BYTES_MAX)
    except (OSError, ValueError) as error:
        raise ProbeUnavailable(f"probe.http_address {address} cannot be listened on: is it taken?") from error


def _answer(head: bytes, told: Callable[[], Mapping[str, Any]]) -> bytes:
    asked = _REQUEST.match(head)
    status, body, kind = 400, "not an HTTP request\n", "text/plain; charset=utf-8"
    if asked is not None:
        path, _, query = asked[2].decode().partition("?")
        if path in _PROBES:
            why = readiness.reasons(_PROBES[path], told())
            status = 503 if why else 200
            if "json" in query or b"application/json" in head.lower():
                body, kind = json.dumps({"ok": not why, "reasons": why}) + "\n", "application/json"
            else:
                body = "".join(f"{line}\n" for line in (why or ["ok"]))
        else:
            status, body = 404, f"known are {', '.join(_PROBES)}\n"
    elif _ANY_REQUEST.match(head):
        status, body = 405, "only GET and HEAD\n"
    content = body.encode()
    top = f"HTTP/1.1 {status} {_WORDS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n"
    top += "Allow: GET, HEAD\r\n" if status == 405 else ""
    top += "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    return top.encode() + (b"" if asked is not None and asked[1] == b"HEAD" else content)
