"""The audit log as JSON values: for files of witnesses, exports and archives. Bytes are hex, fences strings."""

from operator import itemgetter
from typing import Any

from controlplane.core.audit.heads import LogEra, TreeHead
from controlplane.core.audit.verifying import Entry, Seal
from controlplane.core.events import Event

FORMAT = "haulier-audit-1"
ARCHIVE_FORMAT = "haulier-audit-archive-1"
_TEXTS = itemgetter("type", "subject", "migration_id", "attempt_id", "agent_id", "detail")


class Unreadable(ValueError):
    """Text that is not what these functions write; says what it is not."""


def head_value(head: TreeHead) -> dict[str, Any]:
    """Write a head."""
    return {**head._asdict(), "root": head.root.hex(), "signature": head.signature.hex()}


def head_from(value: Any) -> TreeHead:
    """Read a head, also out of what ``haulier-agentd status -o json`` prints. Raises ``Unreadable``."""
    try:
        if "audit" in value:
            value = value["audit"]["witnessed"]
        if value is None:
            raise Unreadable("this agent has seen no head yet")
        root, signature = bytes.fromhex(value["root"]), bytes.fromhex(value["signature"])
        return TreeHead(int(value["era"]), int(value["size"]), root, signature, str(value["key_id"]))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Unreadable(
            str(error) if isinstance(error, Unreadable) else f"not a head of an audit log: {error!r}"
        ) from None


def era_value(begun: LogEra) -> dict[str, Any]:
    """Write the beginning of an era."""
    binary = {name: getattr(begun, name).hex() for name in ("root", "signature", "public_key")}
    return {**begun._asdict(), **binary}


def seal_value(seal: Seal) -> dict[str, Any]:
    """Write what a log says of itself: the first line of an export."""
    return {
        "format": FORMAT,
        "head": None if seal.head is None else head_value(seal.head),
        "public_key": seal.public_key.hex(),
        "eras": [era_value(begun) for begun in seal.eras],
    }


def seal_from(value: Any) -> Seal:
    """Read the first line of an export. Raises ``Unreadable``."""
    try:
        if value["format"] != FORMAT:
            raise Unreadable(f"not an export of an audit log in the format {FORMAT}")
        eras = [
            LogEra(
                int(each["era"]),
                int(each["size"]),
                bytes.fromhex(each["root"]),
                int(each["generation"]),
                str(each["reason"]),
                bytes.fromhex(each["signature"]),
                bytes.fromhex(each["public_key"]),
            )
            for each in value["eras"]
        ]
        head = None if value["head"] is None else head_from(value["head"])
        return Seal(head, bytes.fromhex(value["public_key"]), eras)
    except (KeyError, TypeError, ValueError) as error:
        raise Unreadable(str(error) if isinstance(error, Unreadable) else f"not an export: {error!r}") from None


def entry_value(position: int, entry: Event | bytes) -> dict[str, Any]:
    """Write an entry, or the hash that is left of one."""
    if isinstance(entry, bytes):
        return {"position": position, "leaf": entry.hex()}
    fence = None if entry.fence is None else str(entry.fence)
    return {"position": position, **entry._asdict(), "fence": fence}


def entry_from(value: Any) -> Entry:
    """Read an entry. Raises ``Unreadable``."""
    try:
        if "leaf" in value:
            return int(value["position"]), bytes.fromhex(value["leaf"])
        kind, subject, migration_id, attempt_id, agent_id, detail = _TEXTS(value)
        fence = None if value["fence"] is None else int(value["fence"])
        event = Event(
            at=float(value["at"]),
            type=kind,
            subject=subject,
            migration_id=migration_id,
            attempt_id=attempt_id,
            agent_id=agent_id,
            fence=fence,
            detail=detail,
        )
        return int(value["position"]), event
    except (KeyError, TypeError, ValueError) as error:
        raise Unreadable(f"not an entry of an audit log: {error!r}") from None


def archive_value(first: int, last: int) -> dict[str, Any]:
    """Write the first line of an archive file of the events from ``first`` to ``last``."""
    return {"format": ARCHIVE_FORMAT, "first": first, "last": last}


def archive_from(value: Any) -> tuple[int, int]:
    """Read the first line of an archive file; return the positions that it holds. Raises ``Unreadable``."""
    try:
        if value["format"] != ARCHIVE_FORMAT:
            raise Unreadable(f"not an archive of an audit log in the format {ARCHIVE_FORMAT}")
        return int(value["first"]), int(value["last"])
    except (KeyError, TypeError, ValueError) as error:
        raise Unreadable(str(error) if isinstance(error, Unreadable) else f"not an archive: {error!r}") from None
