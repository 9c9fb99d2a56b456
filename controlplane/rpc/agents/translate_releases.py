"""Contract ↔ core for hosts and their releases: total both ways, and bounded where an agent speaks of itself."""

from haulier.v1 import agent_pb2, release_pb2

from controlplane.core.hosts import Facts, Running
from controlplane.core.rollouts.model import Order
from controlplane.service.agents.messages import UpgradeTerms

# Bounds on what a host may say of itself: it is stored and shown (promise C5).
WORD_MAX = 128
CAUSE_MAX = 1024
DIGESTS_MAX = 32
INTEGER_MAX = 2**63 - 1

_STATES = {
    number: name.removeprefix("RELEASE_STATE_").lower() for name, number in release_pb2.ReleaseState.items() if number
}


def facts_of(said: release_pb2.HostFacts) -> Facts:
    """Read what a host is."""
    return Facts(
        said.os[:WORD_MAX],
        said.os_version[:WORD_MAX],
        said.architecture[:WORD_MAX],
        said.cores,
        min(said.memory_bytes, INTEGER_MAX),
        said.time_zone[:WORD_MAX],
    )


def running_of(said: release_pb2.ReleaseStatus) -> Running:
    """Read what a host says of its release; a state that this version does not know is none."""
    return Running(
        version=said.version[:WORD_MAX],
        digest=said.digest[:WORD_MAX],
        previous_digest=said.previous_digest[:WORD_MAX],
        state=_STATES.get(said.state, ""),
        rollout_id=said.rollout_id[:WORD_MAX],
        wanted_digest=said.wanted_digest[:WORD_MAX],
        cause_code=said.cause_code[:WORD_MAX],
        cause=said.cause[:CAUSE_MAX],
        failed_digests=tuple(digest[:WORD_MAX] for digest in said.failed_digests[-DIGESTS_MAX:]),
        pin=said.pin[:WORD_MAX],
        opted_out=said.opted_out,
        fetched_bytes=min(said.fetched_bytes, INTEGER_MAX),
    )


def directive(rollout_id: str, order: Order, terms: UpgradeTerms) -> agent_pb2.Directive:
    """Write what a host is asked by a rollout; an empty digest takes back what was asked before."""
    if not order.digest:
        return agent_pb2.Directive(cancel_upgrade=release_pb2.CancelUpgrade(rollout_id=rollout_id, reason=terms.reason))
    return agent_pb2.Directive(
        upgrade=release_pb2.Upgrade(
            rollout_id=rollout_id,
            version=order.version,
            digest=order.digest,
            target_path=order.target_path,
            probation_s=terms.probation_s,
            bytes_per_s_max=terms.bytes_per_s_max,
        )
    )
