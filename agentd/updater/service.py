"""The agent as the host's service manager knows it: started, stopped, and how it does."""

import subprocess
from collections.abc import Sequence
from typing import Protocol

from agentd.core.updater_rules import Unit
from agentd.updater.settings import UpdaterSettings

_WAIT_S = 120.0
_STATES = {"active": Unit.RUNNING, "activating": Unit.RUNNING, "reloading": Unit.RUNNING, "failed": Unit.FAILED}


class Service(Protocol):
    """What the updater asks of a service manager. No call fails: how the agent does afterwards is what counts."""

    def restart(self) -> None:
        """End the daemon, if it runs, and start it; its steps go on. A start limit that was reached is cleared."""

    def stop(self) -> None:
        """End the daemon; its steps go on."""

    def unit(self) -> Unit:
        """How the service is."""


class Systemd:
    """systemctl."""

    def __init__(self, name: str) -> None:
        self._name = name

    def restart(self) -> None:
        """As the port says."""
        _said(["systemctl", "reset-failed", self._name])
        _said(["systemctl", "restart", self._name])

    def stop(self) -> None:
        """As the port says."""
        _said(["systemctl", "stop", self._name])

    def unit(self) -> Unit:
        """As the port says. Stopped is what somebody stopped; a unit that was never started counts as well."""
        said = _said(["systemctl", "show", "--property=ActiveState", "--value", self._name]).strip()
        return _STATES.get(said, Unit.STOPPED if said == "inactive" else Unit.UNKNOWN)


class Program:
    """A program of the host's owner, called with one word: restart, stop or state.

    For "state" it prints running, failed or stopped; anything else counts as unknown."""

    def __init__(self, path: str) -> None:
        self._path = path

    def restart(self) -> None:
        """As the port says."""
        _said([self._path, "restart"])

    def stop(self) -> None:
        """As the port says."""
        _said([self._path, "stop"])

    def unit(self) -> Unit:
        """As the port says."""
        said = _said([self._path, "state"]).strip()
        return Unit(said) if said in Unit._value2member_map_ else Unit.UNKNOWN


def of_host(settings: UpdaterSettings) -> Service:
    """The service manager of this host."""
    return Program(settings.program) if settings.program else Systemd(settings.service)


def _said(command: Sequence[str]) -> str:
    """What a command prints, whatever its exit code; nothing where it cannot be run or does not end."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=_WAIT_S, check=False, text=True
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout
