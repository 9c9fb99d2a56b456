"""What waits to be sent on a session merges; what ends it is kept."""

import asyncio

import grpc

from controlplane.rpc.agents.outgoing import Outgoing
from controlplane.service.agents.messages import ToAgent
from controlplane.service.steps.settling import GrantedLease
from tests.kit.builders import a_leased_step, an_attempt
from tests.kit.running import run

LEASE = GrantedLease(an_attempt(), a_leased_step(), b"", b"", ())


def test_what_waits_is_one_message_with_the_newest_of_each_attempt() -> None:
    async def body() -> None:
        outgoing = Outgoing()
        for sequence in range(3):
            outgoing.send(
                ToAgent(
                    renewals=[("att_1", 5, 60.0, sequence), ("att_2", 6, 60.0, sequence)],
                    acknowledged=["att_8", "att_9"],
                    cancels=[("att_3", 7, f"why {sequence}")],
                )
            )
        outgoing.send(ToAgent(grants=[LEASE]))
        said = await outgoing.take()
        assert said is not None
        assert said.renewals == [("att_1", 5, 60.0, 2), ("att_2", 6, 60.0, 2)]
        assert said.acknowledged == ["att_8", "att_9"]
        assert said.cancels == [("att_3", 7, "why 2")]
        assert said.grants == [LEASE]

    run(body())


def test_what_was_taken_is_not_said_again_nor_changed_by_what_follows() -> None:
    async def body() -> None:
        outgoing = Outgoing()
        mine = ToAgent(acknowledged=["att_1"], grants=[LEASE])
        outgoing.send(mine)
        first = await outgoing.take()
        outgoing.send(ToAgent(acknowledged=["att_2"]))
        outgoing.send(ToAgent(acknowledged=["att_3"]))
        second = await outgoing.take()
        assert first is not None and second is not None
        assert (first.acknowledged, first.grants) == (["att_1"], [LEASE])
        assert (second.acknowledged, second.grants) == (["att_2", "att_3"], [])

    run(body())


def test_the_last_word_on_draining_counts() -> None:
    async def body() -> None:
        outgoing = Outgoing()
        outgoing.send(ToAgent(drain_reason="new disk"))
        outgoing.send(ToAgent(resume=True))
        said = await outgoing.take()
        assert said is not None and (said.drain_reason, said.resume) == (None, True)
        outgoing.send(ToAgent(resume=True))
        outgoing.send(ToAgent(drain_reason=""))
        said = await outgoing.take()
        assert said is not None and (said.drain_reason, said.resume) == ("", False)

    run(body())


def test_a_closed_session_says_what_waits_and_then_ends_as_it_was_first_told() -> None:
    async def body() -> None:
        outgoing = Outgoing()
        outgoing.send(ToAgent(acknowledged=["att_1"]))
        outgoing.close(grpc.StatusCode.UNAVAILABLE, "the disk is full")
        outgoing.close(grpc.StatusCode.OK, "later")
        said = await outgoing.take()
        assert said is not None and said.acknowledged == ["att_1"]
        assert await outgoing.take() is None
        assert await outgoing.take() is None
        assert (outgoing.status, outgoing.details) == (grpc.StatusCode.UNAVAILABLE, "the disk is full")

    run(body())


def test_closing_wakes_the_sender_that_waits() -> None:
    async def body() -> None:
        outgoing = Outgoing()
        waiting = asyncio.create_task(outgoing.take())
        await asyncio.sleep(0)
        outgoing.close()
        assert await waiting is None
        assert outgoing.status is None

    run(body())
