"""What a store can do, for whoever must not know which store it is.

``Tx`` is every verb of one transaction; who needs those of one subject only takes its protocol from ``store.verbs``.
"""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from controlplane.store.verbs.access import AccessVerbs
from controlplane.store.verbs.agents import AgentVerbs
from controlplane.store.verbs.attempts import AttemptVerbs
from controlplane.store.verbs.audit import AuditVerbs
from controlplane.store.verbs.clean_up import CleanUpVerbs
from controlplane.store.verbs.events import EventVerbs
from controlplane.store.verbs.health import HealthVerbs
from controlplane.store.verbs.inventory import InventoryVerbs
from controlplane.store.verbs.migrations import MigrationVerbs
from controlplane.store.verbs.retention import RetentionVerbs
from controlplane.store.verbs.rollouts import RolloutVerbs
from controlplane.store.verbs.steps import StepVerbs
from controlplane.store.verbs.store import StoreVerbs

T = TypeVar("T")


class Conflict(Exception):
    """A guarded write found another state than the decision was made on; nothing of the call was written."""


class StoreFailed(Exception):
    """The store could not make a write durable (full disk, I/O error); nothing of the batch was kept."""


class Tx(
    StepVerbs,
    AttemptVerbs,
    MigrationVerbs,
    CleanUpVerbs,
    InventoryVerbs,
    AgentVerbs,
    AccessVerbs,
    RolloutVerbs,
    EventVerbs,
    AuditVerbs,
    RetentionVerbs,
    HealthVerbs,
    StoreVerbs,
    Protocol,
):
    """One transaction: every read sees the writes before it; every write is durable when the call returns."""


class Brief(Generic[T]):
    """A call that touches a few rows only: a store may run it on the event loop itself, without another thread.

    Brief calls keep their order among themselves, and so do all others; neither waits for the other kind.
    """

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[Tx], T]) -> None:
        self._call = call

    def __call__(self, tx: Tx) -> T:
        return self._call(tx)


class Store(Protocol):
    """A store as the services see it."""

    async def write(self, call: Callable[[Tx], T]) -> T:
        """Run ``call`` in a transaction of its own; return its answer once it is durable.

        Raises what ``call`` raised (nothing of it is kept), ``Conflict`` or ``StoreFailed``.
        """
        ...

    async def read(self, call: Callable[[Tx], T]) -> T:
        """Run ``call`` on a snapshot that the writer cannot delay; it must not write."""
        ...
