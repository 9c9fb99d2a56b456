"""Where everything lies on this host. One optional TOML file, one frozen object. Unknown keys are errors.

home = "/opt/haulier"                       # versions/, current, previous, updater
state = "/var/lib/haulier-updater"          # what the updater knows: root's alone
root = "/usr/lib/haulier-agentd/root.json"  # where trust begins, unless there is some already
agent_state = "/var/lib/haulier-agentd"
agent_config = "/etc/haulier/agent.toml"
service = "haulier-agentd.service"          # restarted by systemctl …
program = "/usr/local/sbin/agent-service"   # … or, where there is no systemd, by this program
disk_free_min_bytes = 268435456             # left over after a release is unpacked
self_test_max_s = 180
black_boxes_max = 5                         # of failed upgrades
"""

import tomllib
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

CONFIG = Path("/etc/haulier/updater.toml")


class SettingsBroken(Exception):
    """The configuration cannot be used; says where and how to mend it."""


@dataclass(frozen=True, slots=True)
class UpdaterSettings:
    """Paths, and how the agent is restarted. An empty `program` means systemd."""

    home: Path = Path("/opt/haulier")
    state: Path = Path("/var/lib/haulier-updater")
    root: Path = Path("/usr/lib/haulier-agentd/root.json")
    agent_state: Path = Path("/var/lib/haulier-agentd")
    agent_config: Path = Path("/etc/haulier/agent.toml")
    service: str = "haulier-agentd.service"
    program: str = ""
    disk_free_min_bytes: int = 256 * 1024 * 1024
    self_test_max_s: float = 180.0
    black_boxes_max: int = 5

    @property
    def versions(self) -> Path:
        """Where releases lie, each under its digest."""
        return self.home / "versions"

    def tree(self, digest: str) -> Path:
        """Where a release lies."""
        return self.versions / digest

    @property
    def agent_upgrade(self) -> Path:
        """Where the agent and the updater leave things for each other."""
        return self.agent_state / "upgrade"


def load(prefix: Path) -> UpdaterSettings:
    """The settings of a host whose files lie below `prefix` ("/" for this one); raises SettingsBroken."""
    path = _below(prefix, CONFIG)
    told: dict[str, Any] = {}
    if path.exists():
        try:
            told = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SettingsBroken(f"{path} cannot be read: {error}") from error
    defaults: dict[str, Any] = {each.name: each.default for each in fields(UpdaterSettings)}
    for name, value in told.items():
        if name not in defaults:
            near = get_close_matches(name, defaults, 1)
            raise SettingsBroken(f"{path}: unknown key {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        defaults[name] = _value(path, name, value, defaults[name])
    found: dict[str, Any] = {n: _below(prefix, v) if isinstance(v, Path) else v for n, v in defaults.items()}
    return UpdaterSettings(**found)


def _value(path: Path, name: str, value: Any, default: Any) -> Any:
    """A value of the same sort as the default, or SettingsBroken."""
    if isinstance(default, str | Path):
        good = isinstance(value, str)
    else:
        kinds = (int, float) if isinstance(default, float) else (int,)
        good = isinstance(value, kinds) and not isinstance(value, bool) and value >= 0
    if not good:
        raise SettingsBroken(f"{path}: {name} must be like {str(default)!r}")
    if not isinstance(default, Path):
        return value
    if not value.startswith("/"):
        raise SettingsBroken(f"{path}: {name} must be an absolute path")
    return Path(value)


def _below(prefix: Path, path: Path) -> Path:
    return path if prefix == Path("/") or path.is_relative_to(prefix) else prefix / path.relative_to("/")
