"""Attempts as rows."""

import json
from collections.abc import Sequence
from typing import Any

from controlplane.core.changes import EndAttempt, GrantLease
from controlplane.core.model import Attempt, Failure, Use
from controlplane.core.states import AttemptState, Direction
from controlplane.store.verbs.attempts import AttemptReport, Flush

ATTEMPT_COLUMNS = Attempt._fields
REPORT_COLUMNS = ("started_at", "watermark", "total", "done_bytes", "stage", "failure", "use")

# A dict look-up is several times faster than calling the enum, and these run once per row.
_ATTEMPT_STATE = {state.value: state for state in AttemptState}
_DIRECTION = {direction.value: direction for direction in Direction}

_tuple = tuple.__new__


def attempt_of(row: Sequence[Any]) -> Attempt:
    """Build an attempt from ``ATTEMPT_COLUMNS``."""
    (
        attempt_id,
        step_id,
        migration_id,
        number,
        direction,
        agent_id,
        incarnation,
        fence,
        target,
        state,
        granted_at,
        expires_at,
        ended_at,
    ) = row
    return _tuple(
        Attempt,
        (
            attempt_id,
            step_id,
            migration_id,
            number,
            _DIRECTION[direction],
            agent_id,
            incarnation,
            fence,
            target,
            _ATTEMPT_STATE[state],
            granted_at,
            expires_at,
            ended_at,
        ),
    )


def report_of(row: Sequence[Any]) -> AttemptReport:
    """Build a report from ``ATTEMPT_COLUMNS``, ``REPORT_COLUMNS`` and the name of the agent."""
    *attempt, started_at, watermark, total, done_bytes, stage, failure, use, agent_name = row
    return AttemptReport(
        attempt=attempt_of(attempt),
        agent_name=agent_name or "",
        started_at=started_at,
        watermark=watermark,
        total=total,
        done_bytes=done_bytes,
        stage=stage,
        failure=Failure(**json.loads(failure)) if failure else None,
        use=Use(**json.loads(use)) if use else None,
    )


def grant_rows(grants: Sequence[GrantLease]) -> list[tuple[Any, ...]]:
    """Lay granted attempts out as their rows; ``moved_at`` starts with the grant."""
    return [
        (
            a.id,
            a.step_id,
            a.migration_id,
            a.number,
            a.direction,
            a.agent_id,
            a.incarnation,
            a.fence,
            a.target,
            a.state,
            a.granted_at,
            a.expires_at,
            a.granted_at,
        )
        for a, _ in grants
    ]


def end_row(end: EndAttempt) -> tuple[Any, ...]:
    """Lay out the guarded end of an attempt."""
    failure = end.failure
    use = end.use
    return (
        end.state,
        end.ended_at,
        None
        if failure is None
        else json.dumps(
            {
                "code": failure.code,
                "message": failure.message,
                "hint": failure.hint,
                "retryable": failure.retryable,
                "unreachable": failure.unreachable,
            }
        ),
        None
        if use is None
        else f'{{"wall_s":{use.wall_s},"cpu_s":{use.cpu_s},"rss_bytes_max":{use.rss_bytes_max},'
        f'"read_bytes":{use.read_bytes},"written_bytes":{use.written_bytes}}}',
        end.attempt_id,
        end.fence,
    )


def flush_rows(flushed: Sequence[Flush]) -> list[tuple[Any, ...]]:
    """Lay out guarded renewals of attempts."""
    return [
        (
            f.expires_at,
            f.moved_at,
            f.watermark,
            f.total,
            f.done_bytes,
            f.stage,
            f.started_at,
            f.attempt_id,
            f.fence,
        )
        for f in flushed
    ]
