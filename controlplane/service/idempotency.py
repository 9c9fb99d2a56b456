"""Requests that carry an id: a repeat after a lost reply changes nothing and gets the first answer (promise L6)."""

from controlplane.service.errors import Precondition
from controlplane.store.verbs.store import StoreVerbs


def answered(tx: StoreVerbs, request_id: str, method: str) -> str | None:
    """Return the answer that ``request_id`` got, as JSON; None when it is new.

    Raises ``Precondition`` when the id was used for something else, because then the caller has mixed up two requests.
    """
    before = tx.answer(request_id)
    if before is None:
        return None
    if before.method != method:
        raise Precondition(f"the request id {request_id} was used for {before.method} before: choose a fresh one")
    return before.answer
