"""After the end of an honest history: somebody gets at the store, and must be noticed; or an administrator restores it.

No other promise is looked at any more: a store that was changed behind its control plane keeps none.
"""

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from controlplane.admin.restore import begin_era
from controlplane.core.audit.leaves import leaf_of
from controlplane.core.audit.merkle_tiles import Tiles
from controlplane.core.states import AgentState
from controlplane.store.sqlite import library
from tests.sim.virtual_time import VirtualLoop

if TYPE_CHECKING:
    from tests.sim.host import Host
    from tests.sim.world import World

# Within this much of the world's time every agent has sent some heartbeats, and the checker has gone round.
NOTICED_WITHIN_S = 900.0


class Burglar:
    """Somebody with the store in hand, and with the audit key."""

    def __init__(self, world: "World", loop: VirtualLoop, rng: Random) -> None:
        self._world = world
        self._loop = loop
        self._rng = rng
        self._old: Any = None

    def act(self) -> None:
        """Do one thing to the store and see what is said of it."""
        world = self._world
        style: Callable[[], None] = self._rng.choice(
            (self._edit_running, self._cut_running, self._forge, self._put_older_back, self._restore)
        )
        if not self._is_witnessed():
            return  # every host is away: nobody could tell
        self._old = library.connect(":memory:", writing=True)
        world.connection.backup(self._old)
        name = self._rng.choice(self._connected()).name
        for turn in range(3):
            # Drained, in service, drained: two of these change something at least.
            world.operators.set_state(name, AgentState.SERVING if turn % 2 else AgentState.DRAINING)
            self._loop.run_until(lambda: not world.operators.open_asks, self._loop.time() + NOTICED_WITHIN_S)
        if not self._loop.run_until(self._is_witnessed, self._loop.time() + NOTICED_WITHIN_S):
            if not self._loop.stopped:
                world.broken("C6", "world", f"the newest head did not reach everybody: {world.watch.heads.differ()}")
            return
        world.watch.over = world.tampered = True
        for trigger in ("event_append_only", "event_kept"):
            world.connection.execute(f"DROP TRIGGER IF EXISTS {trigger}")
        style()
        self._old.close()

    def _connected(self) -> list["Host"]:
        return [h for h in self._world.hosts if h.daemon is not None and h.daemon.agent.connected]

    def _is_witnessed(self) -> bool:
        is_still = not self._world.watch.heads.differ() and not self._world.operators.open_asks
        return is_still and bool(self._connected())

    # What is done.

    def _edit_running(self) -> None:
        (last,) = self._world.connection.execute("SELECT max(position) FROM event").fetchone()
        place = self._rng.randint(1, last)
        self._world.connection.execute("UPDATE event SET detail = 'nothing happened' WHERE position = ?", (place,))
        self._must_be_noticed("an entry was changed under a running control plane")

    def _cut_running(self) -> None:
        self._world.connection.execute("DELETE FROM event WHERE position > (SELECT max(position) - 3 FROM event)")
        self._must_be_noticed("the end was cut off under a running control plane")

    def _forge(self) -> None:
        """Change an old entry, make a tree that fits, and sign it with the control plane's own key."""
        world = self._world
        world.kill_plane()
        heads = [host.daemon.agent.witness.head for host in world.hosts if host.daemon is not None]
        size = min(head.size for head in heads if head is not None)
        edit = "UPDATE event SET detail = 'nothing happened' WHERE position = ?"
        world.connection.execute(edit, (self._rng.randint(1, size),))
        tiles, changed = Tiles().grown(leaf_of(n, event) for n, event in world.tx.events_after(0, "", 1_000_000))
        world.connection.execute("BEGIN")
        world.tx.replace_audit_tiles(changed)
        world.tx.put_audit_head(world.audit_key.head(1, tiles.size, tiles.root()))
        world.connection.execute("COMMIT")
        world.start_plane()
        self._must_be_noticed("the log was written anew and signed", witness=True)

    def _put_older_back(self) -> None:
        world = self._world
        world.kill_plane()
        self._old.backup(world.connection)
        world.start_plane()
        self._must_be_noticed("an older copy of the store was put in its place", witness=True)

    def _restore(self) -> None:
        """What ``restore`` does: an older copy goes on as a new era, by the administrator's word."""
        world = self._world
        world.kill_plane()
        self._old.backup(world.connection)
        now = self._loop.time() + world.wall_offset
        world.connection.execute("BEGIN")
        world.tx.begin_generation(world.tx.generation() + 1)
        begin_era(world.tx, world.audit_key, "the disk was lost", now)
        world.connection.execute("COMMIT")
        world.tampered = False
        world.watch.heads.begin_anew()
        world.start_plane()
        if self._loop.run_until(self._is_witnessed, self._loop.time() + NOTICED_WITHIN_S):
            world.mark("a restored log was believed by every witness")
        elif not self._loop.stopped:
            world.broken("C6", "world", f"a restored log is not believed: {world.watch.heads.differ()}")

    def _must_be_noticed(self, what: str, *, witness: bool = False) -> None:
        world = self._world

        def noticed() -> bool:
            told = {event.type for _, event in world.tx.events_after(0, "", 1_000_000)}
            return "AuditLogContradicted" in told and (not witness or "WitnessContradicted" in told)

        if self._loop.run_until(noticed, self._loop.time() + NOTICED_WITHIN_S):
            world.mark(what)
        elif not self._loop.stopped:
            world.broken("C6", "store", f"{what}, and nobody noticed")
