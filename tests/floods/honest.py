"""Honest agents beside a flood: each holds a lease and times the answer to every heartbeat.

``python -m tests.floods.honest IDENTITIES NAMES``: prints ``ready``, then on SIGUSR1 the round trips since the last
one as a JSON list of seconds, and ends on SIGTERM.
"""

import asyncio
import json
import signal
import sys
import time
from pathlib import Path

import grpc
import uvloop
from haulier.v1 import agent_pb2 as pb
from haulier.v1 import agent_pb2_grpc

BEAT_EVERY_S = 0.25
OPTIONS = (("grpc.use_local_subchannel_pool", 1),)


class Beater:
    """One agent; a stream that breaks is dialled again, and the time without it counts as one round trip."""

    def __init__(self, identity: Path, took: list[float]) -> None:
        self._told = json.loads(identity.read_text())
        self._took = took
        self._held: dict[str, int] = {}
        self._unanswered: dict[int, float] = {}
        self._incarnation = int(time.time() * 1000)
        self.greeted = asyncio.Event()

    async def live(self) -> None:
        """Beat for ever."""
        told = self._told
        credentials = grpc.ssl_channel_credentials(
            told["ca"].encode(), told["key"].encode(), told["certificate"].encode()
        )
        while True:
            try:
                async with grpc.aio.secure_channel(told["address"], credentials, options=OPTIONS) as channel:
                    await self._session(channel)
            except grpc.aio.AioRpcError as error:
                print(json.dumps({"broken": f"{error.code().name}: {error.details()}"}), flush=True)

    async def _session(self, channel: grpc.aio.Channel) -> None:
        self._incarnation += 1
        began_at = time.monotonic()
        call = agent_pb2_grpc.AgentServiceStub(channel).Session()
        held = [pb.HeldAttempt(attempt_id=a, fence=f) for a, f in self._held.items()]
        hello = pb.Hello(
            incarnation=self._incarnation,
            agent_version="honest",
            kinds=["noop"],
            datastores=["*"],
            slots=1,
            boot_id="honest",
            held=held,
        )
        await call.write(pb.SessionRequest(sequence=1, hello=hello))
        await call.read()
        self._took.append(time.monotonic() - began_at)
        beating = asyncio.create_task(self._beat(call))
        try:
            while (said := await call.read()) is not grpc.aio.EOF:
                for grant in said.grants:
                    self._held[grant.attempt_id] = grant.fence
                    self.greeted.set()
                for renewal in said.renewals:
                    sent_at = self._unanswered.pop(renewal.asked_in_sequence, None)
                    if sent_at is not None:
                        self._took.append(time.monotonic() - sent_at)
            await call.code()
        finally:
            beating.cancel()
            # What was asked on a broken stream was answered by nobody.
            self._took += [time.monotonic() - at for at in self._unanswered.values()]
            self._unanswered.clear()

    async def _beat(self, call: grpc.aio.StreamStreamCall) -> None:
        sequence = 1
        while True:
            await asyncio.sleep(BEAT_EVERY_S)
            if not self._held:
                continue
            sequence += 1
            self._unanswered[sequence] = time.monotonic()
            held = [pb.HeldAttempt(attempt_id=a, fence=f, watermark=sequence) for a, f in self._held.items()]
            await call.write(pb.SessionRequest(sequence=sequence, heartbeat=pb.Heartbeat(held=held)))


async def live(identities: Path, names: list[str]) -> None:
    """Run until SIGTERM."""
    took: list[float] = []
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)

    def tell() -> None:
        print(json.dumps({"took": took}), flush=True)
        took.clear()

    loop.add_signal_handler(signal.SIGUSR1, tell)
    beaters = [Beater(identities / f"{name}.json", took) for name in names]
    lives = [asyncio.create_task(each.live()) for each in beaters]
    for each in beaters:
        await each.greeted.wait()
    print(json.dumps({"ready": len(names)}), flush=True)
    await stopping.wait()
    for life in lives:
        life.cancel()
    await asyncio.gather(*lives, return_exceptions=True)


if __name__ == "__main__":
    uvloop.run(live(Path(sys.argv[1]), json.loads(sys.argv[2])))
