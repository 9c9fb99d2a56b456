"""One frozen object from a TOML file and the environment; an unknown key is an error that names the near miss."""

import difflib
import os
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

ENVIRONMENT_PREFIX = "HAULIER_CONTROLPLANE_"


class ConfigError(Exception):
    """A configuration that cannot be used; the message says which key, where, and how to mend it."""


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of the control plane. Durations are seconds, addresses host:port."""

    state_dir: Path = Path("/var/lib/haulier-controlplane")
    agents_listen: str = "0.0.0.0:7421"  # agents come from other hosts, over mutual TLS
    public_listen: str = "0.0.0.0:7422"  # operators and newcomers too, over TLS
    probes_listen: str = "127.0.0.1:7423"
    probes_http_listen: str = ""  # /livez, /readyz and /metrics, plain; unset is none
    advertised_host: str = "localhost"
    extra_names: tuple[str, ...] = ()
    lease_ttl_s: float = 60.0
    heartbeat_s: float = 15.0
    heartbeat_grace_s: float = 10.0
    lost_after_s: float = 60.0
    lock_delay_s: float = 60.0
    disconnected_max_s: float = 900.0
    stop_grace_s: float = 5.0
    migrations_max: int | None = None  # migrations under way at once, in all; unset is no limit
    release_bytes_per_s_max: float = 64e6  # artefacts of releases, to all hosts together
    release_bytes_per_s_agent_max: float = 16e6  # and to each
    # Agents renew when a third of it is left, so a control plane may be away for that long and no host falls out.
    agent_certificate_ttl_s: float = 86_400.0
    two_persons: tuple[str, ...] = ()  # methods that take the approval of a second person
    approval_ttl_s: float = 3600.0
    backup_dir: Path | None = None  # where backups are made by themselves; unset makes none
    backup_every_s: float = 86_400.0
    backups_kept: int = 7
    history_kept_s: float = 31_536_000.0
    staged_kept_s: float = 86_400.0  # staged parts, once their migration has ended
    former_kept_s: float = 604_800.0  # what rollback puts back, once its migration has ended
    archive_events_min: int = 1000


_RENAMED = {"door_listen": "public_listen"}


def load(path: Path | None, environment: dict[str, str] | None = None) -> Config:
    """Read a configuration file, then the environment over it. Raises ``ConfigError``."""
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}; check --config") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: is not TOML: {error}") from None
    where = dict.fromkeys(values, str(path))
    for name, text in (os.environ if environment is None else environment).items():
        if name.startswith(ENVIRONMENT_PREFIX):
            key = name.removeprefix(ENVIRONMENT_PREFIX).lower()
            values[key], where[key] = text, f"environment variable {name}"
    config = Config()
    for key, value in values.items():
        config = replace(config, **{key: _read(key, value, where[key])})
    if config.heartbeat_s * 2 > config.lease_ttl_s:
        raise ConfigError(
            f"heartbeat_s ({config.heartbeat_s:g}) must be at most half of lease_ttl_s ({config.lease_ttl_s:g}), "
            "or one lost heartbeat loses every lease"
        )
    return config


def _read(key: str, value: Any, where: str) -> Any:
    known = {field.name: field.type for field in fields(Config)}
    if new := _RENAMED.get(key):
        raise ConfigError(f"{where}: unknown key {key}; it is called {new} now")
    if key not in known:
        near = difflib.get_close_matches(key, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(sorted(known))}"
        raise ConfigError(f"{where}: unknown key {key}; {hint}")
    kind = str(known[key])
    if "Path" in kind:
        return Path(value)
    if "tuple" in kind:
        items = value.split(",") if isinstance(value, str) else [str(item) for item in value]
        return tuple(item.strip("[]") if key == "extra_names" else item for item in items)
    if "float" in kind:
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = -1.0
        if not 0 < number < float("inf"):
            unit = "of seconds " if key.endswith("_s") else ""
            raise ConfigError(f"{where}: {key} must be a number {unit}above 0, not {value!r}")
        return number
    if "int" in kind:
        text = str(value)
        if isinstance(value, bool) or not text.isdecimal() or int(text) < 1:
            raise ConfigError(f"{where}: {key} must be a whole number above 0, not {value!r}")
        return int(text)
    if not isinstance(value, str):
        raise ConfigError(f"{where}: {key} must be text, not {value!r}")
    return _address(key, value, where)


def _address(key: str, text: str, where: str) -> str:
    """Return a listening address as it is, and a host's name or address without brackets."""
    if key == "advertised_host":
        return text.strip("[]")
    host, _, port = text.rpartition(":")
    if key.endswith("_listen") and text and (not port.isdecimal() or (":" in host and not host.startswith("["))):
        hint = "an IPv6 address stands in brackets: [::1]:7421" if ":" in host else "for example 0.0.0.0:7421"
        raise ConfigError(f"{where}: {key} must be host:port, not {text!r}; {hint}")
    return text


def host_port(host: str, port: int | str) -> str:
    """Write an address; an IPv6 address stands in brackets.

    >>> host_port("::1", 7421), host_port("cp.example", 7421)
    ('[::1]:7421', 'cp.example:7421')
    """
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def reached_at(listen: str) -> str:
    """Return the host at which a process of this host reaches a listening address.

    >>> reached_at("0.0.0.0:80"), reached_at("[::]:80"), reached_at("[::1]:80"), reached_at("")
    ('127.0.0.1', '::1', '::1', '127.0.0.1')
    """
    host = listen.rpartition(":")[0].strip("[]")
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - nothing is bound here
