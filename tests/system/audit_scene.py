"""A small Haulier whose state can be put back, and whoever gets at its store's file."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from controlplane.core.audit.leaves import leaf_of
from controlplane.core.audit.merkle_tiles import Tiles
from controlplane.identity.audit_key import AuditKey
from controlplane.store.sqlite import library
from controlplane.store.sqlite.tx import SqliteTx
from tests.kit.processes import end, program, until
from tests.kit.world import Timing, World

AGENT = "mover"
HEARTBEAT_S = 3.0
TIMING = Timing(lease_ttl_s=30.0, heartbeat_s=HEARTBEAT_S, heartbeat_grace_s=5.0)
Attack = Callable[["Burglar"], None]


class AuditScene:
    """One control plane and one agent, which has witnessed a log with something in it."""

    def __init__(self, root: Path) -> None:
        self.world = World(root, (AGENT,), TIMING)
        self.state = self.world.root / "controlplane"
        self._saved = self.world.root / "saved"

    def rise(self) -> None:
        """Start both, make some history, see it witnessed, and keep the state of then."""
        self.world.start_controlplane()
        self.world.join_agent(AGENT, slots=2, labels={})
        self.world.start_agent(AGENT)
        self.world.wait_for_agents()
        for turn in range(3):
            self.world.haulier("agent", "drain", AGENT, "--reason", f"turn {turn}")
            self.world.haulier("agent", "resume", AGENT)
        self.await_witness(len(self.world.haulier("events", "-o", "json").splitlines()))
        # Asked to stop, the agent writes down what it has seen; killed, it may forget the newest head.
        agent = self.world.pid(AGENT)
        assert agent is not None, "the agent runs"
        end(agent, 30.0)
        self.stop()
        shutil.rmtree(self._saved, ignore_errors=True)
        for name in ("controlplane", "agents"):
            shutil.copytree(self.world.root / name, self._saved / name, ignore=shutil.ignore_patterns("*.socket"))

    def stop(self) -> None:
        """Kill both."""
        self.world.kill(AGENT)
        self.world.kill("controlplane")

    def put_back(self) -> None:
        """Let both be in the state of before every attack, and stopped."""
        self.stop()
        for name in ("controlplane", "agents"):
            shutil.rmtree(self.world.root / name)
            shutil.copytree(self._saved / name, self.world.root / name)
        for log in (self.world.root / "log").glob("*.log"):
            log.unlink()

    def start(self) -> None:
        """Start both."""
        self.world.start_controlplane()
        self.world.start_agent(AGENT)

    def entries(self) -> int:
        """How many entries the log of a stopped control plane has."""
        db = library.connect(str(self.state / "store.db"), writing=True)
        try:
            (found,) = db.execute("SELECT max(position) FROM event").fetchone()
        finally:
            db.close()
        return int(found)

    def status(self) -> dict[str, Any]:
        """What the agent's daemon says; empty while it does not."""
        state = str(self.world.root / "agents" / AGENT / "state")
        said = self.world.run([*program("agentd"), "status", "--state", state, "-o", "json"], codes=(0, 2))
        found: dict[str, Any] = json.loads(said) if said else {}
        return found

    def await_witness(self, size: int, era: int = 1) -> dict[str, Any]:
        """Wait until the agent has seen so many entries; return the head that it keeps."""
        found: dict[str, Any] = {}

        def seen() -> bool:
            head = self.status().get("audit", {}).get("witnessed") or {"size": 0, "era": 0}
            found.update(head)
            return bool(head["size"] >= size and head["era"] >= era)

        until(seen, 30.0, f"{AGENT} to witness {size} entries")
        return found

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Events of a type, oldest first."""
        lines = self.world.haulier("events", "-o", "json").splitlines()
        return [event for event in map(json.loads, lines) if event["type"] == kind]

    def log(self, name: str) -> str:
        """What a daemon has logged since the state was put back."""
        path = self.world.root / "log" / f"{name}.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


class Burglar:
    """Somebody with the store's file in hand, and perhaps with the audit key."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.db = library.connect(str(state / "store.db"), writing=True)
        for trigger in ("event_append_only", "event_kept"):
            self.db.execute(f"DROP TRIGGER IF EXISTS {trigger}")

    def close(self) -> None:
        """Put everything away."""
        self.db.close()

    def edit(self) -> None:
        """Change what one event says."""
        self.db.execute("UPDATE event SET detail = 'nothing happened' WHERE position = 5")

    def delete(self) -> None:
        """Remove one event from the middle."""
        self.db.execute("DELETE FROM event WHERE position = 6")

    def reorder(self) -> None:
        """Let two events change places."""
        for old, new in ((7, -1), (8, 7), (-1, 8)):
            self.db.execute("UPDATE event SET position = ? WHERE position = ?", (new, old))

    def truncate(self) -> None:
        """Cut off the newest events."""
        self.db.execute("DELETE FROM event WHERE position > (SELECT max(position) - 3 FROM event)")

    def pretend(self) -> None:
        """Delete the oldest events as if they had been archived."""
        self.db.execute("UPDATE meta SET value = '4' WHERE key = 'archived_position'")
        self.db.execute("DELETE FROM event WHERE position <= 4")

    def rebuild(self) -> None:
        """Make a tree that belongs to the rows as they are now."""
        self.db.execute("BEGIN IMMEDIATE")
        tx = SqliteTx(self.db)
        rows = tx.events_after(0, "", 100_000)
        tiles, changed = Tiles().grown(leaf_of(position, event) for position, event in enumerate_from_one(rows))
        self.db.execute("DELETE FROM audit_tile")
        tx.put_audit_tiles(changed)
        self.db.execute("DELETE FROM audit_head")
        self.tiles = tiles
        self.db.execute("COMMIT")

    def sign(self) -> None:
        """Sign the head of the rebuilt tree with the control plane's own key."""
        head = AuditKey.load(self.state / "identity").head(1, self.tiles.size, self.tiles.root())
        SqliteTx(self.db).put_audit_head(head)


def enumerate_from_one(rows: Sequence[tuple[int, Any]]) -> list[tuple[int, Any]]:
    """Give rows the positions that an honest log would have."""
    return [(position, event) for position, (_, event) in enumerate(rows, 1)]
