"""Every road to an effect passes the same gate: road by rule (listed or not) by what was approved and came since."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any

import pytest

from controlplane.core.access import approvals as gating
from controlplane.core.access.approvals import GATED_METHODS, ROADS
from controlplane.core.migrations import deciding
from controlplane.core.migrations.workflow_planning import fail_waiting
from controlplane.core.model import Failure
from controlplane.manifests.text.findings import SourceFile
from controlplane.service.access.approvals import Approvals, items_of
from controlplane.service.errors import AwaitsApproval, NotFound, Precondition
from controlplane.service.inventory.inventory import Inventory
from controlplane.service.migrations.clean_up import CleanUps
from controlplane.service.migrations.migrations import Acted, Call, Migrations
from controlplane.service.migrations.selection import Selection
from controlplane.service.steps.advancing import advance
from controlplane.store.port import Tx
from tests.unit.controlplane.service.room import Room, in_room

BASE = """
apiVersion: haulier/v1
kind: Datastore
metadata: {name: lake, labels: {set: base}}
spec: {engine: parquet, root: /srv/lake}
---
apiVersion: haulier/v1
kind: Workflow
metadata: {name: copy}
spec:
  steps:
  - {name: extract, kind: extract, params: {source: "${migration.source}", staging: "${migration.staging}"}}
  - name: load
    kind: load
    needs: [extract]
    params: {input: "${steps.extract.output}", destination: "${migration.destination}"}
"""


def a_move(name: str, start: str = "manual", owner: str = "air", labels: str = "wave: '1'") -> str:
    return f"""
---
apiVersion: haulier/v1
kind: Dataset
metadata: {{name: {name}, labels: {{{labels}}}}}
spec:
  owner: {owner}
  datastore: lake
  object: in/{name}
---
apiVersion: haulier/v1
kind: Migration
metadata: {{name: {name}, labels: {{{labels}}}}}
spec: {{dataset: {name}, workflow: copy, to: {{datastore: lake, object: out/{name}}}, staging: lake, start: {start}}}
"""


class Site:
    """A control plane with a rule of two persons; ada asks, bob approves."""

    def __init__(self, room: Room, chosen: Collection[str]) -> None:
        self.room = room
        self.approvals = Approvals(room.store, room.clock, chosen)
        self.inventory = Inventory(room.store, room.clock, room.sessions, approvals=self.approvals)
        self.migrations = Migrations(room.store, room.clock, room.sessions, self.approvals)
        self._requests = 0

    async def apply(self, *texts: str, prune: dict[str, str] | None = None) -> Any:
        self._requests += 1
        files = [SourceFile("a.yaml", "".join(texts).encode())]
        answer = await self.inventory.apply(files, f"r{self._requests}", "ada", prune)
        assert not answer.findings
        return answer

    async def act(self, method: str, selection: Selection, **more: Any) -> Acted:
        self._requests += 1
        call = Call(method, selection, "ada", "because", request_id=f"r{self._requests}", **more)
        return await self.migrations.act(call)

    async def fail(self, name: str) -> None:
        """Let a running migration fail for want of an agent."""

        def end(tx: Tx) -> None:
            migration = tx.migration_by_name(name)
            assert migration is not None
            step = next(step for step in tx.steps_of(migration.id) if step.state == "ready")
            tx.apply(fail_waiting(step, Failure("queue_timeout", "no agent"), self.room.now))
            advance(tx, migration.id, self.room.now)

        await self.room.store.write(end)

    async def approve(self) -> list[str]:
        """Let bob agree to all that waits; return the names that he saw."""
        seen = []
        for each in await self.approvals.all():
            if each.state == "pending":
                seen += [item.name for item in items_of(each)]
                await self.approvals.decide(each.id, "bob", "", agreed=True)
        return seen

    def states(self) -> dict[str, str]:
        found = self.room.store.see(lambda tx: tx.selectable())
        return {each.name: each.state or "applied" for each in found}


Ask = Callable[[Site], Awaitable[Any]]


@dataclass(frozen=True)
class Way:
    """How one road is taken in the test."""

    asked: str  # of the road
    method: str
    before: str  # the state that "one" and "two" are brought to
    take: Ask
    after: str  # what they are then; "" means gone
    names: tuple[str, ...] = ("one", "two")  # what it touches
    later: tuple[str, ...] = ()  # what it would touch once "three" is there too


BOTH = Selection(("one", "two"))
WAVE = Selection(labels={"wave": "1"})
FILES = (BASE, a_move("one"), a_move("two"))


def acts(method: str, selection: Selection) -> Ask:
    return lambda site: site.act(method, selection)


async def _prune(site: Site) -> Any:
    kept = "".join(text.replace("labels: {set: base}", "labels: {wave: '1'}") for text in FILES[:1])
    kept = kept.replace("metadata: {name: copy}", "metadata: {name: copy, labels: {wave: '1'}}")
    return await site.apply(kept, prune={"wave": "1"})


async def _delete(site: Site) -> Any:
    return await site.inventory.delete("Migration", "one", "ada")


WAYS = (
    Way("migration start NAME", gating.START, "applied", acts(gating.START, BOTH), "running"),
    Way(
        "migration start --all",
        gating.START,
        "applied",
        acts(gating.START, Selection(every=True)),
        "running",
        later=("three",),
    ),
    Way(
        "migration start --selector",
        gating.START,
        "applied",
        acts(gating.START, WAVE),
        "running",
        later=("three",),
    ),
    Way(
        "apply, with start: auto",
        gating.START,
        "applied",
        lambda site: site.apply(BASE, a_move("one", "auto"), a_move("two", "auto")),
        "running",
    ),
    Way("migration retry", gating.RETRY, "failed", acts(gating.RETRY, BOTH), "running"),
    Way(
        "migration retry",
        gating.RETRY,
        "failed",
        acts(gating.RETRY, Selection(states=frozenset({"failed"}))),
        "running",
        later=("three",),
    ),
    Way("migration cancel", gating.CANCEL, "running", acts(gating.CANCEL, BOTH), "cancelled"),
    Way("migration cancel", gating.CANCEL, "running", acts(gating.CANCEL, WAVE), "cancelled", later=("three",)),
    Way("migration rollback", gating.ROLLBACK, "failed", acts(gating.ROLLBACK, BOTH), "rolled_back"),
    Way(
        "migration rollback",
        gating.ROLLBACK,
        "failed",
        acts(gating.ROLLBACK, Selection(owners=frozenset({"air"}))),
        "rolled_back",
        later=("three",),
    ),
    Way(
        "migration accept",
        gating.ACCEPT,
        "failed",
        lambda site: site.migrations.decide("one", deciding.ACCEPT, "right", "ada"),
        "accepted",
        ("one",),
    ),
    Way(
        "migration abandon",
        gating.ABANDON,
        "failed",
        lambda site: site.migrations.decide("one", deciding.ABANDON, "over", "ada"),
        "abandoned",
        ("one",),
    ),
    Way(
        "delete", gating.DELETE, "applied", lambda site: site.inventory.delete("Migration", "one", "ada"), "", ("one",)
    ),
    Way("apply --prune", gating.DELETE, "applied", _prune, ""),
)


def repr_of(way: Way) -> str:
    return f"{way.asked} {WAYS.index(way)}"


async def prepare(site: Site, way: Way, *extra: str) -> None:
    """Bring what was applied to where the road begins, without the rule."""
    await site.apply(*FILES, *extra)
    free = Migrations(site.room.store, site.room.clock, site.room.sessions)
    names = [name for name in ("one", "two", "three") if name in site.states()]
    if way.before != "applied":
        for name in names:
            if site.states()[name] == "applied":
                await free.start([name], f"p-{name}")
                if way.before == "failed":
                    await site.fail(name)


async def taken(site: Site, way: Way) -> bool:
    """Take the road; tell whether it asks for a second person instead."""
    try:
        answer = await way.take(site)
    except AwaitsApproval:
        return False
    return getattr(answer, "asked", None) is None


def reached(site: Site, way: Way, *names: str) -> list[bool]:
    found = site.states()
    return [(found.get(name) == way.after) if way.after else name not in found for name in names]


def test_the_ways_are_all_roads_but_the_retry_that_is_a_start() -> None:
    tried = {way.asked for way in WAYS}
    assert {road.asked for road in ROADS} - tried == {
        "migration retry, where it takes another source",
        "migration clean-up",
    }
    assert {way.method for way in WAYS} == GATED_METHODS - {gating.CLEAN_UP}


@pytest.mark.parametrize("way", WAYS, ids=repr_of)
def test_without_the_rule_a_road_is_open(way: Way) -> None:
    async def body(room: Room) -> None:
        site = Site(room, GATED_METHODS - {way.method})
        await prepare(site, way)
        assert await taken(site, way)
        assert all(reached(site, way, *way.names))
        assert await site.approvals.all() == []

    in_room(body)


@pytest.mark.parametrize("way", WAYS, ids=repr_of)
def test_under_the_rule_a_road_opens_once_for_what_a_second_person_saw(way: Way) -> None:
    async def body(room: Room) -> None:
        site = Site(room, {way.method})
        await prepare(site, way)
        for _ in range(2):  # asking again asks for nothing new
            assert not await taken(site, way)
            assert not any(reached(site, way, *way.names))
        (asked,) = await site.approvals.all()
        assert (asked.method, asked.asked_by, asked.state) == (way.method, "ada", "pending")
        seen = await site.approve()
        assert {name.rpartition("/")[2] for name in seen} >= set(way.names)
        assert await taken(site, way)
        assert all(reached(site, way, *way.names))
        (used,) = await site.approvals.all()
        assert used.state == "used"

    in_room(body)


@pytest.mark.parametrize("way", WAYS, ids=repr_of)
def test_an_approval_of_something_else_opens_nothing(way: Way) -> None:
    async def body(room: Room) -> None:
        site = Site(room, {gating.START, way.method})
        await prepare(site, way, a_move("other", owner="sea", labels="wave: '9'"))
        other = Selection(("other",))
        with pytest.raises(AwaitsApproval):
            await site.act(gating.START, other)
        await site.approve()
        assert not await taken(site, way)
        assert not any(reached(site, way, *way.names))

    in_room(body)


@pytest.mark.parametrize("way", [way for way in WAYS if way.later], ids=repr_of)
def test_what_came_after_the_approval_is_left_out_and_said(way: Way) -> None:
    async def body(room: Room) -> None:
        site = Site(room, {way.method})
        await prepare(site, way)
        assert not await taken(site, way)
        await site.approve()
        await prepare(site, way, a_move("three"))
        acted = await way.take(site)
        assert acted.not_approved == ["three"]
        assert reached(site, way, "one", "two", "three") == [True, True, False]
        assert not await taken(site, way)  # and then it is asked for

    in_room(body)


@pytest.mark.parametrize(
    "way",
    [way for way in WAYS if way.method == gating.START],
    ids=repr_of,
)
def test_what_changed_after_the_approval_was_not_approved(way: Way) -> None:
    async def body(room: Room) -> None:
        site = Site(room, {way.method})
        await prepare(site, way)
        assert not await taken(site, way)
        await site.approve()
        # Not the Migration: something that it is made of.
        await site.apply(BASE.replace("/srv/lake", "/srv/elsewhere"))
        assert not await taken(site, way)
        assert not any(reached(site, way, *way.names))
        assert await site.approve() == ["one", "two"]
        assert await taken(site, way)

    in_room(body)


def test_a_retry_that_takes_another_source_is_a_start_for_the_second_person() -> None:
    async def body(room: Room) -> None:
        site = Site(room, {gating.START})
        way = next(way for way in WAYS if way.method == gating.RETRY)
        await prepare(site, way)
        changed = "".join(FILES).replace("object: in/one", "object: in/one-mended")
        await site.apply(changed)
        with pytest.raises(AwaitsApproval, match="StartMigrations needs the approval"):
            await site.act(gating.RETRY, Selection(("one",)))
        assert site.states()["one"] == "failed"
        await site.act(gating.RETRY, Selection(("two",)))  # as it was approved
        assert await site.approve() == ["one"]
        await site.act(gating.RETRY, Selection(("one",)))
        assert site.states() == {"one": "running", "two": "running"}

    in_room(body)


def test_a_clean_up_passes_the_gate_too() -> None:
    async def body(room: Room) -> None:
        site = Site(room, {gating.CLEAN_UP})
        clean_ups = CleanUps(room.store, room.clock, room.sessions, 60.0, 60.0, 600.0, site.approvals)
        await prepare(site, next(way for way in WAYS if way.before == "running"))
        await site.act(gating.CANCEL, BOTH)
        for _ in range(2):
            with pytest.raises(AwaitsApproval):
                await clean_ups.ask(["one", "two"], "ada")
        await site.approve()
        assert sorted((await clean_ups.ask(["two", "one"], "ada")).clean) == ["one", "two"]
        with pytest.raises(AwaitsApproval):
            await clean_ups.ask(["one"], "ada")

    in_room(body)


def test_names_are_done_all_or_none_and_filters_say_what_they_left_out() -> None:
    async def body(room: Room) -> None:
        site = Site(room, ())
        await site.apply(*FILES, a_move("three", owner="sea", labels="wave: '2'"))
        await site.migrations.start(["one"], "s")
        await site.fail("one")
        with pytest.raises(Precondition, match="one is failed"):
            await site.act(gating.START, Selection(("two", "one")))
        with pytest.raises(NotFound, match="four"):
            await site.act(gating.START, Selection(("two", "four")))
        assert site.states() == {"one": "failed", "two": "applied", "three": "applied"}
        preview = await site.act(gating.START, WAVE, dry_run=True)
        assert (preview.names, site.states()["two"]) == (["two"], "applied")
        done = await site.act(gating.START, WAVE, plan_digest=preview.plan_digest)
        assert (done.names, done.held, site.states()["two"]) == (["two"], {}, "running")
        with pytest.raises(Precondition, match="has changed since it was shown"):
            await site.act(gating.START, Selection(every=True), plan_digest=preview.plan_digest)
        ended = await site.act(gating.CANCEL, Selection(states=frozenset({"failed", "running"})))
        assert sorted(ended.names) == ["one", "two"]
        again = await site.act(gating.START, Selection(states=frozenset({"cancelled"}), owners=frozenset({"air"})))
        assert sorted(again.names) == ["one", "two"]
        within = await site.act(gating.CANCEL, Selection(states=frozenset({"running"})), within=frozenset({"sea"}))
        assert within.names == []

    in_room(body)


@pytest.mark.parametrize(
    ("selection", "told"),
    [
        (Selection(), "name the migrations"),
        (Selection(("one",), states=frozenset({"failed"})), "not both"),
        (Selection(states=frozenset({"broken"})), "broken is not a state"),
    ],
)
def test_a_selection_is_names_or_filters(selection: Selection, told: str) -> None:
    async def body(room: Room) -> None:
        with pytest.raises(Precondition, match=told):
            await Site(room, ()).act(gating.CANCEL, selection)

    in_room(body)


def test_a_repeat_of_a_request_gets_the_first_answer() -> None:
    async def body(room: Room) -> None:
        site = Site(room, ())
        await site.apply(*FILES)
        call = Call(gating.START, WAVE, "ada", request_id="same")
        first = await site.migrations.act(call)
        assert await site.migrations.act(call) == first
        assert sorted(first.names) == ["one", "two"]

    in_room(body)
