"""The rule of two persons: a chosen call waits until somebody else, with the role approver, agrees to exactly that.

What touches migrations and manifests is approved as a resolved list, in the transaction of the effect (``pass_in``);
any other method as the request it is (``take``).
"""

import hashlib
import json
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

from controlplane.core.access.approvals import Asks, Item, Known, Passed, Plan, Waits, gate
from controlplane.core.events import Event, asked_by
from controlplane.service.errors import AwaitsApproval, Precondition
from controlplane.service.not_found import NAMES_MAX, no_such
from controlplane.store.port import Store, Tx
from controlplane.store.verbs.access import AccessVerbs, Approval

T = TypeVar("T")

TTL_S = 3600.0
_PENDING_MAX = 20
_LISTED_MAX = 200
_SUMMARY_CHARACTERS_MAX = 400
_NAMED_MAX = 12


class NotApproved(Exception):
    """A gate was met inside a transaction, of which nothing is kept; whoever began it asks for the approval."""

    def __init__(self, plan: Plan, by: str) -> None:
        super().__init__(plan.method)
        self.plan = plan
        self.by = by


@dataclass(frozen=True, slots=True)
class Asked:
    """An approval that a call waits for, and how many things it is about."""

    approval: Approval
    because: str = ""

    def message(self, now: float) -> str:
        """Say what is to be done."""
        known = self.approval
        why = f" ({self.because})" if self.because else ""
        return (
            f"{known.method} needs the approval of a second person{why}: {known.id} waits for it, for "
            f"{known.expires_at - now:.0f} s more. Once `haulier approval approve {known.id}` was given by "
            "somebody with the role approver, give the same command again"
        )


class Approvals:
    """A call under the rule asks here before its effect, by ``pass_in``, ``through`` or ``take``."""

    def __init__(
        self, store: Store, clock: Callable[[], float], chosen: Collection[str] = (), ttl_s: float = TTL_S
    ) -> None:
        """``chosen`` are the methods under the rule: ``RevokeAgent``, or ``StartMigrations:!names`` for those calls
        whose field is unset (without ``!``: set)."""
        self._store = store
        self._clock = clock
        self._ttl_s = ttl_s
        self._chosen = {entry.partition(":")[0]: entry.partition(":")[2] for entry in chosen}

    def concerns(self, method: str, is_set: Callable[[str], bool] = lambda field: False) -> bool:
        """Tell whether a call is under the rule; ``is_set(field)`` looks into its request."""
        condition = self._chosen.get(method)
        if condition is None:
            return False
        return not condition or is_set(condition.lstrip("!")) is not condition.startswith("!")

    def lists(self, method: str) -> bool:
        """Tell whether a method is under the rule at all: for roads that make no request of it."""
        return method in self._chosen

    def pass_in(self, tx: Tx, plan: Plan, by: str, *, is_ruled: bool) -> Passed:
        """Return what of a plan may have its effect in this transaction, its approval used up.

        Raises ``NotApproved``; run the transaction by ``through``, which then asks for the approval.
        """
        decision = self._decide(tx, plan, by, is_ruled=is_ruled)
        if not isinstance(decision, Passed):
            raise NotApproved(plan, by)
        self._use(tx, decision, plan, by)
        return decision

    def pass_or_ask(self, tx: Tx, plan: Plan, by: str, *, is_ruled: bool) -> Passed | Asked:
        """Do what ``pass_in`` does; where it may not pass, ask in the same transaction, whose other effects stay."""
        decision = self._decide(tx, plan, by, is_ruled=is_ruled)
        if isinstance(decision, Passed):
            self._use(tx, decision, plan, by)
            return decision
        return self._ask_in(tx, plan, by, decision)

    async def through(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do gated work; where its approval is missing nothing of it is kept, and ``AwaitsApproval`` is raised."""
        try:
            return await work()
        except NotApproved as missing:
            plan, by = missing.plan, missing.by

        def ask(tx: Tx) -> Asked | None:
            decision = self._decide(tx, plan, by, is_ruled=True)
            return None if isinstance(decision, Passed) else self._ask_in(tx, plan, by, decision)

        asked = await self._store.write(ask)
        if asked is None:
            raise Precondition("the approval was given in this very moment: give the same command again")
        raise AwaitsApproval(asked.message(self._clock()), asked.approval.id)

    def _decide(self, tx: AccessVerbs, plan: Plan, by: str, *, is_ruled: bool) -> Passed | Waits | Asks:
        known = [_known(each) for each in tx.open_approvals(by, plan.method, self._clock())] if is_ruled else []
        return gate(plan, known, is_ruled=is_ruled)

    def _use(self, tx: Tx, passed: Passed, plan: Plan, by: str) -> None:
        approval = tx.approval(passed.approval_id) if passed.approval_id else None
        if approval is not None:
            tx.move_approval(approval._replace(state="used"), "approved")
            tx.record([_event(self._clock(), "ApprovalUsed", approval, f"{plan.method} by {by}")])

    def _ask_in(self, tx: Tx, plan: Plan, by: str, decision: Waits | Asks) -> Asked:
        now = self._clock()
        if isinstance(decision, Waits):
            known = tx.approval(decision.approval_id)
            assert known is not None, "the gate was told of it"
            return Asked(known)
        for old in decision.instead_of:
            before = tx.approval(old)
            assert before is not None, "the gate was told of it"
            withdrawn = before._replace(state="withdrawn", reason="what it was about has changed; asked for again")
            tx.move_approval(withdrawn, "pending")
            tx.record([_event(now, "ApprovalWithdrawn", withdrawn, f"{plan.method} by {by}: {withdrawn.reason}")])
        digest = hashlib.sha256(b"\0".join((by.encode(), plan.digest.encode()))).hexdigest()
        return Asked(self._put(tx, by, plan.method, digest, _summary(plan), _text(plan)), decision.because)

    async def take(self, caller: str, method: str, request: bytes, summary: str) -> None:
        """Use up the approval of a call, once; without one, ask for it. Raises ``AwaitsApproval``."""
        now = self._clock()
        digest = hashlib.sha256(b"\0".join((caller.encode(), method.encode(), request))).hexdigest()

        def look(tx: Tx) -> Approval:
            known = tx.approval_of(digest, now)
            if known is not None and known.state == "approved":
                tx.move_approval(known._replace(state="used"), "approved")
                tx.record([_event(now, "ApprovalUsed", known, f"{method} by {caller}")])
                return known
            return known or self._put(tx, caller, method, digest, summary, "")

        known = await self._store.write(look)
        if known.state != "approved":
            raise AwaitsApproval(Asked(known).message(now), known.id)

    def _put(self, tx: Tx, caller: str, method: str, digest: str, summary: str, plan: str) -> Approval:
        now = self._clock()
        if tx.pending_approvals(caller, now) >= _PENDING_MAX:
            raise Precondition(f"{_PENDING_MAX} calls of {caller} wait for an approval already")
        asked = Approval(
            id=tx.next_ids("apr_", 1)[0],
            method=method,
            digest=digest,
            summary=summary[:_SUMMARY_CHARACTERS_MAX],
            asked_by=caller,
            asked_at=now,
            expires_at=now + self._ttl_s,
            state="pending",
            decided_by="",
            reason="",
            plan=plan,
        )
        tx.put_approval(asked)
        tx.record([_event(now, "ApprovalAsked", asked, f"{method} by {caller}: {asked.summary}")])
        return asked

    async def decide(self, approval_id: str, by: str, reason: str, *, agreed: bool) -> Approval:
        """Agree, or not. Raises ``NotFound``, or ``Precondition`` for whoever asked and for what is over."""
        now = self._clock()
        state = "approved" if agreed else "denied"

        def decide(tx: Tx) -> Approval:
            known = _found(tx, approval_id)
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

    async def one(self, approval_id: str) -> Approval:
        """Return one approval. Raises ``NotFound``."""
        found = await self._store.read(lambda tx: _found(tx, approval_id))
        return self._as_of_now(found)

    async def all(self) -> list[Approval]:
        """Return the newest approvals; one that nobody decided in time is ``expired``."""
        return [self._as_of_now(each) for each in await self._store.read(lambda tx: tx.approvals(_LISTED_MAX))]

    def _as_of_now(self, known: Approval) -> Approval:
        over = known.state in ("pending", "approved") and self._clock() >= known.expires_at
        return known._replace(state="expired") if over else known


def items_of(approval: Approval) -> Sequence[Item]:
    """Return what an approval is about, line by line; nothing where it is about a request as it is."""
    return _known(approval).plan.items


def plan_digest_of(approval: Approval) -> str:
    """Return the digest of the list that an approval binds; empty where it binds a request as it is."""
    return _known(approval).plan.digest if approval.plan else ""


def _known(approval: Approval) -> Known:
    said = json.loads(approval.plan or "{}")
    items = tuple(Item(name, state) for name, state in said.get("items", ()))
    plan = Plan(approval.method, said.get("asked", ""), items, said.get("reason", ""))
    return Known(approval.id, approval.state == "approved", plan)


def _text(plan: Plan) -> str:
    return json.dumps({"asked": plan.asked, "reason": plan.reason, "items": plan.items})


def _summary(plan: Plan) -> str:
    """Write a plan for people: how many, which, and why."""
    names = [item.name for item in plan.items]
    more = f" and {len(names) - _NAMED_MAX} more" if len(names) > _NAMED_MAX else ""
    why = f", because {plan.reason}" if plan.reason else ""
    return f"{len(names)} ({plan.asked}): {', '.join(names[:_NAMED_MAX])}{more}{why}"


def _found(tx: AccessVerbs, approval_id: str) -> Approval:
    known = tx.approval(approval_id)
    if known is None:
        ids = (each.id for each in tx.approvals(NAMES_MAX))
        raise no_such("approval", approval_id, ids, "haulier approval list")
    return known


# Servicers speak of it too; it comes from here so that a servicer needs no further package.
__all__ = ["Approval", "Approvals", "Asked", "NotApproved", "items_of", "plan_digest_of"]


def _event(now: float, event: str, approval: Approval, detail: str) -> Event:
    return Event(now, event, approval.id, detail=detail)
