"""Grants and outcomes as JSON text, for the journal and for the attempts' files.

Readers ignore unknown keys and fill missing ones with defaults, so that a newer and an older agent read each
other's files.
"""

import base64
import json
from typing import Any

from agentd.core.grants import Direction, Failure, Grant, Outcome, OutcomeKind, ResourceUse
from agentd.core.witnessing import TreeHead


class Undecodable(Exception):
    """Stored text is not what this program writes; says which part."""


def _bytes_out(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes_in(text: object) -> bytes:
    return base64.b64decode(str(text), validate=True)


def grant_to_text(grant: Grant) -> str:
    """A grant as one line of JSON."""
    return json.dumps(
        {
            "attempt_id": grant.attempt_id,
            "step_id": grant.step_id,
            "migration_id": grant.migration_id,
            "step_name": grant.step_name,
            "kind": grant.kind,
            "number": grant.number,
            "fence": grant.fence,
            "target": grant.target,
            "ttl_s": grant.ttl_s,
            "direction": grant.direction.value,
            "params": _bytes_out(grant.params),
            "forward_result": _bytes_out(grant.forward_result),
            "start_to_finish_s": grant.start_to_finish_s,
            "progress_s": grant.progress_s,
            "evict_attempt_ids": list(grant.evict_attempt_ids),
            "discard_changes": grant.discard_changes,
        }
    )


def intent_to_text(grant: Grant, boot_id: str, file: str) -> str:
    """A grant as `grant_to_text` writes it, with the boot and the journal's file in which it was journalled first."""
    return json.dumps({**json.loads(grant_to_text(grant)), "boot_id": boot_id, "file": file})


def boot_of_intent(text: str, file: str) -> str:
    """The boot in which a grant was journalled first; "" where that is not known or was another file."""
    told = json.loads(text)
    return str(told.get("boot_id", "")) if told.get("file") == file else ""


def grant_from_text(text: str) -> Grant:
    """Inverse of `grant_to_text`; raises Undecodable."""
    try:
        told: dict[str, Any] = json.loads(text)
        return Grant(
            attempt_id=str(told["attempt_id"]),
            step_id=str(told["step_id"]),
            migration_id=str(told["migration_id"]),
            step_name=str(told["step_name"]),
            kind=str(told["kind"]),
            number=int(told["number"]),
            fence=int(told["fence"]),
            target=str(told["target"]),
            ttl_s=float(told["ttl_s"]),
            direction=Direction(told.get("direction", "forward")),
            params=_bytes_in(told.get("params", "")),
            forward_result=_bytes_in(told.get("forward_result", "")),
            start_to_finish_s=float(told.get("start_to_finish_s", 0.0)),
            progress_s=float(told.get("progress_s", 0.0)),
            evict_attempt_ids=tuple(str(each) for each in told.get("evict_attempt_ids", ())),
            discard_changes=bool(told.get("discard_changes", False)),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Undecodable(f"not a grant: {error!r}") from error


def outcome_to_text(outcome: Outcome) -> str:
    """An outcome as one line of JSON."""
    failure, use = outcome.failure, outcome.use
    told: dict[str, Any] = {
        "attempt_id": outcome.attempt_id,
        "fence": outcome.fence,
        "kind": outcome.kind.value,
        "result": _bytes_out(outcome.result),
        "use": {
            "wall_s": use.wall_s,
            "cpu_s": use.cpu_s,
            "rss_bytes_max": use.rss_bytes_max,
            "read_bytes": use.read_bytes,
            "written_bytes": use.written_bytes,
            "memory_limit_bytes": use.memory_limit_bytes,
        },
    }
    if failure is not None:
        told["failure"] = {
            "code": failure.code,
            "message": failure.message,
            "hint": failure.hint,
            "retryable": failure.retryable,
            "unreachable": failure.unreachable,
        }
    return json.dumps(told)


def outcome_from_text(text: str) -> Outcome:
    """Inverse of `outcome_to_text`; raises Undecodable."""
    try:
        told: dict[str, Any] = json.loads(text)
        failure, use = told.get("failure"), told.get("use", {})
        return Outcome(
            attempt_id=str(told["attempt_id"]),
            fence=int(told["fence"]),
            kind=OutcomeKind(told["kind"]),
            result=_bytes_in(told.get("result", "")),
            failure=None if failure is None else _failure(failure),
            use=ResourceUse(
                wall_s=float(use.get("wall_s", 0.0)),
                cpu_s=float(use.get("cpu_s", 0.0)),
                rss_bytes_max=int(use.get("rss_bytes_max", 0)),
                read_bytes=int(use.get("read_bytes", 0)),
                written_bytes=int(use.get("written_bytes", 0)),
                memory_limit_bytes=int(use.get("memory_limit_bytes", 0)),
            ),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Undecodable(f"not an outcome: {error!r}") from error


def _failure(told: dict[str, Any]) -> Failure:
    return Failure(
        code=str(told["code"]),
        message=str(told["message"]),
        hint=str(told.get("hint", "")),
        retryable=bool(told.get("retryable", False)),
        unreachable=bool(told.get("unreachable", False)),
    )


def head_to_text(head: TreeHead) -> str:
    """A head of the audit log as one line of JSON."""
    return json.dumps(
        {
            "era": head.era,
            "size": head.size,
            "root": head.root.hex(),
            "signature": head.signature.hex(),
            "key_id": head.key_id,
        }
    )


def head_from_text(text: str) -> TreeHead:
    """Inverse of `head_to_text`; raises Undecodable."""
    try:
        told: dict[str, Any] = json.loads(text)
        root, signature = bytes.fromhex(told["root"]), bytes.fromhex(told["signature"])
        return TreeHead(int(told["era"]), int(told["size"]), root, signature, str(told["key_id"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Undecodable(f"not a head: {error!r}") from error
