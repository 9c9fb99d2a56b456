"""Output of attempts: files beside the store, each with a byte budget that keeps the beginning and the end."""

import asyncio
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from controlplane import durable
from controlplane.core.states import AttemptState
from controlplane.service.signals import Signal
from controlplane.store.port import Store, StoreFailed

T = TypeVar("T")

# What an attempt printed first tells what it is, and what it printed last tells why it failed.
HEAD_BYTES_MAX = 1024 * 1024
TAIL_BYTES_MAX = 3 * 1024 * 1024
# Attempts remembered at once; whatever was forgotten is looked up again (promise C5).
REMEMBERED_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Piece:
    """Stored output: ``dropped_bytes`` were left out just before ``data``; go on reading at ``position``."""

    data: bytes
    position: int
    dropped_bytes: int = 0


class Outputs:
    """Appends, reads and bounds what attempts print.

    A position counts the bytes ever kept of an attempt: ``ID.log`` holds the first ones, ``ID.tail`` the last ones,
    and ``ID.mark`` how far the agent's output is stored and where the tail begins.
    """

    def __init__(self, store: Store, directory: Path) -> None:
        self._store = store
        self._directory = directory
        self._owners: dict[str, str] = {}
        self._ended: dict[str, None] = {}
        self._files = threading.Lock()
        self.changed = Signal()

    async def append(
        self, agent_id: str, attempt_id: str, offset: int, data: bytes, dropped_bytes: int, *, last: bool
    ) -> int | None:
        """Keep a piece of output; return the offset up to which it is stored, or None when it is not this agent's.

        A piece sent again after a lost answer is recognised by its offset. Raises ``StoreFailed``.
        """
        if await self._owner(attempt_id) != agent_id:
            return None
        try:
            end = await asyncio.to_thread(self._write, attempt_id, offset, data, dropped_bytes)
        except OSError as error:
            raise StoreFailed(f"the output of {attempt_id} could not be kept: {error.strerror}") from None
        if last:
            _remember(self._ended, attempt_id, None)
        self.changed.ring()
        return end

    async def read(self, attempt_id: str, position: int, bytes_max: int) -> Piece:
        """Return stored output from a position on; no data when there is no more of it now."""
        return await asyncio.to_thread(self._read, attempt_id, position, bytes_max)

    async def remove(self, attempt_ids: Iterable[str]) -> None:
        """Remove what attempts printed; what is not there is no error. Raises ``OSError``."""
        await asyncio.to_thread(self._remove, list(attempt_ids))

    def _remove(self, attempt_ids: Sequence[str]) -> None:
        with self._files:
            for attempt_id in attempt_ids:
                for suffix in ("log", "tail", "mark", "fresh"):
                    self._path(attempt_id, suffix).unlink(missing_ok=True)

    async def known(self, attempt_id: str) -> bool:
        """Tell whether there is such an attempt."""
        return bool(await self._store.read(lambda tx: tx.attempts([attempt_id])))

    async def running(self, attempt_id: str) -> bool:
        """Tell whether an attempt may still print."""
        attempts = await self._store.read(lambda tx: tx.attempts([attempt_id]))
        return attempt_id in attempts and attempts[attempt_id].state is AttemptState.RUNNING

    def over(self, attempt_id: str) -> bool:
        """Tell whether the last piece has come."""
        return attempt_id in self._ended

    async def _owner(self, attempt_id: str) -> str | None:
        if attempt_id not in self._owners:
            found = await self._store.read(lambda tx: tx.attempts([attempt_id]))
            if attempt_id not in found:
                return None
            _remember(self._owners, attempt_id, found[attempt_id].agent_id)
        return self._owners[attempt_id]

    def _path(self, attempt_id: str, suffix: str) -> Path:
        # The id was found in the store, so it cannot lead out of the directory.
        return self._directory / f"{attempt_id}.{suffix}"

    def _mark(self, attempt_id: str) -> tuple[int, int]:
        """Return the agent's offset that is stored, and the position at which the tail begins."""
        try:
            offset, tail_at = self._path(attempt_id, "mark").read_text(encoding="ascii").split()
        except FileNotFoundError:
            return 0, HEAD_BYTES_MAX
        return int(offset), int(tail_at)

    def _write(self, attempt_id: str, offset: int, data: bytes, dropped_bytes: int) -> int:
        with self._files:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            stored, tail_at = self._mark(attempt_id)
            if offset + len(data) <= stored:
                return stored
            note = f"\n[{dropped_bytes} bytes left out]\n".encode() if dropped_bytes else b""
            text = note + data[max(0, stored - offset) :]
            with self._path(attempt_id, "log").open("ab") as head:
                room = max(0, HEAD_BYTES_MAX - head.tell())
                head.write(text[:room])
            if text[room:]:
                tail_at += self._append_tail(attempt_id, text[room:])
            mark = f"{offset + len(data)} {tail_at}"
            durable.replace(self._path(attempt_id, "mark"), mark.encode("ascii"), synced=False)
            return offset + len(data)

    def _append_tail(self, attempt_id: str, text: bytes) -> int:
        """Append to the tail; return how many bytes had to go from its beginning."""
        path = self._path(attempt_id, "tail")
        with path.open("ab") as tail:
            tail.write(text)
            size = tail.tell()
        if size <= TAIL_BYTES_MAX:
            return 0
        # Half of it goes at once, so that a chatty attempt rewrites the file seldom.
        kept = path.read_bytes()[-TAIL_BYTES_MAX // 2 :]
        durable.replace(path, kept, synced=False)
        return size - len(kept)

    def _read(self, attempt_id: str, position: int, bytes_max: int) -> Piece:
        with self._files:
            data = _read_at(self._path(attempt_id, "log"), position, bytes_max) if position < HEAD_BYTES_MAX else b""
            if data or position < HEAD_BYTES_MAX:
                return Piece(data, position + len(data))
            _, tail_at = self._mark(attempt_id)
            begin = max(position, tail_at)
            data = _read_at(self._path(attempt_id, "tail"), begin - tail_at, bytes_max)
            return Piece(data, begin + len(data), begin - position)


def _read_at(path: Path, position: int, bytes_max: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(position)
            return file.read(bytes_max)
    except FileNotFoundError:
        return b""


def _remember(known: dict[str, T], key: str, value: T) -> None:
    """Note one more, forgetting the oldest where there are too many."""
    known[key] = value
    while len(known) > REMEMBERED_MAX:
        del known[next(iter(known))]
