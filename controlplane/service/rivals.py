"""Two boots under one identity: of one machine, only one of them can live."""

from typing import NamedTuple


class Rival(NamedTuple):
    """Another boot of a connected agent, which answered a welcome: which, beside which boot, and when."""

    boot_id: str
    beside: str
    since: float


class Rivals:
    """Agents of which another boot was seen to live."""

    def __init__(self) -> None:
        self._known: dict[str, Rival] = {}  # by agent id

    def met(self, agent_id: str, boot_id: str, beside: str, now: float) -> None:
        """Take note that a boot answered while another one was connected; only the first time counts."""
        self._known.setdefault(agent_id, Rival(boot_id, beside, now))

    def forget(self, agent_id: str) -> None:
        """An agent has no identity any more."""
        self._known.pop(agent_id, None)

    def proven(self, agent_id: str, boot_id: str, now: float, silence_s: float) -> str:
        """Tell, when a boot is heard, why this must be two machines; empty when it need not be.

        What is heard at once may have been under way while the machine went down, so the silence of one interval must
        have passed. And if the host has booted since, then nothing has gone on.
        """
        rival = self._known.get(agent_id) if self._known else None
        if rival is None:
            return ""
        if boot_id == rival.beside and now - rival.since <= silence_s:
            return ""
        del self._known[agent_id]
        if boot_id != rival.beside:
            return ""
        return f"boot {boot_id} went on after boot {rival.boot_id} had answered"
