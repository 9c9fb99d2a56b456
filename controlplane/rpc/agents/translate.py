"""Contract ↔ core for agents: total in both directions, and the last place that contract messages reach."""

import json
import math

from haulier.v1 import agent_pb2 as pb

from controlplane.core.audit.heads import SIZE_MAX, TreeHead
from controlplane.core.model import Failure, Held, Introduction, Outcome, Use
from controlplane.core.states import AttemptState, Direction
from controlplane.rpc.agents import translate_releases as translate_rollouts
from controlplane.rpc.audit import translate as translate_audit
from controlplane.service.agents.messages import SessionSettings, ToAgent
from controlplane.service.steps.settling import GrantedLease

_OUTCOMES = {
    pb.ATTEMPT_OUTCOME_SUCCEEDED: AttemptState.SUCCEEDED,
    pb.ATTEMPT_OUTCOME_FAILED: AttemptState.FAILED,
    pb.ATTEMPT_OUTCOME_CANCELLED: AttemptState.CANCELLED,
    pb.ATTEMPT_OUTCOME_FENCED: AttemptState.FENCED,
}
DIRECTIONS = {Direction.FORWARD: pb.DIRECTION_FORWARD, Direction.UNDO: pb.DIRECTION_UNDO}
_SAMPLED = tuple(field.name for field in pb.HostSample.DESCRIPTOR.fields)

# Bounds on what an agent may say of itself: it is stored and shown (promise C5).
SLOTS_MAX = 1024
TEXT_MAX = 4096
NAMES_MAX = 10_000


# The store's integers; a larger number in a message would stop whatever transaction carries it, of other agents too.
INTEGER_MAX = 2**63 - 1
_HEAD_PART_MAX = 64  # bytes of a signature, and of a key id; roots are shorter


class BadMessage(ValueError):
    """A message that no well-behaved agent sends; says which field."""


def introduction_of(hello: pb.Hello) -> Introduction:
    """Read Hello. Raises ``BadMessage``."""
    if not 1 <= hello.incarnation <= INTEGER_MAX:
        raise BadMessage(f"hello.incarnation must be 1 to {INTEGER_MAX}, not {hello.incarnation}")
    if not 1 <= hello.slots <= SLOTS_MAX:
        raise BadMessage(f"hello.slots must be 1 to {SLOTS_MAX}, not {hello.slots}")
    if len(hello.kinds) + len(hello.datastores) + len(hello.labels) > NAMES_MAX:
        raise BadMessage(f"hello names more than {NAMES_MAX} kinds, datastores and labels")
    return Introduction(
        incarnation=hello.incarnation,
        version=hello.agent_version[:TEXT_MAX],
        kinds=frozenset(hello.kinds),
        datastores=frozenset(hello.datastores),
        labels=dict(hello.labels),
        slots=hello.slots,
        boot_id=hello.boot_id[:TEXT_MAX],
        draining=hello.draining,
        held=tuple(held_of(held) for held in hello.held),
        state_place=hello.state_place[:TEXT_MAX],
        facts=translate_rollouts.facts_of(hello.facts),
        running=translate_rollouts.running_of(hello.release),
    )


def held_of(held: pb.HeldAttempt | pb.AttemptProgress) -> Held:
    """Read what an agent says it holds."""
    return Held(held.attempt_id, held.fence, bounded(held.watermark))


def bounded(number: int) -> int:
    """Return a count of the wire as one that the store can keep."""
    return min(number, INTEGER_MAX)


def outcome_of(result: pb.AttemptResult) -> Outcome:
    """Read the end of an attempt. Raises ``BadMessage`` for an outcome this version does not know."""
    state = _OUTCOMES.get(result.outcome)
    if state is None:
        raise BadMessage(f"result of {result.attempt_id} has the unknown outcome {result.outcome}")
    if result.fence > INTEGER_MAX:
        raise BadMessage(f"result of {result.attempt_id} has the impossible fence {result.fence}")
    failure = None
    if result.HasField("failure"):
        said = result.failure
        failure = Failure(
            said.code[:64], said.message[:TEXT_MAX], said.hint[:TEXT_MAX], said.retryable, said.unreachable
        )
    use = result.use
    return Outcome(
        result.attempt_id,
        result.fence,
        state,
        result.result,
        failure,
        Use(_finite(use.wall_s), _finite(use.cpu_s), use.rss_bytes_max, use.read_bytes, use.written_bytes),
    )


def _finite(seconds: float) -> float:
    """Return a duration of the wire, 0 where it is not a number: it is stored and shown as JSON."""
    return seconds if math.isfinite(seconds) else 0.0


def witnessed_of(message: pb.Hello | pb.Heartbeat) -> TreeHead | None:
    """Read the head that an agent says it has seen, None when it says nothing of it. Raises ``BadMessage``."""
    if not message.HasField("witnessed"):
        return None
    seen = message.witnessed
    if not 0 < seen.size <= SIZE_MAX or not 0 < seen.era < 2**32:
        raise BadMessage(f"witnessed: no log has {seen.size} entries in era {seen.era}")
    if max(len(seen.root_hash), len(seen.signature), len(seen.key_id)) > _HEAD_PART_MAX:
        raise BadMessage(f"witnessed: its root, signature or key id is longer than {_HEAD_PART_MAX} bytes")
    return TreeHead(seen.era, seen.size, seen.root_hash, seen.signature, seen.key_id)


def sample_text(heartbeat: pb.Heartbeat) -> str:
    """Write a host's sample as JSON; empty when the heartbeat has none."""
    if not heartbeat.HasField("sample"):
        return ""
    sample = heartbeat.sample
    seen = [(name, getattr(sample, name)) for name in _SAMPLED]
    # All are numbers, and a number's `repr` is JSON's; thousands of heartbeats a second come by here.
    pairs = [f'"{name}": {value!r}' for name, value in seen if value and math.isfinite(value)]
    if not sample.agent_cpu_cores and sample.HasField("agent_cpu_cores"):
        pairs.append('"agent_cpu_cores": 0.0')
    return f"{{{', '.join(pairs)}}}"


def sample_message(text: str) -> pb.HostSample:
    """Write a stored sample as message."""
    return pb.HostSample(**json.loads(text or "{}"))


def welcome(agent_id: str, settings: SessionSettings, version: str, renew_in_s: float = 0.0) -> pb.SessionResponse:
    """Write the answer to Hello."""
    return pb.SessionResponse(
        welcome=pb.Welcome(
            agent_id=agent_id,
            heartbeat_s=settings.heartbeat_s,
            disconnected_max_s=settings.disconnected_max_s,
            controlplane_version=version,
            renew_in_s=renew_in_s,
        )
    )


def add_grant(message: pb.SessionResponse, lease: GrantedLease, ttl_s: float) -> None:
    """Write a granted lease into a message: in its place at once, because a grant that is added later is copied."""
    attempt, step = lease.attempt, lease.step
    message.grants.add(
        attempt_id=attempt.id,
        step_id=step.id,
        migration_id=step.migration_id,
        step_name=step.name,
        kind=step.kind,
        number=attempt.number,
        fence=attempt.fence,
        target=attempt.target,
        direction=DIRECTIONS[attempt.direction],
        params=lease.params,
        forward_result=lease.forward_result,
        ttl_s=ttl_s,
        start_to_finish_s=step.start_to_finish_s,
        progress_s=step.progress_s,
        evict_attempt_ids=lease.evict_attempt_ids,
        discard_changes=lease.discard_changes,
    )


def responses(said: ToAgent, ttl_s: float, bytes_max: int) -> list[pb.SessionResponse]:
    """Write what a session has to say: renewals first, in messages of at most ``bytes_max`` where grants allow it."""
    first = pb.SessionResponse(acknowledged_attempt_ids=said.acknowledged)
    for attempt_id, fence, renewed_s, sequence in said.renewals:
        first.renewals.add(attempt_id=attempt_id, fence=fence, ttl_s=renewed_s, asked_in_sequence=sequence)
    for attempt_id, fence, reason in said.cancels:
        first.directives.add(cancel=pb.CancelAttempt(attempt_id=attempt_id, fence=fence, reason=reason))
    if said.drain_reason is not None:
        first.directives.add(drain=pb.Drain(reason=said.drain_reason))
    if said.resume:
        first.directives.add(resume=pb.Resume())
    if said.renew_identity is not None:
        first.directives.add(renew_identity=pb.RenewIdentity(reason=said.renew_identity))
    for rollout_id, order, terms in said.upgrades:
        first.directives.append(translate_rollouts.directive(rollout_id, order, terms))
    if said.shown is not None:
        first.shown_head.CopyFrom(translate_audit.shown(said.shown))
    messages = [first]
    size = first.ByteSize() if said.grants else 0
    for lease in said.grants:
        # Names and numbers take less than 300 bytes beside what may be long.
        own = 300 + len(lease.params) + len(lease.forward_result) + 40 * len(lease.evict_attempt_ids)
        own += len(lease.step.target) + len(lease.step.name)
        if size and size + own > bytes_max:
            messages.append(pb.SessionResponse())
            size = 0
        size += own
        add_grant(messages[-1], lease, ttl_s)
    return messages
