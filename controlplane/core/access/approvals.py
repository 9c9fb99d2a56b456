"""The gate before every effect under the rule of two persons: what an approval lets pass, and what must be asked for.

What is approved is a resolved list: names, each with what it was when the list was made. A road to an effect is in
``ROADS``; all of them resolve what they would touch and ask ``gate`` in the transaction of the effect itself.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import NamedTuple


class Road(NamedTuple):
    """One way to an effect: how people take it, the method that a rule of two persons names, and what it does."""

    asked: str
    method: str
    effect: str


START, CANCEL, RETRY, ROLLBACK = "StartMigrations", "CancelMigration", "RetryMigration", "RollbackMigration"
ACCEPT, ABANDON, DELETE = "AcceptMigration", "AbandonMigration", "DeleteManifest"
CLEAN_UP = "CleanUpMigrations"

ROADS = (
    Road("migration start NAME", START, "moves data"),
    Road("migration start --all", START, "moves data"),
    Road("migration start --selector", START, "moves data"),
    Road("apply, with start: auto", START, "moves data"),
    Road("migration retry, where it takes another source", START, "moves data that nobody approved"),
    Road("migration retry", RETRY, "moves data, or undoes again"),
    Road("migration cancel", CANCEL, "undoes"),
    Road("migration rollback", ROLLBACK, "undoes"),
    Road("migration accept", ACCEPT, "ends what no proof ended"),
    Road("migration abandon", ABANDON, "leaves a destination as it is"),
    Road("migration clean-up", CLEAN_UP, "removes staged parts and former content before their time"),
    Road("delete", DELETE, "forgets a manifest"),
    Road("apply --prune", DELETE, "forgets manifests"),
)
GATED_METHODS = frozenset(road.method for road in ROADS)


class Item(NamedTuple):
    """One line of a resolved list; ``state`` is what it is now: generations of manifests, or the run of a migration."""

    name: str
    state: str


class Plan(NamedTuple):
    """What a call would touch."""

    method: str
    asked: str  # how it was asked for, e.g. "--all" or "flights, airports"
    items: tuple[Item, ...]
    reason: str = ""

    @property
    def digest(self) -> str:
        """Name exactly this list, in hex: equal lists of equal things have equal names."""
        text = json.dumps([self.method, self.reason, sorted(self.items)], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


class Known(NamedTuple):
    """An approval of the same caller and method that is neither used nor over."""

    id: str
    is_given: bool  # False: it waits for a decision
    plan: Plan


class Passed(NamedTuple):
    """The items that may be touched; ``left_out`` were not approved. ``approval_id`` is used up by this."""

    items: tuple[Item, ...]
    left_out: tuple[str, ...] = ()
    approval_id: str = ""


class Waits(NamedTuple):
    """The very same was asked for already, and nobody has decided."""

    approval_id: str


class Asks(NamedTuple):
    """Nobody was asked for this; ``instead_of`` are pending approvals whose list is out of date."""

    because: str
    instead_of: tuple[str, ...] = ()


def gate(plan: Plan, known: Sequence[Known], *, is_ruled: bool) -> Passed | Waits | Asks:
    """Decide whether a call may have its effect now; ``known`` are its caller's approvals, the newest first.

    An approval lets pass what is on its list and unchanged since; what came to match later is left out. Where something
    on the list has changed, nothing passes: that is not what was agreed to.
    """
    if not is_ruled or not plan.items:
        return Passed(plan.items)
    changed: list[str] = []
    for each in known:
        if not each.is_given or each.plan.reason != plan.reason:
            continue
        if each.plan.digest == plan.digest:
            return Passed(plan.items, (), each.id)
        if each.plan.asked != plan.asked:
            continue
        now = {item.name: item for item in plan.items}
        differing = [item.name for item in each.plan.items if now.get(item.name, item) != item]
        kept = tuple(item for item in each.plan.items if item.name in now)
        if kept and not differing:
            listed = {item.name for item in kept}
            return Passed(kept, tuple(name for name in now if name not in listed), each.id)
        changed += differing
    same = [each for each in known if not each.is_given and each.plan.asked == plan.asked]
    for each in same:
        if each.plan.digest == plan.digest:
            return Waits(each.id)
    because = f"{', '.join(changed[:5])} changed since the approval" if changed else ""
    return Asks(because, tuple(each.id for each in same))
