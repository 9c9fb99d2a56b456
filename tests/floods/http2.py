"""Just enough HTTP/2 to misbehave with: a library would refuse to. RFC 9113 frames, RFC 7541 literals."""

import asyncio
import ssl
import struct
from collections.abc import Iterator

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0x0, 0x1, 0x3, 0x4, 0x6, 0x7, 0x8
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1
CANCEL = struct.pack(">I", 0x8)
# As much as there is: nobody here waits for the other side's window.
OPEN_WINDOW = struct.pack(">I", 2**31 - 1 - 65_535)
FRAME_BYTES = 9
HELLO_S_MAX = 30.0


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def header_block(method: str, address: str) -> bytes:
    """The headers of a gRPC call, each a literal that no table remembers; values are shorter than 127 bytes."""
    headers = {
        ":method": "POST",
        ":scheme": "https",
        ":path": method,
        ":authority": address,
        "te": "trailers",
        "content-type": "application/grpc",
        "grpc-timeout": "30S",
    }
    return b"".join(
        b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in headers.items()
    )


def message(payload: bytes) -> bytes:
    """A gRPC message: not compressed, its length, its bytes."""
    return b"\x00" + struct.pack(">I", len(payload)) + payload


class Connection:
    """One TLS connection that has said hello in HTTP/2, or not even that."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self._next_stream = 1

    @classmethod
    async def dial(cls, address: str, tls: ssl.SSLContext | None) -> "Connection":
        """Connect. Raises ``OSError`` or ``ssl.SSLError`` where the other side will not."""
        host, _, port = address.rpartition(":")
        opening = asyncio.open_connection(host, int(port), ssl=tls, server_hostname="localhost" if tls else None)
        return cls(*await asyncio.wait_for(opening, HELLO_S_MAX))

    def greet(self) -> None:
        """Send the preface, settings, and a window that is never full."""
        self.writer.write(PREFACE + frame(SETTINGS, 0, 0) + frame(WINDOW_UPDATE, 0, 0, OPEN_WINDOW))

    def streams(self, count: int) -> Iterator[int]:
        """Return numbers of new streams."""
        first, self._next_stream = self._next_stream, self._next_stream + 2 * count
        return iter(range(first, self._next_stream, 2))

    async def next_frame(self) -> tuple[int, int, int] | None:
        """Wait for a frame; return its (kind, flags, stream), or None when the connection has ended."""
        try:
            head = await self._reader.readexactly(FRAME_BYTES)
            length = int.from_bytes(head[:3], "big")
            payload = await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            return None
        kind, flags, stream = struct.unpack(">BBI", head[3:])
        if kind == SETTINGS and not flags & ACK:
            self.writer.write(frame(SETTINGS, ACK, 0))
        if kind == PING and not flags & ACK:
            self.writer.write(frame(PING, ACK, 0, payload))
        return kind, flags, stream

    def close(self) -> None:
        """Cut the connection without a word."""
        self.writer.transport.abort()
