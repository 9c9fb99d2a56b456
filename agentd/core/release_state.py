"""What a host remembers of its releases, and the text it is kept as.

Readers ignore unknown keys and fill missing ones with defaults, so that a newer and an older updater read each
other's state.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Phase(StrEnum):
    """Where an upgrade is. Whatever happens between two phases, the links say `current` and `previous` of the state."""

    IDLE = "idle"
    STAGED = "staged"
    SWITCHING = "switching"
    PROBATION = "probation"
    RETURNING = "returning"


class Ending(StrEnum):
    """How a request for a release ended, or what it waits for."""

    KEPT = "kept"
    ROLLED_BACK = "rolled_back"
    HELD = "held"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Release:
    """One build. `digest` is the SHA-256 of its artefact, hex."""

    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class Request:
    """A wish for a release. `request_id` is new with every wish; `probation_s` is from the switch to "kept"."""

    request_id: str
    rollout_id: str
    release: Release
    target_path: str
    probation_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a request ended: a short stable code, and the same for a person."""

    ending: Ending
    request_id: str = ""
    rollout_id: str = ""
    digest: str = ""
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What a release's self-test found. `failed` are names of checks; `environment` is the code of a cause outside the
    release, such as "disk_full"."""

    passed: bool
    failed: tuple[str, ...] = ()
    environment: str = ""
    detail: str = ""
    cpu_s: float = 0.0
    wall_s: float = 0.0
    rss_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Before:
    """The old release just before the switch: what the new one is measured against."""

    connected: bool = False
    rss_bytes: int = 0
    tested: SelfTest | None = None


@dataclass(frozen=True, slots=True)
class Probation:
    """A switch that is under way or not yet kept."""

    #: What `current` goes back to.
    back: Release
    #: What `previous` goes back to.
    back_previous: Release | None
    #: What the old release was like.
    before: Before
    #: The boot that `began_at` is of.
    boot_id: str
    #: CLOCK_BOOTTIME when the agent was started from the new release, and before that when the switch began.
    began_at: float
    #: How often the host was booted since the switch.
    boots: int = 0
    #: The first incarnation that answered; -1 while none did.
    first: int = -1
    #: How often the agent was started again since then.
    restarts: int = 0
    #: Its memory when it was first seen up for long enough; 0 before.
    rss_first: int = 0
    #: How many runs of the self-test count.
    tests: int = 0
    #: What the self-test found; None before it ended.
    tested: SelfTest | None = None
    #: How many looks in a row found the agent in contact with its control plane.
    contacts: int = 0
    #: What a verdict waits for, as a code; empty while nothing is missing.
    held_code: str = ""
    #: The same for a person.
    held_message: str = ""


@dataclass(frozen=True, slots=True)
class UpdaterState:
    """Everything that the updater knows."""

    #: What the link `current` should say; None where no release was installed.
    current: Release | None = None
    #: What the link `previous` should say: where a probation that fails goes back to.
    previous: Release | None = None
    phase: Phase = Phase.IDLE
    #: What is being upgraded to; None while IDLE.
    wanted: Request | None = None
    #: The switch that is under way or not kept yet; only in SWITCHING, PROBATION and RETURNING.
    probation: Probation | None = None
    #: How the last request ended, or what the present one waits for.
    last: Verdict | None = None
    #: Digests of releases that failed here, which are not tried again.
    failed: tuple[str, ...] = field(default=())
    #: What the self-test of `current` took when it was kept.
    tested: SelfTest | None = None
    #: The only version that the host's owner allows; empty for any.
    pin: str = ""
    #: Whether the host's owner wants no upgrades at all.
    opted_out: bool = False


# Longest and shortest probation that a host agrees to, and the one where none is named.
PROBATION_MIN_S, PROBATION_S, PROBATION_MAX_S = 1.0, 600.0, 86_400.0


class HostState(StrEnum):
    """Where a host is with its release, as the contract says it. `NONE`: it was not installed as a release."""

    NONE = "none"
    KEPT = "kept"
    FETCHING = "fetching"
    STAGED = "staged"
    PROBATION = "probation"
    ROLLED_BACK = "rolled_back"
    HELD = "held"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class HostRelease:
    """What a host runs and how the last upgrade went."""

    version: str = ""
    digest: str = ""
    previous_digest: str = ""
    state: HostState = HostState.NONE
    request_id: str = ""
    rollout_id: str = ""
    wanted_digest: str = ""
    cause_code: str = ""
    cause: str = ""
    failed_digests: tuple[str, ...] = field(default=())
    pin: str = ""
    opted_out: bool = False
    fetched_bytes: int = 0
    black_box_stored: bool = False


@dataclass(frozen=True, slots=True)
class Wish:
    """A release that a rollout wants here. `bytes_per_s_max` 0 means no limit."""

    rollout_id: str
    release: Release
    target_path: str
    probation_s: float = PROBATION_S
    bytes_per_s_max: int = 0

    @property
    def request_id(self) -> str:
        """The same for the same wish, however often it is said."""
        return f"{self.rollout_id}:{self.release.digest}"

    @property
    def digest(self) -> str:
        """SHA-256 of the wanted artefact, hex."""
        return self.release.digest

    def request(self) -> Request:
        """The wish as the updater is told it."""
        probation_s = min(max(self.probation_s or PROBATION_S, PROBATION_MIN_S), PROBATION_MAX_S)
        return Request(self.request_id, self.rollout_id, self.release, self.target_path, probation_s)


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What does not change on a host while an agent runs. Empty and 0 where the host does not tell."""

    os: str = ""
    os_version: str = ""
    architecture: str = ""
    cores: int = 0
    memory_bytes: int = 0
    time_zone: str = ""


class UndecodableState(Exception):
    """Stored text is not what an updater writes; says which part."""


def state_to_text(state: UpdaterState) -> str:
    """The state as JSON for people and programs."""
    return json.dumps({"format": 1, **asdict(state)}, indent=1, sort_keys=True) + "\n"


def state_from_text(text: str) -> UpdaterState:
    """Inverse of `state_to_text`; raises UndecodableState."""
    try:
        told: dict[str, Any] = json.loads(text)
        tested = told.get("tested")
        return UpdaterState(
            current=_release(told.get("current")),
            previous=_release(told.get("previous")),
            phase=Phase(told.get("phase", "idle")),
            wanted=_request(told.get("wanted")),
            probation=_probation(told.get("probation")),
            last=_verdict(told.get("last")),
            failed=tuple(str(each) for each in told.get("failed", ())),
            tested=None if tested is None else _tested(tested),
            pin=str(told.get("pin", "")),
            opted_out=bool(told.get("opted_out", False)),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UndecodableState(f"not the state of an updater: {error!r}") from error


def request_to_text(request: Request) -> str:
    """A request as the agent leaves it for the updater."""
    return json.dumps({"format": 1, **asdict(request)}) + "\n"


def request_from_text(text: str) -> Request:
    """Inverse of `request_to_text`; raises UndecodableState."""
    try:
        found = _request(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UndecodableState(f"not a request: {error!r}") from error
    if found is None:
        raise UndecodableState("not a request: it is empty")
    return found


def self_test_from_text(text: str) -> SelfTest:
    """The report that a self-test left; raises UndecodableState."""
    try:
        return _tested(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UndecodableState(f"not a report of a self-test: {error!r}") from error


def _release(told: Mapping[str, Any] | None) -> Release | None:
    return None if told is None else Release(str(told["version"]), str(told["digest"]))


def _sure(release: Release | None) -> Release:
    if release is None:
        raise KeyError("release")
    return release


def _request(told: Mapping[str, Any] | None) -> Request | None:
    if told is None:
        return None
    return Request(
        request_id=str(told["request_id"]),
        rollout_id=str(told.get("rollout_id", "")),
        release=_sure(_release(told["release"])),
        target_path=str(told["target_path"]),
        probation_s=float(told["probation_s"]),
    )


def _verdict(told: Mapping[str, Any] | None) -> Verdict | None:
    if told is None:
        return None
    texts = {name: str(told.get(name, "")) for name in ("request_id", "rollout_id", "digest", "code", "message")}
    return Verdict(Ending(told["ending"]), **texts)


def _tested(told: Mapping[str, Any]) -> SelfTest:
    return SelfTest(
        passed=bool(told["passed"]),
        failed=tuple(str(each) for each in told.get("failed", ())),
        environment=str(told.get("environment", "")),
        detail=str(told.get("detail", "")),
        cpu_s=float(told.get("cpu_s", 0.0)),
        wall_s=float(told.get("wall_s", 0.0)),
        rss_bytes=int(told.get("rss_bytes", 0)),
    )


def _before(told: Mapping[str, Any]) -> Before:
    tested = told.get("tested")
    return Before(
        bool(told.get("connected", False)),
        int(told.get("rss_bytes", 0)),
        None if tested is None else _tested(tested),
    )


def _probation(told: Mapping[str, Any] | None) -> Probation | None:
    if told is None:
        return None
    tested = told.get("tested")
    return Probation(
        back=_sure(_release(told["back"])),
        back_previous=_release(told.get("back_previous")),
        before=_before(told.get("before", {})),
        boot_id=str(told["boot_id"]),
        began_at=float(told["began_at"]),
        boots=int(told.get("boots", 0)),
        first=int(told.get("first", -1)),
        restarts=int(told.get("restarts", 0)),
        rss_first=int(told.get("rss_first", 0)),
        tests=int(told.get("tests", 0)),
        tested=None if tested is None else _tested(tested),
        contacts=int(told.get("contacts", 0)),
        held_code=str(told.get("held_code", "")),
        held_message=str(told.get("held_message", "")),
    )


def wish_to_text(wish: Wish) -> str:
    """A wish as a daemon leaves it for the next one."""
    return json.dumps({"format": 1, **asdict(wish)}) + "\n"


def wish_from_text(text: str) -> Wish:
    """Inverse of `wish_to_text`; raises UndecodableState."""
    try:
        told: dict[str, Any] = json.loads(text)
        return Wish(
            str(told["rollout_id"]),
            _sure(_release(told["release"])),
            str(told["target_path"]),
            float(told.get("probation_s", PROBATION_S)),
            int(told.get("bytes_per_s_max", 0)),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UndecodableState(f"not a wish: {error!r}") from error


def host_release_from_text(text: str) -> HostRelease:
    """What the updater tells the agent; raises UndecodableState."""
    try:
        told: dict[str, Any] = json.loads(text)
        names = ("version", "digest", "previous_digest", "request_id", "rollout_id", "wanted_digest", "cause_code")
        texts: dict[str, Any] = {name: str(told.get(name, "")) for name in (*names, "cause", "pin")}
        return HostRelease(
            **texts,
            state=HostState(told["state"]),
            failed_digests=tuple(str(each) for each in told.get("failed_digests", ())),
            opted_out=bool(told.get("opted_out", False)),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UndecodableState(f"not a status of an updater: {error!r}") from error
