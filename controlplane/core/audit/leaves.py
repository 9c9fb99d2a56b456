"""How an event becomes an entry of the audit log: bytes that no other event shares.

``haulier-event-1``, position as 8 bytes, instant as 8 bytes IEEE 754, both big-endian; then UTF-8 text: type, subject,
migration, attempt, agent, fence, detail. A text is ``t``, its length in characters, ``:``, itself; an integer is ``i``,
its decimal digits, ``;``; nothing is ``n``, which is not the empty text. Every field says its type and where it ends.
"""

import struct
from hashlib import sha256

from controlplane.core.events import Event

_MARK = b"haulier-event-1"
_NUMBERS = struct.Struct(">Qd")
_LEAF_MARK = b"\x00" + _MARK


def entry_bytes(position: int, event: Event) -> bytes:
    """Return the entry of an event, position counted from 1.

    >>> from controlplane.core.events import Event
    >>> entry_bytes(1, Event(0.0, "Began", "x"))[31:]
    b't5:Begant1:xnnnnt0:'
    """
    return _MARK + _rest(position, event)


def leaf_of(position: int, event: Event) -> bytes:
    """Return the leaf hash of an event (RFC 9162)."""
    return sha256(_LEAF_MARK + _rest(position, event)).digest()


def _rest(position: int, event: Event) -> bytes:
    # One expression, because it runs for every event of a busy control plane.
    at, kind, subject, migration, attempt, agent, fence, detail = event
    text = (
        f"t{len(kind)}:{kind}t{len(subject)}:{subject}"
        f"{'n' if migration is None else f't{len(migration)}:{migration}'}"
        f"{'n' if attempt is None else f't{len(attempt)}:{attempt}'}"
        f"{'n' if agent is None else f't{len(agent)}:{agent}'}"
        f"{'n' if fence is None else f'i{fence};'}"
        f"t{len(detail)}:{detail}"
    )
    return _NUMBERS.pack(position, at) + text.encode("utf-8", "surrogatepass")
