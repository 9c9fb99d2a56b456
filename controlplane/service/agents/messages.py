"""What the control plane has to say to an agent, and the durations that the two keep to."""

from dataclasses import dataclass, field
from typing import NamedTuple

from controlplane.core.rollouts.model import Order
from controlplane.service.audit.witnessing import Shown
from controlplane.service.steps.settling import GrantedLease


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """Durations of the conversation with agents, in seconds."""

    ttl_s: float = 60.0
    heartbeat_s: float = 15.0
    heartbeat_grace_s: float = 10.0
    lost_after_s: float = 60.0
    lock_delay_s: float = 60.0
    disconnected_max_s: float = 900.0

    @property
    def late_s(self) -> float:
        """After how long a silence on an open stream is one."""
        return self.heartbeat_s + self.heartbeat_grace_s


class UpgradeTerms(NamedTuple):
    """How a host is to go about an upgrade; for one that is taken back, why."""

    probation_s: float = 0.0
    bytes_per_s_max: int = 0
    reason: str = ""


@dataclass(slots=True)
class ToAgent:
    """What a session has to say next; whatever waits unsent merges into one message."""

    renewals: list[tuple[str, int, float, int]] = field(default_factory=list)  # attempt, fence, ttl_s, sequence
    acknowledged: list[str] = field(default_factory=list)
    grants: list[GrantedLease] = field(default_factory=list)
    cancels: list[tuple[str, int, str]] = field(default_factory=list)  # attempt, fence, reason
    drain_reason: str | None = None
    resume: bool = False
    renew_identity: str | None = None  # why
    upgrades: list[tuple[str, Order, UpgradeTerms]] = field(default_factory=list)  # rollout, what, how
    shown: Shown | None = None
