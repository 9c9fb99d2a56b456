"""The services over a store in memory and a clock that a test moves; every write is committed before it returns."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

from controlplane.core.model import Held, Introduction, StepPlan
from controlplane.core.steps.leasing import Refused
from controlplane.service.access.joining import newcomer
from controlplane.service.agents.messages import SessionSettings, ToAgent
from controlplane.service.agents.offers import NewWork
from controlplane.service.agents.session import Session
from controlplane.service.agents.sessions import Sessions
from controlplane.service.health.doctor import findings
from controlplane.service.migrations.migrations import Migrations, insert_plan
from controlplane.service.migrations.queries import Queries
from controlplane.service.signals import Signal
from controlplane.service.steps.advancing import advance
from controlplane.service.steps.settling import GrantedLease
from controlplane.store.port import StoreFailed, Tx
from controlplane.store.sqlite import library
from controlplane.store.sqlite.batcher import Batcher
from controlplane.store.sqlite.revisions import bring_up
from tests.kit.builders import NOW, a_migration
from tests.kit.running import run

T = TypeVar("T")


class InlineStore:
    """See ``store.port.Store``: SQLite in memory, each call a batch of its own."""

    def __init__(self) -> None:
        connection = library.connect(":memory:", writing=True)
        bring_up(connection)
        self.batcher = Batcher(connection)
        self.fails = False
        self.answers: asyncio.Event | None = None  # answers wait for it, though what they tell is durable
        self.answering = asyncio.Event()
        self.in_the_same_batch: Callable[[Tx], Any] | None = None

    async def write(self, call: Callable[[Tx], T]) -> T:
        """Run ``call`` durably."""
        await asyncio.sleep(0)
        if self.fails:
            raise StoreFailed("the disk is full")
        also, self.in_the_same_batch = self.in_the_same_batch, None
        answer, *_ = self.batcher.run([cast(Any, each) for each in (call, also) if each is not None])
        if self.answers is not None:
            self.answering.set()
            await self.answers.wait()
        if answer.error is not None:
            raise answer.error
        return cast(T, answer.value)

    async def read(self, call: Callable[[Tx], T]) -> T:
        """Run ``call`` on what is durable."""
        await asyncio.sleep(0)
        return call(cast(Tx, self.batcher.tx))

    def see(self, call: Callable[[Tx], T]) -> T:
        """Read without a loop."""
        return call(cast(Tx, self.batcher.tx))


class Host:
    """One agent as a test sees it: what it was told, in order."""

    def __init__(self, agent_id: str) -> None:
        self.id = agent_id
        self.told: list[ToAgent] = []
        self.ended = 0
        self.session: Session | None = None

    def take(self, said: ToAgent) -> None:
        """Be told something."""
        self.told.append(said)

    def end(self) -> None:
        """Have the stream ended."""
        self.ended += 1

    @property
    def grants(self) -> list[GrantedLease]:
        """Every lease it was granted."""
        return [lease for said in self.told for lease in said.grants]

    @property
    def cancels(self) -> list[tuple[str, int, str]]:
        """Everything it was told to stop."""
        return [cancel for said in self.told for cancel in said.cancels]

    @property
    def renewals(self) -> list[tuple[str, int, float, int]]:
        """Every renewal."""
        return [renewal for said in self.told for renewal in said.renewals]


class Room:
    """A control plane without listeners and loops."""

    def __init__(self, **settings: float) -> None:
        self.now = NOW
        self.store = InlineStore()
        self.changed = Signal()
        self.sessions = Sessions(self.store, self.clock, SessionSettings(**settings), self.changed)
        self.migrations = Migrations(self.store, self.clock, self.sessions)
        self.queries = Queries(self.store, self.clock, self.sessions)
        self._joined = 0

    def clock(self) -> float:
        """The test's instant."""
        return self.now

    async def join(self, name: str) -> str:
        """Register an agent; return its id."""

        def keep(tx: Tx) -> str:
            agent_id = tx.next_ids("ag_", 1)[0]
            tx.put_agent(newcomer(agent_id, name, self.now), self.now)
            return agent_id

        return await self.store.write(keep)

    async def connect(self, name: str = "host-1", **hello: Any) -> Host:
        """Register an agent and let it say hello."""
        host = Host(await self.join(name))
        await self.hello(host, **hello)
        return host

    async def hello(self, host: Host, **hello: Any) -> Session | Refused:
        """Let an agent say hello on a fresh stream."""
        opened = await self.sessions.open(host.id, an_introduction(**hello), host.take, host.end)
        if isinstance(opened, Session):
            host.session = opened
        await self.settled()
        return opened

    async def start(self, *plans: StepPlan, name: str = "m1", looked_at: bool = True, **changes: Any) -> str:
        """Start a migration of these steps; return its id. Unless ``looked_at``, all of them stay blocked."""

        def insert(tx: Tx) -> NewWork:
            work = NewWork(tx.next_ids("mig_", 1))
            migration = a_migration(id=work.migration_ids[0], name=name, created_at=self.now, **changes)
            tx.insert_migration(migration)
            insert_plan(tx, migration, plans, work.classes, self.now)
            if looked_at:
                work.readied += advance(tx, migration.id, self.now)
            return work

        work = await self.store.write(insert)
        self.sessions.offers.take_work(work)
        await self.settled()
        return work.migration_ids[0]

    async def settled(self) -> None:
        """Let everything that was set off in the background come to its end."""
        await self.sessions.background.idle()

    def state_of(self, migration_id: str) -> str:
        """The state of a migration."""
        migration = self.store.see(lambda tx: tx.migration(migration_id))
        assert migration is not None
        return str(migration.state)

    def steps_of(self, migration_id: str) -> dict[str, str]:
        """Step name → state."""
        return {step.name: str(step.state) for step in self.store.see(lambda tx: tx.steps_of(migration_id))}

    def events(self, subject: str = "") -> list[str]:
        """Types of events in order."""
        return [event.type for _, event in self.store.see(lambda tx: tx.events_after(0, subject, 10_000))]

    def healthy(self) -> None:
        """The doctor finds nothing."""
        assert self.store.see(lambda tx: list(findings(tx))) == []


def an_introduction(**changes: Any) -> Introduction:
    """An agent with four slots that can run every built-in kind anywhere."""
    fields: dict[str, Any] = {
        "incarnation": 1,
        "version": "0",
        "kinds": frozenset({"extract", "transform", "load", "validate"}),
        "datastores": frozenset({"*"}),
        "labels": {},
        "slots": 4,
        "boot_id": "boot-1",
        "draining": False,
        "held": (),
    }
    return Introduction(**{**fields, **changes})


def held(lease: GrantedLease, watermark: int = 0) -> Held:
    """What an agent says of a lease that it holds."""
    return Held(lease.attempt.id, lease.attempt.fence, watermark)


def in_room(body: Callable[[Room], Coroutine[Any, Any, None]], **settings: float) -> None:
    """Run ``body`` in a fresh room; afterwards the doctor finds nothing."""
    room = Room(**settings)

    async def work() -> None:
        await body(room)
        await room.settled()

    run(work())
    room.healthy()
