"""Programs of a release as children of the updater: for hosts without systemd."""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from agentd.updater.running import AGENT, NOT_ENDED, OUTPUT_BYTES_MAX, Said
from agentd.updater.settings import UpdaterSettings

_ENVIRONMENT_KEPT = ("PATH", "LANG", "LC_ALL", "TZ")


class Directly:
    """As children, run by the owner of the agent's state."""

    def __init__(self, settings: UpdaterSettings) -> None:
        self._settings = settings

    def run(self, digest: str, arguments: Sequence[str], wait_s: float) -> Said:
        """As the port says."""
        command = [str(self._settings.tree(digest) / AGENT), *arguments]
        began_at = time.monotonic()
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            code = _ended(command, self._as_agent(), wait_s, out, err)
            return Said(code, _end_of(out), _end_of(err), time.monotonic() - began_at)

    def _as_agent(self) -> dict[str, Any]:
        """The owner of the agent's state runs them, where we may choose."""
        if os.geteuid() != 0:
            return {}
        try:
            owner = self._settings.agent_state.stat()
        except FileNotFoundError:
            return {}
        return {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if owner.st_uid else {}


def _ended(command: Sequence[str], who: dict[str, Any], wait_s: float, out: Any, err: Any) -> int:
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd="/",
            start_new_session=True,
            env={name: os.environ[name] for name in _ENVIRONMENT_KEPT if name in os.environ},
            **who,
        )
    except OSError as error:
        err.write(f"{command[0]}: {error.strerror}\n".encode())
        return NOT_ENDED
    try:
        code = process.wait(wait_s)
    except subprocess.TimeoutExpired:
        code = NOT_ENDED
    # Also what it may have left behind.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return code


def _end_of(file: Any) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - OUTPUT_BYTES_MAX))
    return bytes(file.read(OUTPUT_BYTES_MAX)).decode("utf-8", "replace")
