"""Where a DuckDB datastore is."""

from dataclasses import dataclass
from pathlib import Path

from agentd.datastores.port.lock_wait import LOCK_WAIT_S


@dataclass(frozen=True, slots=True)
class DuckdbPlace:
    """One DuckDB file. Whoever holds it is waited for at most `lock_wait_s` seconds."""

    name: str
    path: Path
    file_mode: int = 0
    group: str = ""
    lock_wait_s: float = LOCK_WAIT_S
