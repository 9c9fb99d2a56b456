"""The Fleet kind: which release which hosts are to run, how healthy they are to be, and how they get there."""

from __future__ import annotations

import re
import zoneinfo
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from controlplane.core.rollouts.drafting import parse_version
from controlplane.core.rollouts.model import RolloutPolicy
from controlplane.core.rollouts.windows import Window
from controlplane.manifests.kinds.model import Duration, Labels, Line, Model, duration_s, refusal
from controlplane.manifests.text.findings import suggestion

_TIME_FORM = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_SHARE_FORM = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,3})?)%")
_SIZE_FORM = re.compile(r"([0-9]{1,9})(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)")
_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def _version(value: str) -> str:
    if parse_version(value) is None:
        raise refusal("this is not the version of a release", "write MAJOR.MINOR.PATCH, for example 0.2.0")
    return value


def _time(value: Any) -> Any:
    if isinstance(value, str) and _TIME_FORM.fullmatch(value) is None:
        raise refusal("this is not a time of day", 'write hours and minutes, for example "22:30"')
    return value


def _share(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise refusal("a share needs its percent sign", f'for example "{value:g}%"')
    if isinstance(value, str):
        match = _SHARE_FORM.fullmatch(value)
        if match is None or not 0 < float(match[1]) <= 100:
            raise refusal("this is not a share above 0% and up to 100%", 'for example "5%"')
    return value


def _size(value: Any) -> Any:
    if isinstance(value, str) and _SIZE_FORM.fullmatch(value) is None:
        raise refusal("this is not a size", f'write a whole number with a unit ({", ".join(_UNITS)}), such as "512MiB"')
    return value


def _zone(value: str) -> str:
    known = zoneinfo.available_timezones()
    # Without a data base of zones on this machine every name is taken: the control plane's is asked then.
    if known and value not in known:
        raise refusal("this time zone is not known", suggestion(value, known) or "write an IANA name, as Europe/Berlin")
    return value


def share_of(text: str) -> float:
    """Read a share.

    >>> share_of("2.5%")
    0.025
    """
    return float(text.removesuffix("%")) / 100


def bytes_of(text: str | None) -> int:
    """Read a size; unset is 0.

    >>> bytes_of("2KiB")
    2048
    """
    match = _SIZE_FORM.fullmatch(text or "0B")
    assert match is not None, "the manifest was checked"
    return int(match[1]) * _UNITS[match[2]]


Version = Annotated[Line, AfterValidator(_version)]
TimeOfDay = Annotated[str, BeforeValidator(_time)]
Share = Annotated[str, BeforeValidator(_share)]
Size = Annotated[str, BeforeValidator(_size)]
Factor = Annotated[float, Field(gt=1, le=100)]


class HostsSpec(Model):
    """Which agents belong to a fleet."""

    labels: Labels = Field(default={}, description="Agents that carry all of these labels. Unset means every agent.")


class ResourcesSpec(Model):
    """What an agent may take of its host."""

    memory_max: Size | None = Field(
        default=None, description="Memory of an agent and its children; one that holds more is unhealthy."
    )


class HealthSpec(Model):
    """When the fleet counts as healthy."""

    heard_within: Duration = Field(default="1m", description="An agent not heard for longer is not ready.")
    ready_min: Share = Field(default="90%", description="Share of the fleet's agents that must be ready.")


class WindowSpec(Model):
    """One maintenance window of every week."""

    days: Annotated[
        tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...], Field(min_length=1, max_length=7)
    ] = Field(default=("mon", "tue", "wed", "thu", "fri", "sat", "sun"), description="Days on which it begins.")
    from_: Annotated[TimeOfDay, Field(alias="from")] = Field(alias="from", description="When it begins, HH:MM.")
    to: TimeOfDay = Field(description="When it ends, HH:MM; before `from` means on the next day.")

    @model_validator(mode="after")
    def _lasts(self) -> WindowSpec:
        if self.from_ == self.to:
            raise refusal(
                "this window begins and ends at the same time", "remove it: without windows it is always open"
            )
        return self


class RolloutSpec(Model):
    """How hosts are brought to the release."""

    start: Literal["auto", "manual"] = Field(
        default="manual", description="auto: a new desired release is rolled out at once; manual: a person starts it."
    )
    canaries_per_group: Annotated[int, Field(strict=True, ge=1, le=100)] = Field(
        default=1, description="Canaries for each operating system, architecture and kind of datastore."
    )
    waves: Annotated[tuple[Share, ...], Field(min_length=1, max_length=50)] = Field(
        default=("5%", "25%", "100%"),
        description="Share of all hosts reached after each wave that follows the canaries.",
    )
    in_flight_max: Annotated[int, Field(strict=True, ge=1, le=100_000)] = Field(
        default=50, description="Most hosts that are on their way at once."
    )
    soak: Duration = Field(default="10m", description="How long a wave must do well before the next one begins.")
    probation: Duration = Field(
        default="10m", description="Longest time on a host from the start of the new agent to kept."
    )
    missing_after: Duration = Field(default="10m", description="A host silent for so long after it was asked failed.")
    held_max: Duration = Field(default="1h", description="A host held for longer is set aside; a canary halts all.")
    upgrade_max: Duration = Field(default="1h", description="Longest time on a host from being asked to the switch.")
    failures_max: Annotated[int, Field(strict=True, ge=1, le=100_000)] = Field(
        default=2, description="So many failed hosts halt the rollout."
    )
    failed_max: Share = Field(default="2%", description="A larger share of the hosts asked halts it too.")
    error_factor: Factor = Field(
        default=3.0, description="Error rate of steps, in multiples of the same hosts' past, that halts it."
    )
    slow_factor: Factor = Field(
        default=2.0, description="Duration of steps, in multiples of the same hosts' past, that halts it."
    )
    on_halt: Literal["rollBack", "stay"] = Field(
        default="rollBack", description="What happens to upgraded hosts when it halts because of the release."
    )
    bytes_per_second_max: Size | None = Field(default=None, description="Most that one host fetches in a second.")
    windows: Annotated[tuple[WindowSpec, ...], Field(max_length=50)] = Field(
        default=(), description="When hosts may be asked. Unset means always."
    )
    time_zone: Annotated[Line, AfterValidator(_zone)] | None = Field(
        default=None, description="Clock of the windows. Unset means each host's own."
    )

    @model_validator(mode="after")
    def _rises(self) -> RolloutSpec:
        shares = [share_of(each) for each in self.waves]
        if shares != sorted(set(shares)):
            raise refusal("each wave must reach more hosts than the one before", 'for example ["5%", "25%", "100%"]')
        if shares[-1] != 1.0:
            raise refusal("the last wave must reach every host", 'end it with "100%"')
        return self


class FleetSpec(Model):
    """Hosts, their release, and how they get there."""

    hosts: HostsSpec = Field(default=HostsSpec(), description="Which agents.")
    release: Version | None = Field(default=None, description="Release that they are to run. Unset: left as they are.")
    replicas: Annotated[int, Field(strict=True, ge=0, le=1_000_000)] | None = Field(
        default=None, description="How many agents there are to be; fewer is not healthy. Unset: not looked at."
    )
    resources: ResourcesSpec = Field(default=ResourcesSpec(), description="What an agent may take of its host.")
    health: HealthSpec = Field(default=HealthSpec(), description="When the fleet counts as healthy.")
    rollout: RolloutSpec = Field(default=RolloutSpec(), description="How hosts are brought to the release.")


def policy_of(spec: FleetSpec) -> RolloutPolicy:
    """Turn a Fleet into the core's policy of its rollouts."""
    rollout = spec.rollout
    return RolloutPolicy(
        waves=tuple(share_of(each) for each in rollout.waves),
        canaries_per_group=rollout.canaries_per_group,
        in_flight_max=rollout.in_flight_max,
        soak_s=duration_s(rollout.soak),
        probation_s=duration_s(rollout.probation),
        missing_after_s=duration_s(rollout.missing_after),
        held_max_s=duration_s(rollout.held_max),
        upgrade_max_s=duration_s(rollout.upgrade_max),
        failures_max=rollout.failures_max,
        failed_share_max=share_of(rollout.failed_max),
        error_factor=rollout.error_factor,
        slow_factor=rollout.slow_factor,
        memory_bytes_max=bytes_of(spec.resources.memory_max),
        bytes_per_s_max=bytes_of(rollout.bytes_per_second_max),
        windows=tuple(Window(each.days, _minute(each.from_), _minute(each.to)) for each in rollout.windows),
        time_zone=rollout.time_zone or "",
        return_on_halt=rollout.on_halt == "rollBack",
    )


def _minute(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)
