"""Has agents renew that show a certificate of an authority on its way out; a few at a time, because each dials anew."""

from collections.abc import Callable

from controlplane.service.access.identities import Identities
from controlplane.service.agents.sessions import Sessions

ASKED_AT_ONCE = 25
AGAIN_AFTER_S = 120.0


class IdentityRenewer:
    """One pass asks the next few agents."""

    def __init__(self, clock: Callable[[], float], sessions: Sessions, identities: Identities) -> None:
        self._clock = clock
        self._sessions = sessions
        self._identities = identities
        self._asked: dict[str, float] = {}

    async def run(self) -> None:
        """Make one pass."""
        authorities, now = self._identities.authorities, self._clock()
        if authorities.following is None:
            self._asked.clear()
            return
        due = [
            agent_id
            for agent_id in self._sessions.certified_by(authorities.present.key_id)
            if now - self._asked.get(agent_id, -AGAIN_AFTER_S) >= AGAIN_AFTER_S
        ]
        for agent_id in due[:ASKED_AT_ONCE]:
            self._asked[agent_id] = now
            self._sessions.ask_to_renew(agent_id, "the certificate authority is being changed")
