"""What agents are shown of the audit log: once for each head they tell, and what is said of those that contradict."""

import asyncio
import hashlib
from hashlib import sha256
from random import Random

import pytest

from agentd.core import witnessing as agents
from controlplane.core.audit.heads import TreeHead
from controlplane.core.events import Event
from controlplane.identity.audit_key import AuditKey, head_is_signed
from controlplane.service.audit.log import AuditLog
from controlplane.service.audit.witnessing import HeadStatement, Shown, Witnesses
from controlplane.service.signals import Signal
from controlplane.store.port import Tx
from tests.kit.running import run
from tests.unit.controlplane.service.room import InlineStore

AGENT = "ag_1"


class Scene:
    """A log, its witnesses, and what one session was shown."""

    def __init__(self) -> None:
        self.store = InlineStore()
        self.log = AuditLog(self.store, lambda: 1000.0, AuditKey.create(), head_is_signed, Signal())
        self.witnesses = Witnesses(self.log)
        self.shown: list[Shown] = []

    async def grow(self, entries: int = 1) -> TreeHead:
        """Let things happen, and seal them."""

        def happen(tx: Tx) -> None:
            tx.record([Event(1000.0, "LateResult", f"att_{n}") for n in range(entries)])

        await self.store.write(happen)
        await self.log.seal()
        assert self.log.head is not None
        return self.log.head

    async def hear(self, told: HeadStatement) -> list[Shown]:
        """What a message of this session is answered."""
        before = len(self.shown)
        if self.witnesses.is_due(told):
            await self.witnesses.hear(told, self.shown.append)
        return self.shown[before:]

    def events(self, kind: str) -> list[Event]:
        """Events of a type."""
        return [event for _, event in self.store.see(lambda tx: tx.events_after(0, "", 1000)) if event.type == kind]


def test_silence_after_a_head_is_not_nothing_seen() -> None:
    """The false alarm of a busy agent: heartbeats that only told of started children were answered without a proof."""

    async def body() -> None:
        scene = Scene()
        first = await scene.grow(3)
        told = HeadStatement(AGENT, first)
        for _ in range(10):
            await scene.grow()
            for shown in await scene.hear(told):
                assert shown.since == first.size
        assert len(scene.shown) == 1, "each head is answered once"
        told.tell(scene.shown[0].head)
        assert [shown.since for shown in await scene.hear(told)] == [scene.shown[0].head.size]

    run(body())


def test_whoever_has_seen_nothing_is_shown_the_first_head_there_is_and_no_other() -> None:
    async def body() -> None:
        scene = Scene()
        told = HeadStatement(AGENT, None)
        assert await scene.hear(told) == [], "nothing is loaded yet"
        await scene.log.seal()
        assert await scene.hear(told) == [], "there is no head"
        head = await scene.grow()
        assert await scene.hear(told) == [Shown(head, 0, (), None)]
        for _ in range(10):
            await scene.grow()
            assert await scene.hear(told) == []

    run(body())


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_order_and_the_delay_an_honest_log_alarms_nobody(seed: int) -> None:
    """Both sides' own code; words of a session come late and in order, and heartbeats may leave the head out."""

    async def body() -> None:
        rng, scene = Random(seed), Scene()
        await scene.grow()
        witness = agents.Witness()
        kept = 0
        for _ in range(5):
            told, down = HeadStatement(AGENT, _as_theirs(witness.greet())), []
            up: list[TreeHead | None] = []
            for _ in range(80):
                match rng.randrange(4):
                    case 0:
                        await scene.grow(rng.randrange(1, 5))
                    case 1:
                        # An agent of an earlier release leaves the head out of some heartbeats.
                        up.append(_as_theirs(witness.tell()) if rng.random() < 0.5 else None)
                    case 2 if up:
                        if (seen := up.pop(0)) is not None:
                            told.tell(seen)
                        down += await scene.hear(told)
                    case 3 if down:
                        answer = witness.see(_as_ours(down.pop(0)))
                        kept += isinstance(answer, agents.Kept)
                        assert not isinstance(answer, agents.Alarmed)
        assert kept > 5
        assert not scene.log.troubles and not scene.witnesses.contradictions

    run(body())


def test_a_head_that_was_never_signed_here_is_told_once_a_session() -> None:
    async def body() -> None:
        scene = Scene()
        await scene.grow(5)
        told = HeadStatement(AGENT, None)
        for n in range(20):
            told.tell(TreeHead(1, 3 + n, sha256(b"%d" % n).digest(), b"no signature", "key"))
            assert await scene.hear(told) == []
            await scene.grow()
        assert len(scene.events("WitnessRefused")) == 1
        assert not scene.log.troubles, "nobody stops the log by a lie"
        head = await scene.grow()
        told.tell(head)
        assert await scene.hear(told) == [] and AGENT not in scene.witnesses.contradictions

    run(body())


def test_a_loss_is_believed_of_signed_heads_alone() -> None:
    async def body() -> None:
        scene = Scene()
        head = await scene.grow(5)
        key = scene.log.signer
        assert isinstance(key, AuditKey)
        scene.log.eras = [key.begin_era(2, 2, scene.log.known_root(5) or b"", 7, "restored")]
        scene.log.head = key.head(2, head.size, head.root)
        told = HeadStatement(AGENT, None)
        for n in range(9):
            told.tell(TreeHead(1, 1000 + n, bytes(32), b"no signature", "key"))
            assert await scene.hear(told) == []
        assert not scene.events("WitnessOutlived") and len(scene.events("WitnessRefused")) == 1
        other = HeadStatement("ag_2", head)
        (shown,) = await scene.hear(other)
        assert shown.begun == scene.log.eras[-1]
        assert len(scene.events("WitnessOutlived")) == 1

    run(body())


def test_a_signed_head_that_contradicts_is_told_once_while_the_log_grows() -> None:
    async def body() -> None:
        scene = Scene()
        await scene.grow(5)
        ahead = scene.log.signer.head(1, 100, hashlib.sha256(b"of before the disk was put back").digest())
        told = HeadStatement(AGENT, ahead)
        for _ in range(3):
            assert await scene.hear(told) == []
        again = HeadStatement(AGENT, ahead)
        assert await scene.hear(again) == []
        assert len(scene.events("WitnessContradicted")) == len(scene.log.troubles) == 1
        assert "was cut, or is an older copy" in scene.witnesses.contradictions[AGENT]

    run(body())


def test_what_is_told_while_a_comparison_waits_is_compared_too() -> None:
    async def body() -> None:
        scene = Scene()
        first = await scene.grow(5)
        second = await scene.grow(5)
        third = await scene.grow(5)
        told = HeadStatement(AGENT, first)
        hearing = asyncio.ensure_future(scene.witnesses.hear(told, scene.shown.append))
        told.tell(second)
        assert not scene.witnesses.is_due(told) or not told.busy
        await hearing
        assert scene.shown[-1].head == third and scene.shown[-1].since == second.size

    run(body())


def _as_theirs(head: agents.TreeHead | None) -> TreeHead | None:
    return None if head is None else TreeHead(head.era, head.size, head.root, head.signature, head.key_id)


def _as_ours(shown: Shown) -> agents.ShownHead:
    return agents.ShownHead(agents.TreeHead(*shown.head), shown.since, shown.proof)
