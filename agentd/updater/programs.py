"""The programs of one release that the updater needs: what it asks them, and what they answer."""

import contextlib
import json
import os
from collections.abc import Sequence

from agentd.core.release_state import SelfTest, UndecodableState, self_test_from_text
from agentd.core.updater_rules import Contact
from agentd.updater import running_in_unit
from agentd.updater.running import NOT_ENDED, Running, Said
from agentd.updater.running_directly import Directly
from agentd.updater.settings import UpdaterSettings

_JOURNAL_WAIT_S = 60.0
_CONTACT_WAIT_S = 30.0


class Programs:
    """The programs of the releases of this host."""

    def __init__(self, settings: UpdaterSettings) -> None:
        self._settings = settings
        self._running: Running | None = None

    def self_test(self, digest: str) -> SelfTest:
        """What the release's own test finds; a test that crashes or hangs has failed."""
        said = self._run(digest, ["selftest", *self._where(), "-o", "json"], self._settings.self_test_max_s)
        try:
            return self_test_from_text(said.out)
        except UndecodableState:
            if said.code == NOT_ENDED and said.wall_s >= self._settings.self_test_max_s:
                detail = f"it did not end within {self._settings.self_test_max_s:g} s"
            else:
                detail = f"it ended with {said.code} and no report: {_last_line(said.err)}"
            return SelfTest(False, ("process",), detail=detail, wall_s=said.wall_s)

    def contact(self, digest: str) -> Contact:
        """How the control plane answers this release, beside whatever session another one has."""
        arguments = ["selftest", *self._where(), "--only", "contact", "-o", "json"]
        said = self._run(digest, arguments, _CONTACT_WAIT_S)
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return Contact(json.loads(said.out)["contact"])
        return Contact.UNKNOWN

    def copy_journal(self, digest: str, to: str) -> Said:
        """Copy the journal as it is now, while the daemon runs, to a name beside the exchange."""
        return self._journal(digest, "copy", to)

    def try_journal(self, digest: str, copy: str) -> Said:
        """Whether this release can read a copy of the journal and write to it."""
        return self._journal(digest, "try", copy)

    def mend_journal(self, digest: str, copy: str, incarnation: int) -> Said:
        """Make sure that this release can use the journal: no daemon runs. Nothing happens where it can."""
        return self._journal(digest, "mend", copy, "--incarnation", str(incarnation))

    def _journal(self, digest: str, verb: str, copy: str, *more: str) -> Said:
        path = self._settings.agent_upgrade / copy
        state = ["--state", str(self._settings.agent_state)]
        return self._run(digest, ["journal", verb, *state, "--copy", str(path), *more], _JOURNAL_WAIT_S)

    def _where(self) -> list[str]:
        return ["--state", str(self._settings.agent_state), "--config", str(self._settings.agent_config)]

    def _run(self, digest: str, arguments: Sequence[str], wait_s: float) -> Said:
        if self._running is None:
            self._running = _of_host(self._settings)
        return self._running.run(digest, arguments, wait_s)


def _of_host(settings: UpdaterSettings) -> Running:
    """How this host runs them; asked for at the first, because most passes run none."""
    in_unit = not settings.program and os.geteuid() == 0 and running_in_unit.is_there()
    return running_in_unit.InUnit(settings) if in_unit else Directly(settings)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"
