"""Probes and metrics for those who speak HTTP only: GET or HEAD, one request a connection, small and bounded.

`/livez` answers as long as the process turns its loop, and asks nothing else. `/readyz` gives its reasons, as text, or
as JSON where `?json` or an Accept header asks for it. `/metrics` is for Prometheus.
"""

import asyncio
import contextlib
import json
import re
from collections.abc import Awaitable, Callable

from controlplane.service.health.metrics import Metrics
from controlplane.service.health.readiness import Readiness

HEAD_BYTES_MAX = 8192
CONNECTIONS_MAX = 64
REQUEST_S_MAX = 5.0
_REQUEST = re.compile(rb"(GET|HEAD) (/[\x21-\x7e]{0,512}) HTTP/1\.[01]\r\n")
_WORDS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}
_TEXT, _JSON = "text/plain; charset=utf-8", "application/json"
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"

Answer = tuple[int, str, str]  # status, content type, body


class HttpProbes:
    """One plain HTTP listener. Start it once; it ends with ``stop``."""

    def __init__(self, readiness: Readiness, metrics: Metrics) -> None:
        self._readiness = readiness
        self._metrics = metrics
        self._open = 0
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self, address: str) -> None:
        """Listen on host:port. Raises ``RuntimeError`` naming the address that cannot be had."""
        host, _, port = address.rpartition(":")
        try:
            self._server = await asyncio.start_server(self._serve, host.strip("[]"), int(port), limit=HEAD_BYTES_MAX)
        except (OSError, ValueError) as error:
            raise RuntimeError(f"cannot listen on {address} for probes: {error}") from None
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Listen no longer."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= CONNECTIONS_MAX:
                async with asyncio.timeout(REQUEST_S_MAX):
                    await self._answer(reader, writer)
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            # Too slow, too long, or gone: nobody is there who could be told.
            pass
        finally:
            self._open -= 1
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked = _REQUEST.match(head)
        if asked is None:
            other = re.match(rb"[A-Z]+ /[^ ]* HTTP/1\.[01]\r\n", head)
            status, kind, body = (405, _TEXT, "only GET and HEAD\n") if other else (400, _TEXT, "not an HTTP request\n")
        else:
            path, _, query = asked[2].decode().partition("?")
            as_json = "json" in query or b"application/json" in head.lower()
            status, kind, body = await self._page(path, as_json)
        content = body.encode()
        allow = "Allow: GET, HEAD\r\n" if status == 405 else ""
        writer.write(
            f"HTTP/1.1 {status} {_WORDS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n{allow}"
            "Cache-Control: no-store\r\nConnection: close\r\n\r\n".encode()
        )
        if asked is None or asked[1] != b"HEAD":
            writer.write(content)
        await writer.drain()

    async def _page(self, path: str, as_json: bool) -> Answer:
        pages: dict[str, Callable[[bool], Awaitable[Answer]]] = {
            "/livez": self._livez,
            "/readyz": self._readyz,
            "/metrics": self._prometheus,
        }
        if path not in pages:
            return 404, _TEXT, f"known are {', '.join(pages)}\n"
        return await pages[path](as_json)

    async def _livez(self, as_json: bool) -> Answer:
        return (200, _JSON, '{"live": true}\n') if as_json else (200, _TEXT, "live\n")

    async def _readyz(self, as_json: bool) -> Answer:
        reasons = self._readiness.reasons()
        is_ready = not any(reason.block for reason in reasons)
        status = 200 if is_ready else 503
        if as_json:
            told = [{"code": each.code, "message": each.message, "blocks": each.block} for each in reasons]
            return status, _JSON, json.dumps({"ready": is_ready, "reasons": told}) + "\n"
        lines = ["ready" if is_ready else "not ready"]
        lines += [f"{'blocks' if each.block else 'warns'} {each.code}: {each.message}" for each in reasons]
        return status, _TEXT, "\n".join(lines) + "\n"

    async def _prometheus(self, _: bool) -> Answer:
        return 200, _PROMETHEUS, await self._metrics.text()
