"""The daemon answers one question on a unix socket in its state directory: how are you?

An answer proves that its loop turns, which a file or a pid would not.
"""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

NAME = "status.socket"
_ANSWER_BYTES_MAX = 1024 * 1024


class NoAnswer(Exception):
    """No daemon answers at this state directory; says what was tried."""


@contextlib.contextmanager
def _short_path(state: Path) -> Iterator[str]:
    """A path to the socket that fits into a socket address, however deep the state directory lies."""
    directory = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{NAME}"
    finally:
        os.close(directory)


async def serve(state: Path, answer: Callable[[], dict[str, Any]]) -> asyncio.Server:
    """Answer every connection with one line of JSON. The caller owns the state directory already."""

    async def told(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(json.dumps(answer()).encode("utf-8") + b"\n")
            await writer.drain()
        writer.close()

    (state / NAME).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _short_path(state) as path:
        listener.bind(path)
    os.chmod(state / NAME, 0o600)  # noqa: PTH101 - kept beside the bind
    listener.setblocking(False)
    return await asyncio.start_unix_server(told, sock=listener)


def ask(state: Path, wait_s: float) -> dict[str, Any]:
    """The daemon's answer; raises NoAnswer."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asker, _short_path(state) as path:
            asker.settimeout(wait_s)
            asker.connect(path)
            data = b""
            while (more := asker.recv(65536)) and len(data) < _ANSWER_BYTES_MAX:
                data += more
        told: dict[str, Any] = json.loads(data)
    except TimeoutError as error:
        raise NoAnswer(f"the daemon of {state} did not answer within {wait_s:g} s: it hangs") from error
    except (OSError, ValueError) as error:
        raise NoAnswer(f"no daemon runs with --state {state}") from error
    return told
