"""What is believed of agents while the store can note nothing: what was heard counts, not what was written last."""

import pytest

from controlplane.core.states import Liveness
from tests.unit.controlplane.service.room import Room, in_room


@pytest.mark.parametrize(
    ("silent_s", "liveness"), [(20.0, Liveness.ALIVE), (40.0, Liveness.SUSPECT), (3600.0, Liveness.LOST)]
)
def test_with_a_full_store_nobody_is_alive_who_was_not_heard(silent_s: float, liveness: Liveness) -> None:
    async def body(room: Room) -> None:
        host = await room.connect()
        room.store.fails = True
        room.now += silent_s
        ((agent, _, _),) = await room.queries.agents()
        assert agent.liveness == liveness
        assert (await room.queries.counts()).agents == {liveness: 1}
        # The store has not been told: what it holds is as old as its last write.
        assert room.store.see(lambda tx: tx.agent(host.id)).liveness == Liveness.ALIVE  # type: ignore[union-attr]

    in_room(body)


def test_who_is_heard_is_alive_however_long_the_store_is_full() -> None:
    async def body(room: Room) -> None:
        host = await room.connect()
        room.store.fails = True
        room.now += 3600.0
        assert host.session is not None
        room.sessions.heartbeat(host.session, [], 1, "")
        assert (await room.queries.counts()).agents == {Liveness.ALIVE: 1}
        ((agent, _, _),) = await room.queries.agents()
        assert agent.heard_at == room.now

    in_room(body)
