"""The event log as people ask for it: about whom, of which types, since when, the newest so many; with names."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from controlplane.core.events import Event
from controlplane.manifests.kinds.documents import KINDS
from controlplane.manifests.text.findings import near_miss
from controlplane.service.errors import NotFound
from controlplane.service.not_found import NAMES_MAX, no_such
from controlplane.store.port import Store, Tx
from controlplane.store.verbs.events import EventVerbs, RecordedEvent
from controlplane.store.verbs.steps import StepVerbs

Rows = list[RecordedEvent]
AT_ONCE = 500
NAMES_KEPT_MAX = 10_000
_IDS = ("mig_", "step_", "att_", "ag_", "roll_", "apr_")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events: ``subject`` as the log has it, types, and from which instant on; empty and 0 mean all."""

    subject: str = ""
    attempt_id: str = ""
    types: frozenset[str] = frozenset()
    since: float = 0.0

    def holds(self, fact: Event) -> bool:
        """Tell whether an event of the subject is wanted."""
        return (
            (not self.types or fact.type in self.types)
            and fact.at >= self.since
            and (not self.attempt_id or fact.attempt_id == self.attempt_id)
        )


class EventReading:
    """Reads the log; one object serves one stream, and remembers the names that it told."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._names: dict[str, str] = {}

    async def wanted(
        self, subject: str, types: Sequence[str], since_ago_s: float, since_at: float, *, hints: bool
    ) -> Wanted:
        """Turn what a person asked into what the log is searched for; ``hints``: near misses may be named.

        Raises ``NotFound``.
        """
        since = max(since_at, self._clock() - since_ago_s if since_ago_s else 0.0)

        def resolve(tx: Tx) -> Wanted:
            known, attempt_id = _subject(tx, subject, hints)
            _check_types(tx, types)
            return Wanted(known, attempt_id, frozenset(types), since)

        return await self._store.read(resolve)

    async def begin(self, wanted: Wanted, after: int) -> int:
        """Return the position after which the wanted events begin."""
        return (
            max(after, await self._store.read(lambda tx: _position_before(tx, wanted.since))) if wanted.since else after
        )

    async def after(self, position: int, wanted: Wanted) -> tuple[Rows, int, bool]:
        """Return wanted events after a position, the position up to which was looked, and whether there may be more."""
        rows = await self._store.read(lambda tx: tx.events_after(position, wanted.subject, AT_ONCE))
        last = rows[-1].position if rows else position
        return [row for row in rows if wanted.holds(row.event)], last, len(rows) == AT_ONCE

    async def newest(self, wanted: Wanted, count: int) -> Rows:
        """Return the newest wanted events, at most ``count``, oldest first."""
        found: Rows = []
        position = await self._store.read(lambda tx: tx.last_position()) + 1
        while len(found) < count:
            rows = await self._store.read(
                lambda tx, position=position: tx.events_before(position, wanted.subject, AT_ONCE)  # type: ignore[misc]
            )
            found += [row for row in rows if wanted.holds(row.event)]
            if len(rows) < AT_ONCE or rows[-1].event.at < wanted.since:
                break
            position = rows[-1].position
        return found[:count][::-1]

    async def names(self, rows: Rows) -> dict[int, dict[str, str]]:
        """Return by position the names of what each event speaks of, by id."""
        spoken = {position: _ids(fact) for position, fact in rows}
        fresh = {each for ids in spoken.values() for each in ids} - self._names.keys()
        if fresh:
            if len(self._names) > NAMES_KEPT_MAX:
                self._names.clear()
                fresh = {each for ids in spoken.values() for each in ids}
            self._names |= await self._store.read(lambda tx: _names(tx, fresh))
        return {at: {i: self._names[i] for i in ids if i in self._names} for at, ids in spoken.items()}


def _ids(fact: Event) -> list[str]:
    spoken = (fact.subject, fact.migration_id, fact.attempt_id, fact.agent_id)
    return [each for each in spoken if each and each.startswith(_IDS)]


def _names(tx: Tx, ids: Iterable[str]) -> dict[str, str]:
    wanted = list(ids)
    attempts = tx.attempts([each for each in wanted if each.startswith("att_")])
    steps = tx.steps([e for e in wanted if e.startswith("step_")] + [a.step_id for a in attempts.values()])
    migrations = {each for each in wanted if each.startswith("mig_")} | {step.migration_id for step in steps.values()}
    found = {each: row.name for each in migrations if (row := tx.migration(each)) is not None}
    found |= {each: f"{found.get(step.migration_id, step.migration_id)}/{step.name}" for each, step in steps.items()}
    for attempt in attempts.values():
        found[attempt.id] = f"{found.get(attempt.step_id, attempt.step_id)}#{attempt.number}"
    for each in wanted:
        if each.startswith("ag_") and (agent := tx.agent(each)) is not None:
            found[each] = agent.name
        elif each.startswith("roll_") and (rollout := tx.rollout(each)) is not None:
            found[each] = f"{rollout.fleet} to {rollout.version}"
    return found


def _subject(tx: Tx, text: str, hints: bool) -> tuple[str, str]:
    """Find what the log calls a subject: (subject, attempt id). Raises ``NotFound``."""
    if text.startswith("att_"):
        attempt = tx.attempts([text]).get(text)
        if attempt is None:
            raise NotFound(f"there is no attempt {text}: see `haulier migration get NAME`")
        return attempt.step_id, text
    name, _, rest = text.partition("/")
    if not text or text.startswith(_IDS) or (rest and name in KINDS):
        return text, ""
    migration = tx.migration_by_name(name)
    if migration is not None:
        return _step_of(tx, migration.id, name, rest) if rest else migration.id, ""
    agent = tx.agent_by_name(text)
    if agent is not None:
        return agent.id, ""
    kinds = [kind for kind in KINDS if tx.resource(kind, text) is not None]
    if len(kinds) == 1:
        return f"{kinds[0]}/{text}", ""
    if kinds:
        raise NotFound(f"{text} is {' and '.join(kinds)}: say which, as in {kinds[0]}/{text}")
    known = [*tx.newest_iterations(), *(each.name for each, _ in tx.agents())] if hints else []
    known += [row.name for kind in KINDS for row in tx.resources(kind, "", NAMES_MAX)] if hints else []
    raise no_such("subject", text, known, "haulier migration list", "name a migration, step, agent or KIND/NAME")


def _step_of(tx: StepVerbs, migration_id: str, migration: str, name: str) -> str:
    step = tx.step_named(migration_id, name)
    if step is None:
        known = ", ".join(other.name for other in tx.steps_of(migration_id))
        raise NotFound(f"migration {migration} has no step {name}; it has {known}")
    return step.id


def _check_types(tx: EventVerbs, types: Sequence[str]) -> None:
    """Refuse a type that is like one in the log and none itself; one that nothing is like may come yet."""
    if not types:
        return
    known = tx.event_types()
    for each in types:
        near = "" if each in known else near_miss(each, known, cutoff=0.7)
        if near:
            raise NotFound(f"no event has the type {each}: did you mean {near}?")


def _position_before(tx: EventVerbs, instant: float) -> int:
    """Return the last position whose event is older than an instant, by halving: instants grow with positions."""
    low, high = 0, tx.last_position()
    while low < high:
        middle = (low + high) // 2
        rows = tx.events_after(middle, "", 1)
        if not rows or rows[0].event.at >= instant:
            high = middle
        else:
            low = rows[0].position
    return low
