"""Migrations end one after the other, and no more of them are under way than the limits allow."""

from controlplane.core.model import Outcome, Requirements, StepPlan
from controlplane.core.states import AttemptState
from controlplane.core.steps.admission import Limits
from controlplane.loops.lease_reaper import LeaseReaper
from tests.kit.builders import a_plan
from tests.unit.controlplane.service.room import Host, Room, in_room

STEPS = ("extract", "transform", "load", "validate")


def a_workflow(name: str) -> list[StepPlan]:
    """Four steps in a row, each of a placement class of its own."""
    return [
        a_plan(
            name=kind,
            kind=kind,
            needs=STEPS[:index][-1:],
            requirements=Requirements(kind, ("lake", "warehouse")),
            target=f"warehouse/{name}" if kind == "load" else f"staging/{name}/{kind}",
        )
        for index, kind in enumerate(STEPS)
    ]


async def work_off(room: Room, *hosts: Host) -> int:
    """Let every lease end well, in the order of the grants, until none is left; return how many there were."""
    ended = dict.fromkeys((host.id for host in hosts), 0)
    while True:
        moved = False
        for host in hosts:
            assert host.session is not None
            if ended[host.id] < len(host.grants):
                lease = host.grants[ended[host.id]]
                ended[host.id] += 1
                moved = True
                room.now += 1.0
                host.session.heard_at = room.now
                outcome = Outcome(lease.attempt.id, lease.attempt.fence, AttemptState.SUCCEEDED, b"{}")
                await room.sessions.offers.results(host.session, [outcome])
                await room.settled()
        if not moved:
            return sum(ended.values())


def log(room: Room) -> list[tuple[str, str]]:
    """What happened to whom, in order: only first leases and ends of migrations."""
    found: list[tuple[str, str]] = []
    begun = set()
    for _, event in room.store.see(lambda tx: tx.events_after(0, "", 100_000)):
        if event.type == "LeaseGranted" and event.migration_id not in begun:
            begun.add(event.migration_id)
            found.append(("begins", str(event.migration_id)))
        elif event.type == "MigrationSucceeded":
            found.append(("ends", event.subject))
    return found


def most_at_once(story: list[tuple[str, str]]) -> int:
    under_way, most = 0, 0
    for what, _ in story:
        under_way += 1 if what == "begins" else -1
        most = max(most, under_way)
    return most


def test_the_first_of_120_migrations_ends_long_before_the_last_begins() -> None:
    async def body(room: Room) -> None:
        ids = [await room.start(*a_workflow(f"m{n}"), name=f"m{n}") for n in range(120)]
        hosts = [await room.connect(f"host-{n}", boot_id=f"boot-{n}") for n in (1, 2)]
        assert await work_off(room, *hosts) == 120 * len(STEPS)
        story = log(room)
        assert [who for what, who in story if what == "begins"] == ids
        assert story.index(("ends", ids[0])) < story.index(("begins", ids[12]))
        # Each slot works at one: nothing more is begun than there are slots.
        assert most_at_once(story) <= sum(host.session.agent.slots for host in hosts if host.session)

    in_room(body)


def test_priority_goes_before_the_start() -> None:
    async def body(room: Room) -> None:
        late = [await room.start(*a_workflow(f"m{n}"), name=f"m{n}") for n in range(6)]
        urgent = await room.start(*a_workflow("urgent"), name="urgent", priority=5)
        host = await room.connect(slots=1)
        await work_off(room, host)
        assert [who for what, who in log(room) if what == "begins"] == [urgent, *late]
        assert most_at_once(log(room)) == 1

    in_room(body)


def test_no_more_migrations_are_under_way_than_the_limits_allow() -> None:
    async def body(room: Room) -> None:
        room.sessions.offers.set_limits(Limits(migrations={"lake": 2}, migrations_in_all=3))
        for n in range(8):
            source = "lake" if n % 2 else "shop"
            await room.start(*a_workflow(f"m{n}"), name=f"m{n}", source=source)
        host = await room.connect(slots=8)
        at_first = [lease.attempt.migration_id for lease in host.grants]
        assert len(at_first) == 3
        named = await room.queries.why("m7")
        held = {hold.code: hold.message for each in named for hold in each.holds}
        assert "(m0, m1, m2), and the limit is 3" in held["migrations_limit"]
        assert await work_off(room, host) == 8 * len(STEPS)
        assert most_at_once(log(room)) == 3
        assert room.store.see(lambda tx: tx.under_way()) == []

    in_room(body)


def test_a_full_datastore_lets_migrations_elsewhere_pass() -> None:
    async def body(room: Room) -> None:
        room.sessions.offers.set_limits(Limits(migrations={"lake": 1}))
        for n in range(12):
            await room.start(*a_workflow(f"lake-{n}"), name=f"lake-{n}")
        other = await room.start(*a_workflow("other"), name="other", source="shop", destination="vault")
        host = await room.connect(slots=2)
        room.sessions.offers.offer_all()  # as the dispatcher does: the first look saw only the head of the queue
        await room.settled()
        assert [lease.attempt.migration_id for lease in host.grants][1:] == [other]
        await work_off(room, host)

    in_room(body)


def test_a_retry_waits_for_its_turn_and_an_undo_never_does() -> None:
    async def body(room: Room) -> None:
        retried = await room.start(*a_workflow("m1"), name="m1", place="warehouse/m1")
        host = await room.connect(slots=8)
        assert host.session is not None
        lease = host.grants[0]
        await room.sessions.offers.results(
            host.session, [Outcome(lease.attempt.id, lease.attempt.fence, AttemptState.FENCED)]
        )
        for _ in range(2):
            room.now += 100.0
            host.session.heard_at = room.now
            room.sessions.offers.offer_all()
            await room.settled()
            lease = host.grants[-1]
            failed = Outcome(lease.attempt.id, lease.attempt.fence, AttemptState.FENCED)
            await room.sessions.offers.results(host.session, [failed])
            await room.settled()
        assert room.store.see(lambda tx: tx.under_way()) == []
        room.sessions.offers.set_limits(Limits(migrations_in_all=1))
        await room.start(*a_workflow("m2"), name="m2", place="warehouse/m2")
        before = len(host.grants)
        await room.migrations.retry("m1")
        await room.settled()
        assert len(host.grants) == before
        # Nobody was asked to take it yet: however long it waits for its turn, it does not wait for an agent.
        room.now += 10 * 3600.0
        room.sessions.book.adopt(host.grants[-1].attempt.id, 1, until=room.now + 60.0, now=room.now)
        await LeaseReaper(room.store, room.clock, room.sessions).run()
        assert room.steps_of(retried)["extract"] == "ready"
        await room.migrations.undo("m1", "MigrationRollbackAsked", "enough")
        host.session.heard_at = room.now
        room.sessions.offers.offer_all()
        await room.settled()
        undone = [lease for lease in host.grants[before:] if lease.attempt.migration_id == retried]
        assert [str(lease.attempt.direction) for lease in undone] == ["undo"]

    in_room(body)
