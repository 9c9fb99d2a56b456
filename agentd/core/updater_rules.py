"""What a host does about its release: every decision of the updater, and nothing else.

Each function takes a state and what happened, and returns the next state; the updater makes it durable before it does
anything about it. What is to be done follows from the state alone, so that it can be done again after a crash:

idle ──staged──▶ staged ──switch_begun──▶ switching ──restarted──▶ probation ──looked──▶ idle (kept)
                    ╰──cancelled──▶ idle          ╰──── rescued, looked ────▶ returning ──returned──▶ idle (rolled back)

`links(state)` is what `current` and `previous` must say in any phase. A release goes back when it shows itself to be
bad, or when nobody has said "kept" in time. What lies outside the release (a full disk, a control plane that is away or
busy, an expired certificate) only holds the decision, and so does a daemon that was started again near the end.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from agentd.core.release_state import (
    Before,
    Ending,
    Phase,
    Probation,
    Release,
    Request,
    SelfTest,
    UpdaterState,
    Verdict,
)

# Starts after the first one, and reboots, that a release may need within its probation.
RESTARTS_MAX = 3
# Failed self-tests before a release goes back: one may be bad luck.
TESTS_MAX = 2
# Answers in a row by which a control plane counts as being well while the new release has no session.
CONTACTS_MIN = 3
FAILED_KEPT = 32
# Up without a restart for so long, but never more than half of the probation.
STABLE_S = 120.0
# A new release may need this many times the memory or time of the old one, and this much besides.
MEMORY_FACTOR, MEMORY_MORE_BYTES = 2.0, 96 * 1024 * 1024
GROWTH_FACTOR, GROWTH_MORE_BYTES = 1.5, 48 * 1024 * 1024
CPU_FACTOR, CPU_MORE_S = 4.0, 4.0
RUN_FACTOR, RUN_MORE_S = 8.0, 15.0


class Unit(StrEnum):
    """What the service manager says of the agent."""

    RUNNING = "running"
    FAILED = "failed"
    STOPPED = "stopped"
    UNKNOWN = "unknown"


class Contact(StrEnum):
    """How the control plane answers the release that was there before, while the new one has no session."""

    ANSWERS = "answers"
    BUSY = "busy"
    AWAY = "away"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


HOLDS = {
    Contact.BUSY: ("control_plane_busy", "the control plane answers too slowly to judge the release by it"),
    Contact.AWAY: ("control_plane_away", "the control plane cannot be reached, not even by the previous release"),
    Contact.EXPIRED: ("certificate_expired", "the control plane does not accept this agent's certificate any more"),
    Contact.UNKNOWN: ("control_plane_unknown", "it cannot be found out how the control plane is"),
    Contact.ANSWERS: ("no_session", "the new release has no session while the control plane answers"),
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one look at the running agent showed. Durations are seconds; `answering` is the digest of the release that
    answered on the agent's own socket, empty where nobody did. `contact` is None where nobody asked, `old_tested` where
    the old release was not tested at the same moment."""

    unit: Unit
    answering: str = ""
    incarnation: int = 0
    up_s: float = 0.0
    connected_s: float = 0.0
    heartbeat_s: float = 15.0
    rss_bytes: int = 0
    disk_full: bool = False
    contact: Contact | None = None
    tested: SelfTest | None = None
    old_tested: SelfTest | None = None


def links(state: UpdaterState) -> tuple[Release | None, Release | None]:
    """What `current` and `previous` must say."""
    return state.current, state.previous


# Requests.


def consider(state: UpdaterState, request: Request | None) -> tuple[UpdaterState, bool]:
    """Judge what is asked for by what this host remembers; signatures and the order of versions are judged elsewhere.

    Returns the state with its verdict, and whether to go on with the request. Asking again is harmless."""
    if state.phase is Phase.STAGED and request != state.wanted:
        # Taken back, or replaced by another wish, before the switch began.
        state = replace(state, phase=Phase.IDLE, wanted=None)
    if request is None:
        return _forget_hold(state), False
    if state.phase in (Phase.SWITCHING, Phase.PROBATION):
        return _overtaken(state, request), False
    if state.phase is not Phase.IDLE:
        return state, state.phase is Phase.STAGED
    if _is_answered(state.last, request):
        return state, False
    refusal = _refusal(state, request)
    if refusal is not None:
        return refused(state, request, *refusal), False
    if state.current is not None and request.release.digest == state.current.digest:
        return replace(state, last=_verdict(request, Ending.KEPT)), False
    return state, True


def _is_answered(last: Verdict | None, request: Request) -> bool:
    """Whether asking again could only give the same answer. A hold ends, and an owner changes a pin."""
    if last is None or last.request_id != request.request_id or last.ending is Ending.HELD:
        return False
    return last.code not in ("pinned", "opted_out")


def _overtaken(state: UpdaterState, request: Request) -> UpdaterState:
    """Only one wish counts while a release is on probation: to go back to the one before."""
    assert state.probation is not None
    if request.release.digest != state.probation.back.digest:
        return state
    back = _back(state, "asked", "the control plane asked for the release before")
    # It did not fail here, so it may come again.
    return replace(back, failed=state.failed)


def is_step_back(state: UpdaterState, request: Request) -> bool:
    """Whether the wanted release is the one that this host kept before: it lies here, whole and verified."""
    return state.previous is not None and request.release.digest == state.previous.digest


def _refusal(state: UpdaterState, request: Request) -> tuple[str, str] | None:
    wanted, current = request.release, state.current
    if state.opted_out:
        return "opted_out", "this host takes no part in rollouts: its owner opted out"
    if state.pin and state.pin not in (wanted.version, wanted.digest):
        return "pinned", f"this host is pinned to {state.pin} by its owner"
    if (current is None or wanted.digest != current.digest) and wanted.digest in state.failed:
        return "failed_before", f"release {wanted.version} failed on this host before"
    return None


def _forget_hold(state: UpdaterState) -> UpdaterState:
    held = state.phase is Phase.IDLE and state.last is not None and state.last.ending is Ending.HELD
    return replace(state, last=None) if held else state


def refused(state: UpdaterState, request: Request, code: str, message: str) -> UpdaterState:
    """The request will not be granted."""
    return replace(state, phase=Phase.IDLE, wanted=None, last=_verdict(request, Ending.REFUSED, code, message))


def held(state: UpdaterState, request: Request, code: str, message: str) -> UpdaterState:
    """Something that is not the release's fault stands in the way; the request stays."""
    return replace(state, last=_verdict(request, Ending.HELD, code, message))


def staged(state: UpdaterState, request: Request) -> UpdaterState:
    """The wanted release is verified and lies unpacked among the versions."""
    assert state.phase is Phase.IDLE
    return replace(state, phase=Phase.STAGED, wanted=request, last=None)


# The switch.


def switch_begun(state: UpdaterState, before: Before, boot_id: str, now: float) -> UpdaterState:
    """The switch begins, at `now` of the boot `boot_id`. The clock of the probation begins with `restarted`."""
    assert state.phase is Phase.STAGED and state.wanted is not None and state.current is not None
    probation = Probation(state.current, state.previous, before, boot_id, now)
    release = state.wanted.release
    return replace(
        state, phase=Phase.SWITCHING, probation=probation, current=release, previous=state.current, last=None
    )


def restarted(state: UpdaterState, boot_id: str, now: float) -> UpdaterState:
    """The agent was started from the new release: from here on the clock of the probation runs, so that an old agent
    that is slow to stop takes nothing of the new one's time."""
    assert state.phase is Phase.SWITCHING and state.probation is not None
    probation = replace(_since_boot(state.probation, boot_id, now), began_at=now)
    return replace(state, phase=Phase.PROBATION, probation=probation)


def rescued(state: UpdaterState) -> UpdaterState:
    """The service manager gave the agent up."""
    if state.phase not in (Phase.SWITCHING, Phase.PROBATION):
        return state
    return _back(state, "crashed", "the agent did not stay up: the service manager gave it up")


def back_asked(state: UpdaterState) -> UpdaterState:
    """The host's owner wants the previous release. Raises NothingToGoBackTo."""
    message = "the owner of this host asked for the release before"
    if state.phase in (Phase.SWITCHING, Phase.PROBATION):
        return _back(state, "asked_on_host", message)
    if state.phase is Phase.RETURNING:
        return state
    if state.previous is None or state.current is None or state.previous == state.current:
        raise NothingToGoBackTo("no other release is kept on this host")
    request = Request(f"back-{state.current.digest}", "", state.current, "", 0.0)
    under_way = Probation(state.previous, None, Before(), "", 0.0)
    return _back(replace(state, wanted=request, probation=under_way), "asked_on_host", message)


class NothingToGoBackTo(Exception):
    """There is no release to go back to."""


def returned(state: UpdaterState) -> UpdaterState:
    """The previous release runs again."""
    assert state.phase is Phase.RETURNING
    return replace(state, phase=Phase.IDLE, wanted=None, probation=None)


def _back(state: UpdaterState, code: str, message: str) -> UpdaterState:
    assert state.probation is not None and state.wanted is not None
    digest = state.wanted.release.digest
    failed = (*(each for each in state.failed if each != digest), digest)[-FAILED_KEPT:]
    return replace(
        state,
        phase=Phase.RETURNING,
        current=state.probation.back,
        previous=state.probation.back_previous,
        tested=state.probation.before.tested,
        failed=failed,
        last=_verdict(state.wanted, Ending.ROLLED_BACK, code, message),
    )


# Probation.


def looked(state: UpdaterState, seen: Evidence, boot_id: str, now: float) -> UpdaterState:
    """Judge the new release by one more look at it. `now` is CLOCK_BOOTTIME of the boot `boot_id`."""
    assert state.phase is Phase.PROBATION and state.probation is not None and state.wanted is not None
    state = replace(state, probation=_noted(state.probation, state.wanted.release, seen, boot_id, now))
    assert state.probation is not None
    bad = _bad(state.probation, seen)
    if bad is not None:
        return _back(state, *bad)
    over = now - state.probation.began_at >= _probation_s(state)
    missing = _missing(state, seen, over)
    if missing is None:
        return _kept(state)
    if over and not missing.holds:
        return _back(state, missing.code, missing.message)
    if missing.holds:
        held = replace(state.probation, held_code=missing.code, held_message=missing.message)
        return replace(state, probation=held)
    return replace(state, probation=replace(state.probation, held_code="", held_message=""))


def wants_test(state: UpdaterState) -> bool:
    """Whether the new release should run its self-test now."""
    probation = state.probation
    return probation is not None and (probation.tested is None or not probation.tested.passed)


def wants_contact(state: UpdaterState, connected: bool, now: float) -> bool:
    """Whether it matters how the control plane answers the previous release: only once half of the time is over."""
    probation = state.probation
    if probation is None or connected or not probation.before.connected:
        return False
    return now - probation.began_at >= _probation_s(state) / 2.0


def _probation_s(state: UpdaterState) -> float:
    assert state.wanted is not None
    return state.wanted.probation_s


def _noted(probation: Probation, release: Release, seen: Evidence, boot_id: str, now: float) -> Probation:
    probation = _since_boot(probation, boot_id, now)
    if seen.answering == release.digest:
        first = seen.incarnation if probation.first < 0 else probation.first
        restarts = max(probation.restarts, seen.incarnation - first)
        probation = replace(probation, first=first, restarts=restarts)
        if not probation.rss_first and seen.connected_s > 0:
            probation = replace(probation, rss_first=seen.rss_bytes)
    if seen.tested is not None:
        counts = 0 if seen.tested.passed or seen.tested.environment else 1
        probation = replace(probation, tested=seen.tested, tests=probation.tests + counts)
    if seen.old_tested is not None:
        probation = replace(probation, before=replace(probation.before, tested=seen.old_tested))
    if seen.contact is not None:
        contacts = probation.contacts + 1 if seen.contact is Contact.ANSWERS else 0
        probation = replace(probation, contacts=contacts)
    return probation


def _since_boot(probation: Probation, boot_id: str, now: float) -> Probation:
    """After a reboot the clock begins anew, and that there was one counts as a try."""
    if boot_id == probation.boot_id:
        return probation
    return replace(probation, boot_id=boot_id, began_at=now, boots=probation.boots + 1)


def _bad(probation: Probation, seen: Evidence) -> tuple[str, str] | None:
    """What shows that the release is bad, without waiting any longer."""
    tries = probation.restarts + probation.boots
    if tries >= RESTARTS_MAX:
        return "crashed", f"the agent was started {tries} more times within the probation"
    if seen.unit is Unit.FAILED and not seen.disk_full:
        return "crashed", "the agent did not stay up: the service manager gave it up"
    if probation.tests >= TESTS_MAX and probation.tested is not None and new_failures(probation):
        names = ", ".join(new_failures(probation))
        return "selftest_failed", f"the self-test failed: {names}: {probation.tested.detail}"[:500]
    return _costly(probation, seen)


def new_failures(probation: Probation) -> tuple[str, ...]:
    """Checks that the new release fails and the old one did not: what fails for both is the host's trouble."""
    if probation.tested is None or probation.tested.passed:
        return ()
    old = probation.before.tested.failed if probation.before.tested is not None else ()
    return tuple(each for each in probation.tested.failed if each not in old or each == "fence")


def _costly(probation: Probation, seen: Evidence) -> tuple[str, str] | None:
    before, new = probation.before, seen.rss_bytes
    if before.rss_bytes and new > before.rss_bytes * MEMORY_FACTOR + MEMORY_MORE_BYTES:
        return "memory", f"the agent takes {new} bytes of memory, the release before took {before.rss_bytes}"
    if probation.rss_first and new > probation.rss_first * GROWTH_FACTOR + GROWTH_MORE_BYTES:
        return "memory", f"the agent's memory grew from {probation.rss_first} to {new} bytes within the probation"
    old, tested = before.tested, probation.tested
    if old is None or tested is None or not tested.passed:
        return None
    if tested.rss_bytes > old.rss_bytes * MEMORY_FACTOR + MEMORY_MORE_BYTES:
        return "memory", f"the self-test took {tested.rss_bytes} bytes of memory, the old one {old.rss_bytes}"
    cpu_max = old.cpu_s * CPU_FACTOR + CPU_MORE_S
    run_max = old.wall_s * RUN_FACTOR + RUN_MORE_S
    if tested.cpu_s > cpu_max or tested.wall_s > run_max:
        said = f"{tested.wall_s:.1f} s ({tested.cpu_s:.1f} s of processor)"
        return "slow", f"the self-test took {said}, of the release before {old.wall_s:.1f} s ({old.cpu_s:.1f} s)"
    return None


@dataclass(frozen=True, slots=True)
class _Missing:
    """What is still needed for "kept". `holds`: it lies outside the release, and no deadline makes it a verdict."""

    code: str
    message: str
    holds: bool = False


def _missing(state: UpdaterState, seen: Evidence, over: bool) -> _Missing | None:
    probation, wanted = state.probation, state.wanted
    assert probation is not None and wanted is not None
    if seen.answering != wanted.release.digest:
        return _silence(seen)
    tested = probation.tested
    if tested is None:
        return _Missing("probation_timeout", "the self-test did not come to an end in time")
    if not tested.passed and tested.environment:
        return _Missing(tested.environment, tested.detail, holds=True)
    if not tested.passed and new_failures(probation):
        return _Missing("selftest_failed", f"the self-test failed: {', '.join(tested.failed)}: {tested.detail}"[:500])
    if probation.before.connected and seen.connected_s < 2.0 * seen.heartbeat_s:
        code, message = HOLDS[seen.contact or Contact.UNKNOWN]
        if seen.connected_s > 0:
            code, message = "no_session", "the session did not last for two heartbeats"
        return _Missing(code, message, holds=probation.contacts < CONTACTS_MIN)
    if seen.up_s < min(STABLE_S, wanted.probation_s / 2.0):
        # Over or not, this comes to an end by itself: it stays up, or RESTARTS_MAX is reached.
        return _Missing("started_lately", "the agent was started again and is not up for long enough yet", holds=over)
    return None


def _silence(seen: Evidence) -> _Missing:
    """Nobody of the new release answers."""
    if seen.disk_full:
        return _Missing("disk_full", "the disk of the agent's state is full", holds=True)
    if seen.unit is Unit.STOPPED:
        return _Missing("agent_stopped", "the agent was stopped on this host", holds=True)
    if seen.unit is Unit.RUNNING:
        return _Missing("hung", "the agent runs and does not answer")
    return _Missing("crashed", "the agent does not run")


def _kept(state: UpdaterState) -> UpdaterState:
    assert state.wanted is not None and state.probation is not None
    verdict = _verdict(state.wanted, Ending.KEPT)
    return replace(state, phase=Phase.IDLE, wanted=None, probation=None, last=verdict, tested=state.probation.tested)


def _verdict(request: Request, ending: Ending, code: str = "", message: str = "") -> Verdict:
    return Verdict(ending, request.request_id, request.rollout_id, request.release.digest, code, message)
