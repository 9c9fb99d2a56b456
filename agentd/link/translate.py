"""Contract ↔ core. Nothing else in the agent's core or runner sees a contract message.

What comes in is checked here: an attempt id becomes the name of a directory on this host.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from haulier.v1 import agent_pb2 as pb
from haulier.v1 import release_pb2 as release_pb

from agentd.core import events
from agentd.core.effects import OpenSession
from agentd.core.events import Event
from agentd.core.grants import (
    Direction,
    Failure,
    Grant,
    HeldSummary,
    HostSample,
    Outcome,
    OutcomeKind,
    ProgressReport,
    SessionId,
)
from agentd.core.release_state import HostFacts, HostRelease, HostState, Release, Wish
from agentd.link import translate_audit

_ATTEMPT_ID = re.compile(r"att_[A-Za-z0-9_-]{1,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TARGET_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")
_NAME_CHARACTERS_MAX = 200
_MESSAGE_CHARACTERS_MAX = 2000
# What a database keeps as an integer.
FENCE_MAX = 2**63 - 1
# A shorter interval would keep this host busy with nothing else; a longer duration is a mistake or worse.
_HEARTBEAT_MIN_S = 0.02
_DURATION_MAX_S = 10 * 366 * 86400.0
# A result beyond this cannot travel in one message with its own report around it.
RESULT_BYTES_MAX = 56 * 1024

_OUTCOMES = {
    OutcomeKind.SUCCEEDED: pb.ATTEMPT_OUTCOME_SUCCEEDED,
    OutcomeKind.FAILED: pb.ATTEMPT_OUTCOME_FAILED,
    OutcomeKind.CANCELLED: pb.ATTEMPT_OUTCOME_CANCELLED,
    OutcomeKind.FENCED: pb.ATTEMPT_OUTCOME_FENCED,
}
_RELEASE_STATES = {
    HostState.NONE: release_pb.RELEASE_STATE_UNSPECIFIED,
    HostState.KEPT: release_pb.RELEASE_STATE_KEPT,
    HostState.FETCHING: release_pb.RELEASE_STATE_FETCHING,
    HostState.STAGED: release_pb.RELEASE_STATE_STAGED,
    HostState.PROBATION: release_pb.RELEASE_STATE_PROBATION,
    HostState.ROLLED_BACK: release_pb.RELEASE_STATE_ROLLED_BACK,
    HostState.HELD: release_pb.RELEASE_STATE_HELD,
    HostState.REFUSED: release_pb.RELEASE_STATE_REFUSED,
}
_DIRECTIONS = {pb.DIRECTION_FORWARD: Direction.FORWARD, pb.DIRECTION_UNDO: Direction.UNDO}


class BadMessage(Exception):
    """A message that a control plane of this contract does not send; says what is wrong with it."""


def _is_duration(seconds: float) -> bool:
    """Whether seconds are above 0 and end some day; what is not a number is neither."""
    return 0 < seconds <= _DURATION_MAX_S


def hello(effect: OpenSession) -> pb.Hello:
    """The first message of a session."""
    return pb.Hello(
        incarnation=effect.identity.incarnation,
        agent_version=effect.identity.agent_version,
        kinds=effect.capabilities.kinds,
        datastores=effect.capabilities.datastores,
        labels=dict(effect.capabilities.labels),
        slots=effect.capabilities.slots,
        held=[held(each) for each in effect.held],
        boot_id=effect.identity.boot_id,
        state_place=effect.identity.state_place,
        draining=effect.draining,
        facts=_facts(effect.identity.facts),
        release=release(effect.release),
        witnessed=None if effect.witnessed is None else translate_audit.tree_head(effect.witnessed),
    )


def _facts(seen: HostFacts) -> release_pb.HostFacts:
    return release_pb.HostFacts(
        os=seen.os,
        os_version=seen.os_version,
        architecture=seen.architecture,
        cores=seen.cores,
        memory_bytes=seen.memory_bytes,
        time_zone=seen.time_zone,
    )


def release(status: HostRelease) -> release_pb.ReleaseStatus:
    """What this host runs, and how the last upgrade went."""
    return release_pb.ReleaseStatus(
        version=status.version,
        digest=status.digest,
        previous_digest=status.previous_digest,
        state=_RELEASE_STATES[status.state],
        rollout_id=status.rollout_id,
        wanted_digest=status.wanted_digest,
        cause_code=status.cause_code,
        cause=status.cause[:_MESSAGE_CHARACTERS_MAX],
        failed_digests=status.failed_digests,
        pin=status.pin,
        opted_out=status.opted_out,
        fetched_bytes=status.fetched_bytes,
        black_box_stored=status.black_box_stored,
    )


def held(summary: HeldSummary) -> pb.HeldAttempt:
    """A held attempt, as Hello and Heartbeat name it."""
    return pb.HeldAttempt(attempt_id=summary.attempt_id, fence=summary.fence, watermark=summary.watermark)


def sample(seen: HostSample) -> pb.HostSample:
    """What was seen on the host."""
    return pb.HostSample(
        cpu_fraction=seen.cpu_fraction,
        memory_used_bytes=seen.memory_used_bytes,
        memory_total_bytes=seen.memory_total_bytes,
        disk_free_bytes=seen.disk_free_bytes,
        agent_rss_bytes=seen.agent_rss_bytes,
        agent_cpu_cores=seen.agent_cpu_cores,
    )


def progress(report: ProgressReport) -> pb.AttemptProgress:
    """News of one running attempt."""
    return pb.AttemptProgress(
        attempt_id=report.attempt_id,
        fence=report.fence,
        watermark=report.progress.watermark,
        total=report.progress.total,
        done_bytes=report.progress.done_bytes,
        stage=report.progress.stage,
        started=report.started,
    )


def result(outcome: Outcome) -> pb.AttemptResult:
    """The end of an attempt. A result too long for a message becomes a failure that says so."""
    if len(outcome.result) > RESULT_BYTES_MAX:
        outcome = _too_long(outcome)
    message = pb.AttemptResult(
        attempt_id=outcome.attempt_id,
        fence=outcome.fence,
        outcome=_OUTCOMES[outcome.kind],
        result=outcome.result,
        use=pb.ResourceUse(
            wall_s=outcome.use.wall_s,
            cpu_s=outcome.use.cpu_s,
            rss_bytes_max=outcome.use.rss_bytes_max,
            read_bytes=outcome.use.read_bytes,
            written_bytes=outcome.use.written_bytes,
            memory_limit_bytes=outcome.use.memory_limit_bytes,
        ),
    )
    if outcome.failure is not None:
        message.failure.CopyFrom(
            pb.AttemptFailure(
                code=outcome.failure.code,
                message=outcome.failure.message[:_MESSAGE_CHARACTERS_MAX],
                hint=outcome.failure.hint[:_MESSAGE_CHARACTERS_MAX],
                retryable=outcome.failure.retryable,
                unreachable=outcome.failure.unreachable,
            )
        )
    return message


def _too_long(outcome: Outcome) -> Outcome:
    message = f"the step's result has {len(outcome.result)} bytes, a message carries {RESULT_BYTES_MAX}"
    failure = outcome.failure or Failure("result_too_long", message, "cut the dataset into fewer, longer parts")
    kind = OutcomeKind.FAILED if outcome.kind is OutcomeKind.SUCCEEDED else outcome.kind
    return Outcome(outcome.attempt_id, outcome.fence, kind, failure=failure, use=outcome.use)


def welcome(session: SessionId, message: pb.SessionResponse) -> events.SessionOpened:
    """The first answer of a session. Raises BadMessage when it is none."""
    if not message.HasField("welcome"):
        raise BadMessage("the control plane's first answer is not a welcome")
    told = message.welcome
    if not _HEARTBEAT_MIN_S <= told.heartbeat_s <= _DURATION_MAX_S or not _is_duration(told.disconnected_max_s):
        raise BadMessage("the welcome lacks its heartbeat interval or the longest time without contact")
    if told.renew_in_s and not _is_duration(told.renew_in_s):
        raise BadMessage("the welcome names no instant for the next certificate")
    return events.SessionOpened(session, told.heartbeat_s, told.disconnected_max_s, told.renew_in_s)


def said(session: SessionId, message: pb.SessionResponse) -> Iterator[Event | BadMessage]:
    """Everything the control plane said, in the order in which it counts: a grant comes before its cancel.

    A part that no control plane of this contract sends is given as what is wrong with it; the rest stands.
    """
    yield from _each(message.renewals, lambda part: _renewal(session, part))
    for attempt_id in message.acknowledged_attempt_ids:
        yield events.ResultAcknowledged(session, attempt_id)
    yield from _each(message.grants, lambda part: events.LeaseGranted(session, grant(part)))
    if message.HasField("shown_head"):
        yield events.HeadShown(session, translate_audit.shown_head(message.shown_head))
    known = (directive for directive in message.directives if directive.WhichOneof("ask") in _ASKED)
    yield from _each(known, lambda part: _ASKED[part.WhichOneof("ask")](session, part))


def _each(parts: Iterable[Any], read: Callable[[Any], Event]) -> Iterator[Event | BadMessage]:
    for part in parts:
        try:
            yield read(part)
        except BadMessage as error:
            yield error


def _renewal(session: SessionId, message: pb.LeaseRenewal) -> Event:
    if not _is_duration(message.ttl_s):
        raise BadMessage(f"the renewal of {message.attempt_id[:80]!r} lacks its life")
    return events.LeaseRenewed(session, message.attempt_id, message.fence, message.ttl_s, message.asked_in_sequence)


def _cancel(session: SessionId, message: pb.CancelAttempt) -> Event:
    return events.CancelAsked(session, message.attempt_id, message.fence, message.reason)


_ASKED: dict[str | None, Callable[[SessionId, pb.Directive], Event]] = {
    "cancel": lambda session, told: _cancel(session, told.cancel),
    "drain": lambda _, told: events.DrainAsked(told.drain.reason),
    "resume": lambda _, told: events.ResumeAsked(),
    "renew_identity": lambda _, told: events.RenewalAsked(told.renew_identity.reason),
    "upgrade": lambda _, told: events.UpgradeAsked(_wish(told.upgrade)),
    "cancel_upgrade": lambda _, told: events.UpgradeTakenBack(
        told.cancel_upgrade.rollout_id, told.cancel_upgrade.reason
    ),
}


def _wish(message: release_pb.Upgrade) -> Wish:
    """A wish for a release. Raises BadMessage where it could not be kept on this host."""
    if not _DIGEST.fullmatch(message.digest) or not _TARGET_PATH.fullmatch(message.target_path):
        raise BadMessage(f"the upgrade to {message.version[:40]!r} lacks its digest or its target path")
    if message.probation_s and not _is_duration(message.probation_s):
        raise BadMessage(f"the upgrade to {message.version[:40]!r} has a probation that is none")
    return Wish(
        rollout_id=message.rollout_id[:_NAME_CHARACTERS_MAX],
        release=Release(message.version[:_NAME_CHARACTERS_MAX], message.digest),
        target_path=message.target_path,
        probation_s=message.probation_s,
        bytes_per_s_max=message.bytes_per_s_max,
    )


def grant(message: pb.LeaseGrant) -> Grant:
    """A lease. Raises BadMessage where it could not be kept on this host."""
    if not _ATTEMPT_ID.fullmatch(message.attempt_id):
        raise BadMessage(f"attempt id {message.attempt_id[:80]!r} is none")
    if message.direction not in _DIRECTIONS or not _is_duration(message.ttl_s):
        raise BadMessage(f"the grant of {message.attempt_id} lacks its direction or its life")
    if message.fence > FENCE_MAX:
        raise BadMessage(f"the grant of {message.attempt_id} has a fence that nobody gives")
    if not all(limit == 0 or _is_duration(limit) for limit in (message.start_to_finish_s, message.progress_s)):
        raise BadMessage(f"the grant of {message.attempt_id} has a limit of time that is none")
    return Grant(
        attempt_id=message.attempt_id,
        step_id=message.step_id,
        migration_id=message.migration_id,
        step_name=message.step_name,
        kind=message.kind,
        number=message.number,
        fence=message.fence,
        target=message.target,
        ttl_s=message.ttl_s,
        direction=_DIRECTIONS[message.direction],
        params=message.params,
        forward_result=message.forward_result,
        start_to_finish_s=message.start_to_finish_s,
        progress_s=message.progress_s,
        evict_attempt_ids=tuple(message.evict_attempt_ids),
        discard_changes=message.discard_changes,
    )
