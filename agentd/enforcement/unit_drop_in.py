"""What the host's policy allows, as a drop-in of the systemd unit: no other path is writable for the daemon or a step.

The unit itself makes the whole file system read-only. This is written again whenever the policy changes; a mount
namespace is made when a service starts, so a changed drop-in restarts the daemon. Running steps keep the namespace they
began with and are adopted.
"""

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from agentd.disk import durable
from agentd.policy.host_policy import Policy

UNIT = "haulier-agentd.service"
# Below /run, so that it is derived anew at each boot and nothing is left behind.
PLACE = Path("/run/systemd/system", f"{UNIT}.d", "50-policy.conf")
# The first systemd that starts a unit again whose control group has groups below it.
SUBGROUPS_SINCE = 254
_HOMES = ("/home", "/" + "root", "/run/user")
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - named to be treated as what they are
_NEVER = ("/proc", "/sys", "/dev", "/run/systemd")

Run = Callable[[Sequence[str]], None]


class DropInFailed(Exception):
    """The drop-in cannot be made or installed; says why."""


def render(policy: Policy, systemd: int) -> str:
    """The drop-in's text for a systemd of this version. Raises DropInFailed for a path that no unit can open."""
    lines = [f"# Derived from {policy.origin} by `haulier-agentd drop-in`; changes here are lost.", "[Service]"]
    if systemd >= SUBGROUPS_SINCE:
        # Each step gets a control group of its own, below ours.
        lines += ["Delegate=yes", "DelegateSubgroup=daemon", "ProtectControlGroups=no"]
    programs = [path for rule in policy.programs for path in rule.writes]
    places = sorted({*policy.roots, *(path for rule in policy.datastores for path in rule.paths), *programs})
    if any(_is_below(place, _HOMES) for place in places):
        # Homes stay out of sight but for these.
        lines.append("ProtectHome=tmpfs")
    for place in places:
        if _is_below(place, _NEVER) or place == "/":
            raise DropInFailed(f"policy {policy.path}: {place!r} cannot be opened by a unit: name a place further down")
        hidden = _is_below(place, (*_HOMES, *_TEMPORARY))
        if hidden and ":" in place:
            raise DropInFailed(f"policy {policy.path}: {place!r} holds a colon, which a unit cannot open there")
        # The hyphen: a place that is not there yet is not a reason not to start.
        lines.append(f"{'BindPaths' if hidden else 'ReadWritePaths'}=-{_quoted(place)}")
    return "\n".join(lines) + "\n"


def systemd_version() -> int:
    """The version of this host's systemd; 0 where there is none."""
    try:
        told = subprocess.run(["systemctl", "--version"], capture_output=True, text=True, check=True, timeout=10)
        return int(told.stdout.split()[1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return 0


def apply(text: str, place: Path = PLACE, run: Run | None = None) -> bool:
    """Install the drop-in and tell systemd, if it changed; returns whether it did. Raises DropInFailed."""
    run = run or _run
    try:
        if place.is_file() and place.read_text(encoding="utf-8") == text:
            return False
        place.parent.mkdir(parents=True, exist_ok=True)
        durable.replace(place, text.encode("utf-8"), mode=0o644, synced=False)
    except OSError as error:
        raise DropInFailed(f"{place} cannot be written: {error.strerror}: run this as root") from error
    run(["systemctl", "daemon-reload"])
    run(["systemctl", "try-restart", "--no-block", UNIT])
    return True


def _is_below(path: str, places: Sequence[str]) -> bool:
    return any(PurePosixPath(os.path.normpath(path)).is_relative_to(place) for place in places)


def _quoted(path: str) -> str:
    """As systemd.syntax(7) reads it: quotes, backslashes and its % specifiers would mean something."""
    if any(ord(letter) < 32 for letter in path):
        raise DropInFailed(f"root {path!r} holds a control character")
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _run(command: Sequence[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    except FileNotFoundError as error:
        raise DropInFailed(f"{command[0]} is not on this host: the drop-in is for systemd") from error
    except subprocess.SubprocessError as error:
        said = getattr(error, "stderr", "") or str(error)
        raise DropInFailed(f"{' '.join(command)} failed: {said.strip()}") from error
