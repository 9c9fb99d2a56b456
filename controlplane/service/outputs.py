"""Output of attempts: files beside the store, one per attempt, each with a byte budget that keeps its end."""

import asyncio
from pathlib import Path

from controlplane.service.signals import Signal
from controlplane.store.port import Store

BYTES_MAX = 4 * 1024 * 1024


class Outputs:
    """Appends, reads and bounds what attempts print."""

    def __init__(self, store: Store, directory: Path) -> None:
        self._store = store
        self._directory = directory
        self._owners: dict[str, str] = {}
        self._ended: set[str] = set()
        self.changed = Signal()

    async def append(
        self, agent_id: str, attempt_id: str, offset: int, data: bytes, dropped_bytes: int, *, last: bool
    ) -> int | None:
        """Keep a piece of output; return the offset up to which it is stored, or None when it is not this agent's.

        A piece sent again after a lost answer is recognised by its offset.
        """
        if await self._owner(attempt_id) != agent_id:
            return None
        end = await asyncio.to_thread(self._write, attempt_id, offset, data, dropped_bytes)
        if last:
            self._ended.add(attempt_id)
            self._owners.pop(attempt_id, None)
        self.changed.ring()
        return end

    async def read(self, attempt_id: str, position: int, bytes_max: int) -> bytes:
        """Return stored output from a byte position on."""
        return await asyncio.to_thread(self._read, attempt_id, position, bytes_max)

    async def known(self, attempt_id: str) -> bool:
        """Tell whether there is such an attempt."""
        return bool(await self._store.read(lambda tx: tx.attempts([attempt_id])))

    def over(self, attempt_id: str) -> bool:
        """Tell whether the last piece has come."""
        return attempt_id in self._ended

    async def _owner(self, attempt_id: str) -> str | None:
        if attempt_id not in self._owners:
            found = await self._store.read(lambda tx: tx.attempts([attempt_id]))
            if attempt_id not in found:
                return None
            self._owners[attempt_id] = found[attempt_id].agent_id
        return self._owners[attempt_id]

    def _path(self, attempt_id: str) -> Path:
        # The id was found in the store, so it cannot lead out of the directory.
        return self._directory / f"{attempt_id}.log"

    def _write(self, attempt_id: str, offset: int, data: bytes, dropped_bytes: int) -> int:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(attempt_id)
        mark = path.with_suffix(".offset")
        stored = int(mark.read_text()) if mark.exists() else 0
        if offset + len(data) <= stored:
            return stored
        fresh = data[max(0, stored - offset) :]
        note = f"\n[{dropped_bytes} bytes left out]\n".encode() if dropped_bytes else b""
        with path.open("ab") as file:
            if file.tell() < BYTES_MAX:
                file.write(note + fresh)
        mark.write_text(str(offset + len(data)))
        return offset + len(data)

    def _read(self, attempt_id: str, position: int, bytes_max: int) -> bytes:
        try:
            with self._path(attempt_id).open("rb") as file:
                file.seek(position)
                return file.read(bytes_max)
        except FileNotFoundError:
            return b""
