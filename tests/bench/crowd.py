"""A process full of simulated agents: real certificates, one TLS connection each, no work behind their answers.

It is told by one JSON object in its first argument and speaks JSON lines on standard output: ``connected`` when all
streams are open, ``granted`` with what came when, ``done`` when a burst is over. SIGUSR1 begins a
burst, SIGTERM ends it.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import struct
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import uvloop
from haulier.v1 import agent_pb2 as pb
from haulier.v1 import agent_pb2_grpc, audit_pb2

from agentd.core.reconnecting import wait_s
from agentd.link.client import SESSION_OPTIONS
from tests.bench.crowd_release import SimulatedRelease

CONNECTING_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Part:
    """What the agents of one process are to do.

    ``holds``: keep what is granted and renew it, instead of answering. ``burst``: results to give after each SIGUSR1,
    keeping whatever else is granted; 0 means to answer everything. ``touches``: a file that gets 16 bytes for each
    step. ``notes_grants``: print each grant with its instant.

    ``release``: version and digest that they run as a release, and so answer upgrades; empty: they are none.
    ``manners``: digest → in which manner that release is bad (``crowd_release``), after an @ with which datastore.
    ``upgrade_pace_s``: how long each stage of an upgrade takes. ``facts`` and ``datastores``: of agents by the rest of
    their number. ``step_s``: how long steps are said to have taken.
    """

    identities: str
    names: list[str]
    slots: int
    kind: str = "noop"
    results_max: int = 1000
    heartbeat_s: float = 15.0
    holds: bool = False
    burst: int = 0
    touches: str = ""
    notes_grants: bool = False
    release: tuple[str, str] = ("", "")
    manners: Mapping[str, str] = field(default_factory=dict)
    upgrade_pace_s: float = 0.5
    facts: tuple[Mapping[str, Any], ...] = ({},)
    datastores: tuple[tuple[str, ...], ...] = (("*",),)
    step_s: float = 0.0


class Crowd:
    """All agents of this process."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.connected = 0
        self.given = 0
        self.allowed = 0
        self.agents: list[SimulatedAgent] = []
        self.connecting = asyncio.Semaphore(CONNECTING_AT_ONCE)
        self.file = os.open(part.touches, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600) if part.touches else -1

    def may_give(self) -> bool:
        """Tell whether one more result may be given, and count it."""
        if self.part.holds or (self.part.burst and self.given >= self.allowed):
            return False
        self.given += 1
        if self.file >= 0:
            os.write(self.file, struct.pack("<dq", time.time(), self.given))
        if self.given == self.allowed:
            say(done=self.given)
        return True

    def begin_burst(self) -> None:
        """Allow more results, and give those that wait for it."""
        self.allowed += self.part.burst
        for agent in self.agents:
            agent.answer_held()


class SimulatedAgent:
    """One agent: whatever it is granted it answers at once, all that waits in one message."""

    def __init__(self, crowd: Crowd, number: int) -> None:
        self.crowd = crowd
        self.phase = (number + 1) / len(crowd.part.names)
        part = crowd.part
        self.datastores = part.datastores[number % len(part.datastores)]
        facts = part.facts[number % len(part.facts)]
        version, digest = part.release
        self.release = SimulatedRelease(
            version, digest, facts, part.manners, part.upgrade_pace_s, self._has_news, self._hang_up
        )
        self.call: Any = None
        name = crowd.part.names[number]
        told = json.loads((Path(crowd.part.identities) / f"{name}.json").read_text())
        self.address = told["address"]
        self.credentials = grpc.ssl_channel_credentials(
            told["ca"].encode(), told["key"].encode(), told["certificate"].encode()
        )
        self.held: dict[str, int] = {}
        self.unacknowledged: dict[str, pb.AttemptResult] = {}
        self.to_say: list[pb.AttemptResult] = []
        self.ready = asyncio.Event()
        self.sequence = 0
        self.sessions = 0
        # The newest head of the audit log that it was shown; None at first.
        self.witnessed: audit_pb2.TreeHead | None = None
        # The control plane refuses an earlier life of an agent, so a later process must come after this one.
        self.incarnation = int(time.time() * 1000)

    async def live(self) -> None:
        """Keep a session open, and dial again when it breaks, as long after as a real agent does."""
        failures = 0
        while True:
            before = self.sessions
            try:
                async with grpc.aio.secure_channel(self.address, self.credentials, options=SESSION_OPTIONS) as channel:
                    await self._session(channel)
            except grpc.aio.AioRpcError as error:
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                    say(error=f"{error.code().name}: {error.details()}")
            failures = failures + 1 if self.sessions == before else 0
            await asyncio.sleep(wait_s(failures, self.phase))

    async def _session(self, channel: Any) -> None:
        async with self.crowd.connecting:
            self.incarnation += 1
            call = agent_pb2_grpc.AgentServiceStub(channel).Session()
            held = [pb.HeldAttempt(attempt_id=a, fence=f) for a, f in self.held.items()]
            await call.write(
                pb.SessionRequest(
                    sequence=1,
                    hello=pb.Hello(
                        incarnation=self.incarnation,
                        agent_version=self.release.status.version or "bench",
                        facts=self.release.facts,
                        release=self.release.status if self.release.status.digest else None,
                        kinds=[self.crowd.part.kind],
                        datastores=self.datastores,
                        slots=self.crowd.part.slots,
                        boot_id="bench",
                        held=held,
                        witnessed=self.witnessed,
                    ),
                )
            )
            self.sequence = 1
            welcome = await call.read()
        if welcome is grpc.aio.EOF or not welcome.HasField("welcome"):
            return
        self.sessions += 1
        self.call = call
        self.crowd.connected += 1
        if self.crowd.connected == len(self.crowd.part.names):
            say(connected=self.crowd.connected, at=time.time())
        self.to_say = list(self.unacknowledged.values())
        if self.to_say:
            self.ready.set()
        speaking = asyncio.create_task(self._speak(call))
        try:
            while (message := await call.read()) is not grpc.aio.EOF:
                self._take(message)
            await call.code()
        except asyncio.CancelledError:
            # Also what our own hanging up raises, and then this life of the agent goes on.
            if self.call is not None:
                raise
        finally:
            self.crowd.connected -= 1
            self.call = None
            speaking.cancel()
            call.cancel()

    def _take(self, message: pb.SessionResponse) -> None:
        crowd = self.crowd
        for attempt_id in message.acknowledged_attempt_ids:
            self.unacknowledged.pop(attempt_id, None)
        for directive in message.directives:
            self.release.take(directive)
        if message.HasField("shown_head"):
            self.witnessed = message.shown_head.head
        if not message.grants:
            return
        if crowd.part.notes_grants:
            say(granted=[[g.step_id, g.attempt_id, g.fence] for g in message.grants], at=time.time())
        for grant in message.grants:
            if crowd.may_give():
                self._answer(grant.attempt_id, grant.fence)
            else:
                self.held[grant.attempt_id] = grant.fence
        self.ready.set()

    def answer_held(self) -> None:
        """Answer what was held back, as far as results may be given."""
        for attempt_id, fence in list(self.held.items()):
            if not self.crowd.may_give():
                break
            del self.held[attempt_id]
            self._answer(attempt_id, fence)
        self.ready.set()

    def _has_news(self) -> None:
        self.ready.set()

    def _hang_up(self) -> None:
        """Do as a daemon that is started anew: its stream ends, and it dials again."""
        if self.call is not None:
            self.call.cancel()
            self.call = None

    def _answer(self, attempt_id: str, fence: int) -> None:
        result = pb.AttemptResult(
            attempt_id=attempt_id, fence=fence, outcome=pb.ATTEMPT_OUTCOME_SUCCEEDED, result=b"{}"
        )
        manner, _, where = self.release.manner.partition("@")
        manner = manner if not where or where in self.datastores else ""
        step_s = self.crowd.part.step_s
        if step_s:
            result.use.wall_s = step_s * (10.0 if manner == "slow" else 1.0)
        if manner == "fails_some":
            result.outcome, result.result = pb.ATTEMPT_OUTCOME_FAILED, b""
            result.failure.code, result.failure.message = "value_does_not_fit", "seeded"
        self.unacknowledged[attempt_id] = result
        self.to_say.append(result)

    def _sample(self) -> pb.HostSample:
        leaks = self.release.manner == "leaks"
        return pb.HostSample(
            cpu_fraction=random.random(),
            memory_used_bytes=1 << 32,
            memory_total_bytes=1 << 33,
            disk_free_bytes=1 << 38,
            agent_rss_bytes=(1 << 31) if leaks else (1 << 27),
        )

    async def _speak(self, call: Any) -> None:
        """Say what waits as soon as the last message is out; a heartbeat when it is time."""
        part = self.crowd.part
        loop = asyncio.get_running_loop()
        # Spread over the interval, as those of agents that started at different times are.
        beat_at = loop.time() + part.heartbeat_s * self.phase
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.ready.wait(), max(0.0, beat_at - loop.time()))
            self.ready.clear()
            while self.to_say or self.release.news or loop.time() >= beat_at:
                self.sequence += 1
                now, self.to_say = self.to_say[: part.results_max], self.to_say[part.results_max :]
                message = pb.SessionRequest(sequence=self.sequence, results=now)
                if self.release.news or loop.time() >= beat_at:
                    beat_at = loop.time() + part.heartbeat_s
                    message.heartbeat.held.extend(pb.HeldAttempt(attempt_id=a, fence=f) for a, f in self.held.items())
                    if self.release.news:
                        self.release.news = False
                        message.heartbeat.release.CopyFrom(self.release.status)
                    message.heartbeat.sample.CopyFrom(self._sample())
                    if self.witnessed is not None:
                        message.heartbeat.witnessed.CopyFrom(self.witnessed)
                try:
                    await call.write(message)
                except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    return  # the stream has ended; what was said in vain is said again in the next hello


def say(**told: object) -> None:
    """Print one JSON line."""
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


async def live(part: Part) -> None:
    """Run all agents until SIGTERM."""
    stopping = asyncio.Event()
    crowd = Crowd(part)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, crowd.begin_burst)
    crowd.agents = [SimulatedAgent(crowd, number) for number in range(len(part.names))]
    lives = [asyncio.create_task(agent.live()) for agent in crowd.agents]
    await stopping.wait()
    for each in lives:
        each.cancel()
    await asyncio.gather(*lives, return_exceptions=True)


if __name__ == "__main__":
    uvloop.run(live(Part(**json.loads(sys.argv[1]))))
