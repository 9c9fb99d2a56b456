"""Black boxes of failed upgrades: files beside the store, the newest few of each agent. Nothing here reads them."""

import asyncio
import hashlib
from pathlib import Path

from controlplane import durable
from controlplane.service.errors import NotFound
from controlplane.service.rollouts.hosts import find_agent
from controlplane.store.port import Store, StoreFailed

KEPT_MAX = 5


class BlackBoxes:
    """Keeps and shows black boxes; `directory` holds one directory for each agent."""

    def __init__(self, store: Store, directory: Path) -> None:
        self._store = store
        self._directory = directory

    async def keep(self, agent_id: str, request_id: str, data: bytes) -> None:
        """Keep a black box; one that is kept already is replaced. Raises ``StoreFailed``."""
        try:
            await asyncio.to_thread(self._write, agent_id, request_id, data)
        except OSError as error:
            raise StoreFailed(f"the black box of {agent_id} could not be kept: {error.strerror}") from None

    async def newest(self, name_or_id: str) -> bytes:
        """Return the newest black box of an agent. Raises ``NotFound``."""
        agent = await self._store.read(lambda tx: find_agent(tx, name_or_id))
        data = await asyncio.to_thread(self._read, agent.id)
        if data is None:
            raise NotFound(f"agent {agent.name} has brought no black box: no upgrade of it failed")
        return data

    def _write(self, agent_id: str, request_id: str, data: bytes) -> None:
        home = self._directory / agent_id
        durable.make_directory(home)
        # What the agent calls it never becomes a name on this disk.
        path = home / f"{hashlib.sha256(request_id.encode()).hexdigest()[:16]}.json"
        durable.replace(path, data)
        for old in self._boxes(home)[KEPT_MAX:]:
            old.unlink(missing_ok=True)

    def _read(self, agent_id: str) -> bytes | None:
        boxes = self._boxes(self._directory / agent_id)
        return boxes[0].read_bytes() if boxes else None

    @staticmethod
    def _boxes(home: Path) -> list[Path]:
        """Black boxes of one agent, the newest first."""
        return sorted(home.glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
