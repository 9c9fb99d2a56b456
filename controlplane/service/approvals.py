"""The rule of two persons: a chosen call waits until somebody else, with the role approver, agrees to exactly that."""

import hashlib
from collections.abc import Callable, Collection

from controlplane.core.events import Event, asked_by
from controlplane.service.errors import Precondition
from controlplane.service.not_found import NAMES_MAX, no_such
from controlplane.store.port import Approval, Store, Tx

TTL_S = 3600.0
_PENDING_MAX = 20
_LISTED_MAX = 200
_SUMMARY_CHARACTERS_MAX = 400


class Approvals:
    """See the module."""

    def __init__(
        self, store: Store, clock: Callable[[], float], chosen: Collection[str] = (), ttl_s: float = TTL_S
    ) -> None:
        """``chosen`` are the methods under the rule: ``RevokeAgent``, or ``StartMigrations:!names`` for those calls
        whose field is unset (without ``!``: set)."""
        self._store = store
        self._clock = clock
        self._ttl_s = ttl_s
        self._chosen = {entry.partition(":")[0]: entry.partition(":")[2] for entry in chosen}

    def concerns(self, method: str, is_set: Callable[[str], bool]) -> bool:
        """Tell whether a call is under the rule; ``is_set(field)`` looks into its request."""
        condition = self._chosen.get(method)
        if condition is None:
            return False
        return not condition or is_set(condition.lstrip("!")) is not condition.startswith("!")

    async def take(self, caller: str, method: str, request: bytes, summary: str) -> None:
        """Use up the approval of a call, once; without one, ask for it. Raises ``Precondition`` unless it was given."""
        now = self._clock()
        digest = hashlib.sha256(b"\0".join((caller.encode(), method.encode(), request))).hexdigest()

        def look(tx: Tx) -> Approval:
            known = tx.approval_of(digest, now)
            if known is not None and known.state == "approved":
                tx.move_approval(known._replace(state="used"), "approved")
                tx.record([_event(now, "ApprovalUsed", known, f"{method} by {caller}")])
                return known
            if known is None:
                if tx.pending_approvals(caller, now) >= _PENDING_MAX:
                    raise Precondition(f"{_PENDING_MAX} calls of {caller} wait for an approval already")
                known = Approval(
                    tx.next_ids("apr_", 1)[0],
                    method,
                    digest,
                    summary[:_SUMMARY_CHARACTERS_MAX],
                    caller,
                    now,
                    now + self._ttl_s,
                    "pending",
                    "",
                    "",
                )
                tx.put_approval(known)
                tx.record([_event(now, "ApprovalAsked", known, f"{method} by {caller}: {known.summary}")])
            return known

        known = await self._store.write(look)
        if known.state != "approved":
            raise Precondition(
                f"{method} needs the approval of a second person: {known.id} waits for it, for "
                f"{known.expires_at - now:.0f} s more. Once `haulier approval approve {known.id}` was given by "
                "somebody with the role approver, give the same command again"
            )

    async def decide(self, approval_id: str, by: str, reason: str, *, agreed: bool) -> Approval:
        """Agree, or not. Raises ``NotFound``, or ``Precondition`` for whoever asked and for what is over."""
        now = self._clock()
        state = "approved" if agreed else "denied"

        def decide(tx: Tx) -> Approval:
            known = tx.approval(approval_id)
            if known is None:
                ids = (each.id for each in tx.approvals(NAMES_MAX))
                raise no_such("approval", approval_id, ids, "haulier approval list")
            if known.asked_by == by:
                raise Precondition(f"{by} asked for {approval_id}: somebody else must decide it")
            if known.state != "pending" or now >= known.expires_at:
                was = known.state if known.state != "pending" else "expired"
                raise Precondition(f"{approval_id} is {was}: whoever asked may ask again")
            decided = known._replace(state=state, decided_by=by, reason=reason)
            tx.move_approval(decided, "pending")
            event = "ApprovalGiven" if agreed else "ApprovalDenied"
            tx.record([_event(now, event, decided, f"{known.method} of {known.asked_by}: {asked_by(by, reason)}")])
            return decided

        return await self._store.write(decide)

    async def all(self) -> list[Approval]:
        """Return the newest approvals; one that nobody decided in time is ``expired``."""
        now = self._clock()
        found = await self._store.read(lambda tx: tx.approvals(_LISTED_MAX))
        return [
            each._replace(state="expired") if each.state in ("pending", "approved") and now >= each.expires_at else each
            for each in found
        ]


# The door speaks of it too; it comes from here so that a door needs no further room.
__all__ = ["Approval", "Approvals"]


def _event(now: float, event: str, approval: Approval, detail: str) -> Event:
    return Event(now, event, approval.id, detail=detail)
