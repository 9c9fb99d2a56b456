"""Looks at the audit log from outside: every signed head is over exactly what is committed, and alarms nobody.

A head is compared with a tree that is made here, of the rows as they are stored; only how a leaf is written is the
product's word.
"""

from typing import TYPE_CHECKING

from haulier.v1 import audit_pb2

from controlplane.core.audit.heads import TreeHead
from controlplane.core.audit.leaves import leaf_of
from controlplane.core.audit.merkle import Frontier
from controlplane.identity.audit_key import head_is_signed

if TYPE_CHECKING:
    from tests.sim.host import Host
    from tests.sim.world import World

# Said of a log that contradicts somebody, which an honest one never does.
ALARMS = frozenset({"AuditLogContradicted", "WitnessContradicted", "WitnessRefused", "WitnessOutlived"})
CONTRADICTED = "is not what this agent saw"
# An agent of the release before was alarmed by the next one of so many answers in a row that it could not use.
UNUSABLE_MAX = 5


class Heads:
    """Heads as they became durable, were shown, and were kept."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._tree = Frontier()
        self._durable: TreeHead | None = None
        self._roots: dict[int, bytes] = {}  # of every head that ever was durable
        self._unusable: dict[str, int] = {}

    def committed(self) -> None:
        """Compare a new head with the rows that it is over."""
        head = self._world.tx.audit_head()
        if head == self._durable or self._world.tampered:
            return
        before, self._durable = self._durable, head
        if head is None or (before is not None and head.size <= before.size):
            self._broken("store", f"the newest head went back from {before} to {head}")
            return
        first = self._tree.size
        rows = self._world.tx.events_after(first, "", head.size - first)
        self._tree.add(leaf_of(position, event) for position, event in rows)
        if (self._tree.size, self._tree.root()) != (head.size, head.root):
            self._broken("store", f"{head} is not over the {self._tree.size} entries that are stored")
        if not head_is_signed(head, self._world.audit_key.public_key):
            self._broken("store", f"{head} is not signed")
        self._roots[head.size] = head.root
        if before is not None:
            self._world.mark("the log was sealed again and again")

    def begin_anew(self) -> None:
        """The store was restored: its heads are of another tree."""
        self._tree, self._durable = Frontier(), None
        self._roots.clear()

    def shown(self, agent_id: str, shown: audit_pb2.ShownHead) -> None:
        """A head leaves for an agent: a crash must not be able to take it back."""
        if not self._world.tampered and self._roots.get(shown.head.size) != shown.head.root_hash:
            self._broken(agent_id, f"a head of {shown.head.size} entries was shown before it was durable")
        if shown.since_size:
            self._world.mark("a head was shown with its proof")

    def arrives(self, host: "Host", shown: audit_pb2.ShownHead) -> None:
        """An agent of the release before could use this answer, or one of the last few."""
        own = host.daemon.agent.witness.head if host.daemon is not None else None
        if own is None or shown.head.size <= own.size or shown.since_size == own.size:
            self._unusable[host.name] = 0
        elif host.leaves_head_out:
            self._unusable[host.name] = self._unusable.get(host.name, 0) + 1
            if self._unusable[host.name] > UNUSABLE_MAX:
                self._broken(host.agent_id, "an agent of the release before would take this for tampering")

    def alarmed(self, host: "Host", message: str) -> None:
        """An agent is as loud as it can be."""
        if CONTRADICTED in message and not self._world.tampered:
            self._broken(host.agent_id, f"a false alarm: {message}")

    def differ(self) -> list[tuple[str, str]]:
        """Whatever is not sealed, and connected agents that have not seen the newest head, each with what is wrong."""
        plane = self._world.plane
        head = plane.audit.head if plane is not None else None
        last = self._world.tx.last_position()
        differ = [] if head is not None and head.size == last else [("store", f"of {last} entries {head} is sealed")]
        for agent_id, host in self._world.by_agent.items():
            if host.daemon is None or not host.daemon.agent.connected:
                continue
            seen = host.daemon.agent.witness.head
            if head is None or seen is None or (seen.era, seen.size) != (head.era, head.size):
                differ.append((agent_id, f"it has seen {seen}, the newest head is {head}"))
        return differ

    def _broken(self, subject: str, message: str) -> None:
        self._world.broken("C6", subject, message)
