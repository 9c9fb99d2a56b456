"""Who takes part in a rollout, in which wave, and why a host is left out."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence

from controlplane.core.rollouts.model import Host, HostState, Rollout, RolloutHost, RolloutPolicy, StepCounts
from controlplane.core.rollouts.windows import is_open
from controlplane.core.versions import Version, parse


def parse_version(text: str) -> Version | None:
    """Return a version as what orders like it; None where it is none.

    >>> parse_version("1.2.0rc1") < parse_version("1.2.0")
    True
    """
    try:
        return parse(text)
    except ValueError:
        return None


def skews(version: str, controlplane: str) -> str:
    """Return why a release cannot be run beside a control plane; empty when it can.

    They understand each other from one minor version before to one after; a control plane that runs from a bare tree
    has no version and no say.
    """
    theirs, ours = parse_version(version), parse_version(controlplane)
    if theirs is None:
        return f"{version!r} is not a version of a release: MAJOR.MINOR.PATCH is"
    if ours is None or (theirs[0] == ours[0] and abs(theirs[1] - ours[1]) <= 1):
        return ""
    if theirs[0] == ours[0] + 1 and theirs[1] == 0:
        return ""
    return f"release {version} is more than one minor version from the control plane's {controlplane}"


def why_not(host: Host | None, rollout: Rollout) -> str:
    """Return the code of what keeps a host out of a rollout for as long as it lasts; empty when nothing does.

    A window that is closed now is none of these: its host waits for it.
    """
    if host is None:
        return "gone"
    running = host.running
    artefact = rollout.artefact_for(host.architecture)
    if not running.digest:
        return "not_a_release" if host.connected else "away"
    if running.opted_out:
        return "opted_out"
    if artefact is None:
        return "no_artefact"
    if running.pin and running.pin not in (rollout.version, artefact.digest):
        return "pinned"
    if artefact.digest in running.failed_digests:
        return "failed_before"
    return _why_too_far(running.version, artefact.min_from) or ("" if host.connected else "away")


def runs(host: Host, rollout: Rollout) -> bool:
    """Tell whether a host runs the release already."""
    artefact = rollout.artefact_for(host.architecture)
    return artefact is not None and host.running.digest == artefact.digest


def _why_too_far(version: str, min_from: str) -> str:
    has, needs = parse_version(version), parse_version(min_from)
    return "too_old" if has is not None and needs is not None and has < needs else ""


def may_now(host: Host, policy: RolloutPolicy, now: float) -> bool:
    """Tell whether the host's maintenance window is open."""
    return is_open(policy.windows, now, host.utc_offset_s)


def draft(rollout: Rollout, hosts: Sequence[Host]) -> list[RolloutHost]:
    """Give every host its wave: canaries that cover each group, then shares of all in an order that is the same each
    time and otherwise arbitrary.

    Hosts that cannot take part now have a wave too: they join it late.
    """
    order = sorted(hosts, key=lambda host: _shuffled(rollout.id, host.agent_id))
    able = [host for host in order if not why_not(host, rollout) and not runs(host, rollout)]
    waves = dict.fromkeys(_canaries(able, rollout.policy.canaries_per_group), 0)
    rest = [host.agent_id for host in order if host.agent_id not in waves]
    given = 0
    for number, share in enumerate(rollout.policy.waves, start=1):
        upto = min(len(rest), max(given, math.ceil(share * len(order) - 1e-9) - (len(order) - len(rest))))
        waves |= dict.fromkeys(rest[given:upto], number)
        given = upto
    waves |= dict.fromkeys(rest[given:], len(rollout.policy.waves))
    return [
        RolloutHost(
            agent_id=host.agent_id,
            wave=waves[host.agent_id],
            groups=host.groups,
            state=HostState.WAITING,
            asked_at=None,
            since_healthy_s=0.0,
            away_healthy_s=None,
            from_version=host.running.version,
            from_digest=host.running.digest,
            incarnation=0,
            cause_code="",
            cause="",
            past=StepCounts(),
            after=StepCounts(),
        )
        for host in order
    ]


def _canaries(able: Sequence[Host], per_group: int) -> list[str]:
    """Choose few hosts so that each group has ``per_group``, as far as it has so many."""
    missing = Counter({group: min(per_group, count) for group, count in _sizes(able).items()})
    chosen: dict[str, None] = {}
    while +missing:
        left = [host for host in able if host.agent_id not in chosen]
        best = max(left, key=lambda host: sum(1 for group in host.groups if missing[group] > 0))
        chosen[best.agent_id] = None
        missing.subtract(best.groups)
    return list(chosen)


def _sizes(hosts: Iterable[Host]) -> Counter[str]:
    return Counter(group for host in hosts for group in host.groups)


def _shuffled(rollout_id: str, agent_id: str) -> str:
    return hashlib.sha256(f"{rollout_id}/{agent_id}".encode()).hexdigest()
