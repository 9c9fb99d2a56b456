"""What people and scripts ask about the audit log."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from controlplane.core.audit.heads import LogEra, TreeHead
from controlplane.core.audit.verifying import Entry
from controlplane.service.audit.checking import LogCheck
from controlplane.service.audit.entries import stored_entries
from controlplane.service.audit.log import AuditLog
from controlplane.service.audit.witnessing import Witnesses
from controlplane.store.port import Store
from controlplane.store.verbs.agents import AgentVerbs

ENTRIES_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class AuditState:
    """The log at a glance; each witness is (name of the agent, head, contradiction or nothing)."""

    head: TreeHead | None
    public_key: bytes
    eras: Sequence[LogEra]
    troubles: Sequence[str]
    witnesses: Sequence[tuple[str, TreeHead, str]]
    checked: int
    archived: int


class Auditing:
    """State and entries of the log, for readers outside."""

    def __init__(self, store: Store, log: AuditLog, witnesses: Witnesses, check: LogCheck) -> None:
        self._store = store
        self._log = log
        self._witnesses = witnesses
        self._check = check

    @property
    def troubles(self) -> Sequence[str]:
        """What was found wrong with the log since the start; empty is well."""
        return self._log.troubles

    async def state(self) -> AuditState:
        """Show the log at a glance."""
        seen = dict(self._witnesses.seen)
        names, archived = await self._store.read(lambda tx: (_names(tx, list(seen)), tx.archived_position()))
        return AuditState(
            self._log.head,
            self._log.signer.public_key,
            list(self._log.eras),
            list(self._log.troubles),
            sorted((names[key], head, self._witnesses.contradictions.get(key, "")) for key, head in seen.items()),
            self._check.checked,
            archived,
        )

    async def entries(self, after: int, up_to: int) -> AsyncIterator[list[Entry]]:
        """Stream entries in order, some hundred at a time; of archived ones only the leaf hash."""
        while after < up_to:
            limit = min(ENTRIES_AT_ONCE, up_to - after)
            rows = await self._store.read(lambda tx, after=after, limit=limit: stored_entries(tx, after, limit))  # type: ignore[misc]
            rows = [row for row in rows if row[0] <= up_to]
            if not rows:
                return
            yield rows
            after = rows[-1][0]


def _names(tx: AgentVerbs, agent_ids: Sequence[str]) -> dict[str, str]:
    found = {agent_id: tx.agent(agent_id) for agent_id in agent_ids}
    return {agent_id: agent.name if agent else agent_id for agent_id, agent in found.items()}
