"""A pooler in front of a real PostgreSQL, as pgbouncer is one: it answers the startup itself and lends sessions out.

With `by_transaction` every transaction may run in another session, and the key data that a client gets are made up.
Without it a client keeps one session and gets its true key data, but the `options` that it began with are lost all the
same.
"""

import collections
import contextlib
import select
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

_PROTOCOL = 196608
_REQUESTS_ANSWERED_NO = (80877103, 80877104)  # for TLS, for GSS


class _Wire:
    """A socket that speaks in whole messages of PostgreSQL's protocol."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection

    def exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise ConnectionError("the other side hung up")
            data += more
        return data

    def message(self) -> tuple[bytes, bytes]:
        """Type and body of the next message."""
        kind, length = struct.unpack("!cI", self.exactly(5))
        return kind, self.exactly(length - 4)

    def send(self, kind: bytes, body: bytes) -> None:
        self.socket.sendall(kind + struct.pack("!I", len(body) + 4) + body)

    def startup(self) -> dict[str, str]:
        """What a client begins with."""
        while True:
            (length,) = struct.unpack("!I", self.exactly(4))
            (code,) = struct.unpack("!I", self.exactly(4))
            body = self.exactly(length - 8)
            if code not in _REQUESTS_ANSWERED_NO:
                words = body.decode().split("\0")
                return {name: value for name, value in zip(words[::2], words[1::2], strict=False) if name}
            self.socket.sendall(b"N")


class Pooler:
    """Listens at 127.0.0.1 and `port`; lends sessions of the server whose unix socket it is given."""

    def __init__(self, server: Path, *, by_transaction: bool = True) -> None:
        self._server, self._by_transaction = server, by_transaction
        self._idle: collections.deque[tuple[_Wire, list[tuple[bytes, bytes]]]] = collections.deque()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, name="pooler", daemon=True).start()

    def close(self) -> None:
        """Hang up on everybody."""
        self._listener.shutdown(socket.SHUT_RDWR)
        for each in [self._listener, *self._sockets]:
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                threading.Thread(target=self._serve, args=(_Wire(client),), daemon=True).start()

    def _session(self, told: dict[str, str]) -> tuple[_Wire, list[tuple[bytes, bytes]]]:
        """A session of the server's and what it said at its start."""
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self._server))
        self._sockets.append(connection)
        wire = _Wire(connection)
        words = "".join(f"{name}\0{told[name]}\0" for name in ("user", "database", "client_encoding") if name in told)
        body = struct.pack("!I", _PROTOCOL) + words.encode() + b"\0"
        connection.sendall(struct.pack("!I", len(body) + 4) + body)
        said: list[tuple[bytes, bytes]] = []
        while not said or said[-1][0] != b"Z":
            said.append(wire.message())
        return wire, said

    def _serve(self, client: _Wire) -> None:
        with contextlib.suppress(OSError, ValueError):
            told = client.startup()
            if self._by_transaction:
                while len(self._idle) < 2:
                    self._idle.append(self._session(told))
            session, said = self._idle[0] if self._by_transaction else self._session(told)
            for kind, body in said:
                made_up = kind == b"K" and self._by_transaction
                client.send(kind, struct.pack("!II", 0x7FFFFFF0, 1) if made_up else body)
            while self._lend(client, session):
                pass
            client.socket.close()
            session.socket.close()

    def _lend(self, client: _Wire, own: _Wire) -> bool:
        """Run one transaction of a client's, in whatever session is the next; False when the client is gone."""
        if not client.socket.recv(1, socket.MSG_PEEK):
            return False
        session, said = self._idle.popleft() if self._by_transaction else (own, [])
        for kind, body in _exchanged(client, session):
            if kind == b"Z" and body == b"I":
                break
        else:
            return False
        if self._by_transaction:
            self._idle.append((session, said))
        return True


def _exchanged(client: _Wire, session: _Wire) -> Iterator[tuple[bytes, bytes]]:
    """Carry messages both ways; yields those of the server's."""
    while True:
        ready, _, _ = select.select([client.socket, session.socket], [], [])
        if client.socket in ready:
            data = client.socket.recv(65_536)
            if not data:
                return
            session.socket.sendall(data)
        if session.socket in ready:
            kind, body = session.message()
            client.send(kind, body)
            yield kind, body
