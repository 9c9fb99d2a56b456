"""Streams between hosts and the control plane: ordered, delayed, and cut at any moment with what was under way lost."""

import asyncio
from collections import deque
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

import grpc

from controlplane.identity.peers import Identity
from tests.sim.virtual_time import Process, VirtualLoop

if TYPE_CHECKING:
    from tests.sim.plane import Plane
    from tests.sim.world import World

# A client whose pings go unanswered hangs up after this long (keepalive time and timeout of the real link).
KEEPALIVE_S = 40.0
# Renewals are not modelled: a certificate outlives every history.
OUTLIVES_S = 3e6


class Aborted(Exception):
    """The server ended the call with a status."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code


class Context:
    """What the listener is given of a call."""

    def __init__(self, agent_id: str, now: float) -> None:
        self.identity = Identity("agent", agent_id, now + OUTLIVES_S)

    async def abort(self, code: grpc.StatusCode, details: str) -> None:
        """End the call."""
        raise Aborted(code, details)


class Requests:
    """The server's end of what the agent says."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._messages: deque[Any] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self.ended = False

    def __aiter__(self) -> "Requests":
        return self

    async def __anext__(self) -> Any:
        while not self._messages:
            if self.ended:
                raise StopAsyncIteration
            self._waiter = self._loop.create_future()
            await self._waiter
        return self._messages.popleft()

    def put(self, message: Any) -> None:
        """One message has arrived."""
        self._messages.append(message)
        self._wake()

    def end(self) -> None:
        """Nothing more will come."""
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Wire:
    """One host's way to the control plane. A blocked direction holds what is sent until it is free again."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.up_blocked = False
        self.down_blocked = False
        self.slow_s = 0.0

    def delay_s(self) -> float:
        """How long one message is under way."""
        usual = self.rng.uniform(0.0005, 0.02)
        return usual + (self.rng.uniform(0.0, self.slow_s) if self.slow_s else 0.0)


class Stream:
    """One session call. ``on_message`` and ``on_end(code, reason)`` are the agent's ends."""

    def __init__(
        self,
        world: "World",
        wire: Wire,
        plane: "Plane",
        agent_id: str,
        on_message: Callable[[Any], None],
        on_end: Callable[[grpc.StatusCode | None, str], None],
    ) -> None:
        self.world = world
        self.wire = wire
        self.plane = plane
        self.agent_id = agent_id
        self._on_message = on_message
        self._on_end = on_end
        self.process = Process(f"stream of {agent_id}")
        self.requests = Requests(world.loop)
        self.client_open = True
        self.server_open = True
        self._up: deque[Any] = deque()
        self._down: deque[Any] = deque()
        self._up_at = 0.0
        self._down_at = 0.0

    def start(self) -> None:
        """Let the server begin to serve."""
        self.world.loop.spawn(self.plane.process, self._serve(), f"session {self.agent_id}")

    async def _serve(self) -> None:
        code: grpc.StatusCode | None = None
        reason = "the control plane closed the stream"
        task = self._task = asyncio.current_task()
        assert task is not None
        why: list[str] = []

        def end(because: str) -> None:
            if not why:
                why.append(because)
                task.cancel()

        # What the interceptor does before and beside every stream.
        identities, context = self.plane.identities, Context(self.agent_id, self.plane.clock())
        opened_at = self.world.loop.time()
        forget = identities.streams.watch(self.agent_id, end)
        try:
            refused = identities.why_refused(context.identity)
            if refused:
                raise Aborted(grpc.StatusCode.UNAUTHENTICATED, refused)
            async for message in self.plane.listener.Session(self.requests, context):
                if not self.plane.alive or not self.server_open:
                    return
                self.world.watch.leaves_plane(self.agent_id, message, opened_at)
                self.send_down(message)
        except Aborted as error:
            code, reason = error.code, str(error)
        except asyncio.CancelledError:
            if not why:
                return
            code, reason = grpc.StatusCode.UNAUTHENTICATED, why[0]
        except Exception as error:  # noqa: BLE001 - gRPC turns whatever a handler raises into a status
            if self.plane.alive:
                self.world.broken("C", self.agent_id, f"the listener raised {type(error).__name__}: {error}", error)
            code, reason = grpc.StatusCode.UNKNOWN, str(error)
        finally:
            forget()
        if self.plane.alive and self.server_open:
            self.server_open = False
            self._later_down(lambda: self._end_client(code, reason))

    # Directions: order is kept, and a blocked one waits.

    def send_up(self, message: Any) -> None:
        """The agent says something."""
        if self.client_open:
            self._up_at = max(self._up_at, self.world.loop.time() + self.wire.delay_s())
            self._up.append(message)
            self.world.loop.call_at(self._up_at, self._arrive_up)

    def send_down(self, message: Any) -> None:
        """The control plane says something."""
        self._down.append(message)
        self._later_down(self._arrive_down)

    def _later_down(self, call: Callable[[], None]) -> None:
        self._down_at = max(self._down_at, self.world.loop.time() + self.wire.delay_s())
        self.world.loop.call_at(self._down_at, call)

    def _arrive_up(self) -> None:
        if self.wire.up_blocked:
            self.world.loop.call_later(1.0 + self.wire.delay_s(), self._arrive_up)
            return
        if self._up and self.server_open and self.plane.alive:
            message = self._up.popleft()
            self.world.event("arrived at the plane", self.agent_id, message)
            self.world.rollouts.heard(self.agent_id)
            self.world.watch.audit.outages.arrives_at_plane(message)
            self.requests.put(message)

    def _arrive_down(self) -> None:
        if self.wire.down_blocked:
            self.world.loop.call_later(1.0 + self.wire.delay_s(), self._arrive_down)
            return
        if self._down and self.client_open:
            message = self._down.popleft()
            self.world.event("arrived at the agent", self.agent_id, message)
            self._on_message(message)

    # Ends.

    def cut(self, lost: float) -> None:
        """The connection is reset: of what is under way, a part is lost; each side notices in its own time."""
        rng = self.wire.rng
        for queue in (self._up, self._down):
            for _ in range(len(queue)):
                if queue and rng.random() < lost:
                    queue.pop()
                    self.world.mark("messages lost with their stream")
        self.world.loop.call_later(rng.uniform(0.0, 2.0), self._end_server)
        self.world.loop.call_later(
            rng.uniform(0.0, 2.0) if rng.random() < 0.8 else KEEPALIVE_S,
            self._end_client,
            grpc.StatusCode.UNAVAILABLE,
            "connection reset",
        )

    def hang_up(self) -> None:
        """The agent closes: the server learns it when the way is free."""
        self.client_open = False
        self._server_learns()

    def _server_learns(self) -> None:
        if self.wire.up_blocked:
            self.world.loop.call_later(5.0, self._server_learns)
            return
        self._up_at = max(self._up_at, self.world.loop.time() + self.wire.delay_s())
        self.world.loop.call_at(self._up_at, self._end_server)

    def _end_server(self) -> None:
        if self.server_open:
            self.server_open = False
            task = getattr(self, "_task", None)
            if task is not None and self.plane.alive:
                task.cancel()

    def _end_client(self, code: grpc.StatusCode | None, reason: str) -> None:
        if self.wire.down_blocked and code is None:
            self.world.loop.call_later(5.0, self._end_client, code, reason)
        elif self.client_open:
            self.client_open = False
            self._on_end(code, reason)

    def keepalive_failed(self) -> None:
        """The agent's pings went unanswered."""
        self._end_client(grpc.StatusCode.UNAVAILABLE, "keepalive timed out")
        self._server_learns()
