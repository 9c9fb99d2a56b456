"""Who is calling, found once per call and carried in a context variable that the interceptors set."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from controlplane.identity.peers import Identity, IdentityError, identity_of_peer
from controlplane.identity.roles import SEEING_VALUES, Role


@dataclass(frozen=True, slots=True)
class Caller:
    """What a caller has proven: a role, and a name for the record."""

    role: Role
    name: str
    identity: Identity | None = None  # of an agent
    owners: frozenset[str] = frozenset()  # whose data the role is over; empty means everything
    token_id: str = ""  # of an operator
    ends_in_s: float = 0.0  # when that token does


CALLER: ContextVar[Caller] = ContextVar("caller")


def caller_name() -> str:
    """Return who made the call that this task serves, for the record; empty outside of a call."""
    caller = CALLER.get(None)
    return caller.name if caller is not None else ""


def sees_values() -> bool:
    """Tell whether who made this call may see values of rows; nobody may outside of a call."""
    caller = CALLER.get(None)
    return caller is not None and caller.role in SEEING_VALUES


def agent_of(context: Any) -> Identity | None:
    """Return the agent whose certificate the peer showed; None for any other peer."""
    try:
        identity = identity_of_peer(context.auth_context())
    except IdentityError:
        return None
    return identity if identity is not None and identity.kind == "agent" else None


def address_of(context: Any) -> str:
    """Return where a call comes from, without the port."""
    return str(context.peer()).rpartition(":")[0] or "somewhere"
