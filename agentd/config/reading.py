"""The daemon's configuration: one frozen object, from the host's file and what the release brings for every host.

Each key that the host's file sets counts; one that it leaves out is taken from the release. Unknown keys are errors.

policy = "/etc/haulier/policy.toml"   # the host's own policy; required
slots = 4                             # steps that may run at once; default: one per core
log_level = "info"
environment = ["SSL_CERT_FILE"]       # names that steps see besides PATH, HOME and the like
drain_on_stop_s = 10                  # how long a stop waits for short steps
stop_grace_s = 5                      # between asking a step to stop and killing it
runner_idle_s = 60                    # the warm runner ends after so long without work
proxy = "http://proxy.example:3128"   # the web proxy on the way to the control plane; default: that of join, or none

[labels]
zone = "b"

[probe]
address = "127.0.0.1:9464"            # gRPC health service, plain: loopback only; default: none

[upgrade]
mirrors = ["https://mirror.example/haulier"]  # where artefacts lie too, or directories; default: none
bytes_per_s_max = 4000000             # most that fetching a release may take of the network; default: no limit
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from agentd.installation.release_tree import CONFIGURATION
from agentd.link import proxies
from agentd.link.proxies import Proxy

SLOTS_MAX = 1024
_LEVELS = ("debug", "info", "warning", "error")


class ConfigBroken(Exception):
    """The configuration cannot be used; says where and how to mend it."""


@dataclass(frozen=True, slots=True)
class Config:
    """What the host's owner chose. Durations are seconds."""

    policy: Path
    slots: int
    labels: tuple[tuple[str, str], ...] = ()
    log_level: str = "info"
    environment: tuple[str, ...] = ()
    drain_on_stop_s: float = 10.0
    stop_grace_s: float = 5.0
    runner_idle_s: float = 60.0
    probe_address: str = ""
    probe_http_address: str = ""
    mirrors: tuple[str, ...] = ()
    fetch_bytes_per_s_max: float = 0.0
    proxy: Proxy | None = None
    # What a release brought of this, and in which file: keys such as "slots" and "labels.zone".
    release_file: Path | None = None
    release_keys: tuple[str, ...] = ()

    def origin(self, own: Path) -> str:
        """Which file says what, where the host's own file is `own`."""
        if self.release_file is None:
            return str(own)
        return f"{own}, and from {self.release_file}: {', '.join(self.release_keys) or 'nothing'}"


_KEYS = (
    "policy",
    "slots",
    "labels",
    "log_level",
    "environment",
    "drain_on_stop_s",
    "stop_grace_s",
    "runner_idle_s",
    "proxy",
    "probe",
    "upgrade",
)
# What a release may not bring: which file is this host's policy, what of its environment steps see, and which way
# leads from it to the control plane.
HOSTS_OWN = ("policy", "environment", "proxy")


def load(path: Path, release: Path | None) -> Config:
    """Read the configuration at `path`, filled up from the release whose tree is `release`; raises ConfigBroken."""
    told = _read(path)
    with _naming(path):
        own = _config(told, path.parent)
    if release is None or not os.path.lexists(release / CONFIGURATION):
        return own
    brought = _read(release / CONFIGURATION)
    with _naming(release / CONFIGURATION):
        check_brought(brought)
    merged, taken = _merged(told, brought)
    return replace(
        _config(merged, path.parent), release_file=release / CONFIGURATION, release_keys=tuple(sorted(taken))
    )


def check_brought(told: Mapping[str, Any]) -> None:
    """Raise ConfigBroken unless a release may bring this configuration."""
    for name in HOSTS_OWN:
        if name in told:
            raise ConfigBroken(f"{name} is each host's own and no release's: say it in the host's own agent.toml")
    _config({**told, "policy": "policy.toml"}, Path())


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigBroken(
            f"configuration {path} cannot be read: {error.strerror}; name another with --config"
        ) from error
    except ValueError as error:
        raise ConfigBroken(f"configuration {path} is not TOML: {error}") from error


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except ConfigBroken as error:
        raise ConfigBroken(f"configuration {path}: {error}") from error


def _merged(own: Mapping[str, Any], brought: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The host's keys, and those of a release that it leaves out; tables key by key. Also the names of the latter."""
    merged, taken = dict(own), []
    for name, value in brought.items():
        if isinstance(value, dict):
            merged[name], below = _merged(own.get(name, {}), value)
            taken += [f"{name}.{each}" for each in below]
        elif name not in own:
            merged[name] = value
            taken.append(name)
    return merged, taken


def _config(told: Mapping[str, Any], directory: Path) -> Config:
    _known(told, _KEYS, "")
    probe = _table(told, "probe")
    _known(probe, ("address", "http_address"), "probe.")
    upgrade = _table(told, "upgrade")
    _known(upgrade, ("mirrors", "bytes_per_s_max"), "upgrade.")
    labels = _table(told, "labels")
    if not all(isinstance(value, str) for value in labels.values()):
        raise ConfigBroken("labels must be strings")
    policy = _text(told, "policy", "")
    if not policy:
        raise ConfigBroken("policy is missing: name the host's policy file, which says what steps may do here")
    return Config(
        policy=directory / policy,
        slots=int(_number(told, "slots", os.cpu_count() or 1, 1, SLOTS_MAX, whole=True)),
        labels=tuple(sorted((str(name), str(value)) for name, value in labels.items())),
        log_level=_choice(told, "log_level", _LEVELS, "info"),
        environment=_names(told, "environment"),
        drain_on_stop_s=_number(told, "drain_on_stop_s", 10.0, 0.0, 3600.0),
        stop_grace_s=_number(told, "stop_grace_s", 5.0, 0.0, 300.0),
        runner_idle_s=_number(told, "runner_idle_s", 60.0, 0.0, 86400.0),
        probe_address=_probe_address(_text(probe, "address", ""), "address"),
        probe_http_address=_probe_address(_text(probe, "http_address", ""), "http_address"),
        mirrors=_mirrors(upgrade),
        proxy=_proxy(_text(told, "proxy", "")),
        fetch_bytes_per_s_max=_number(upgrade, "bytes_per_s_max", 0.0, 0.0, 1e12),
    )


def _known(told: Mapping[str, Any], known: tuple[str, ...], prefix: str) -> None:
    for name in told:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"; did you mean {prefix}{near[0]}?" if near else f"; known are {', '.join(known)}"
            raise ConfigBroken(f"unknown key {prefix}{name}{hint}")


def _table(told: Mapping[str, Any], name: str) -> dict[str, Any]:
    table = told.get(name, {})
    if not isinstance(table, dict):
        raise ConfigBroken(f"{name} must be a table: [{name}]")
    return table


def _text(told: Mapping[str, Any], name: str, default: str) -> str:
    value = told.get(name, default)
    if not isinstance(value, str):
        raise ConfigBroken(f"{name} must be a string")
    return value


def _choice(told: Mapping[str, Any], name: str, choices: tuple[str, ...], default: str) -> str:
    value = _text(told, name, default)
    if value not in choices:
        raise ConfigBroken(f"{name} must be one of {', '.join(choices)}, not {value!r}")
    return value


def _names(told: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = told.get(name, [])
    if not isinstance(value, list) or not all(isinstance(each, str) and each.isidentifier() for each in value):
        raise ConfigBroken(f"{name} must be a list of names of environment variables")
    return tuple(value)


def _mirrors(upgrade: Mapping[str, Any]) -> tuple[str, ...]:
    told = upgrade.get("mirrors", [])
    if not isinstance(told, list) or not all(
        isinstance(each, str) and each.startswith(("https://", "http://", "/")) for each in told
    ):
        raise ConfigBroken("upgrade.mirrors must be a list of http(s) addresses and absolute directories")
    return tuple(told)


def _number(
    told: Mapping[str, Any], name: str, default: float, least: float, most: float, whole: bool = False
) -> float:
    value = told.get(name, default)
    kinds = (int,) if whole else (int, float)
    if not isinstance(value, kinds) or isinstance(value, bool) or not least <= value <= most:
        sort = "whole number" if whole else "number"
        raise ConfigBroken(f"{name} must be a {sort} from {least:g} to {most:g}")
    return float(value)


def _proxy(text: str) -> Proxy | None:
    try:
        return proxies.parse(text)
    except proxies.BadProxy as error:
        raise ConfigBroken(f"proxy: {error}") from error


def _probe_address(address: str, key: str) -> str:
    host, _, port = address.rpartition(":")
    if address and (host not in ("127.0.0.1", "localhost", "[::1]") or not port.isdigit()):
        raise ConfigBroken(f"probe.{key} must be host:port on loopback, for example 127.0.0.1:9464: it is plain")
    return address
