"""Agents that fetch an artefact again and again, as fast as they can, and some that ask for it and never read."""

import asyncio
import json
import random
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import grpc
from haulier.v1 import repository_pb2 as pb
from haulier.v1 import repository_pb2_grpc

from controlplane.host.state_layout import RELEASES_DIR
from controlplane.releases.building import target_path
from controlplane.releases.repository import Repository
from tests.kit.releases import ARCHITECTURE, Forge, files_of

NAMES = [f"fetcher-{number}" for number in range(24)]
# Every fourth does not read.
MUTE_EVERY = 4
ARTEFACT_BYTES = 16 * 1024 * 1024
VERSION = "0.2.0"


def publish(home: Path, state: Path) -> None:
    """Put a release of this size onto the repository of a control plane that is stopped."""
    now = datetime.now(UTC)
    forge = Forge(home / "forge", now=now)
    ballast = forge.home / f"tree-{VERSION}-{ARCHITECTURE}" / "lib" / "ballast"
    ballast.parent.mkdir(parents=True)
    ballast.write_bytes(random.Random(3).randbytes(ARTEFACT_BYTES))
    built = forge.release(VERSION)
    repository = Repository(state / RELEASES_DIR)
    proven = repository.check(files_of(forge.repository), now.timestamp())
    (target,) = repository.lacks(proven)
    repository.append(target, 0, built.path.read_bytes())
    repository.complete(target)
    repository.commit(proven)


async def fetch(identities: Path, count: int) -> tuple[int, int]:
    """Fetch ``count`` times in all; returns how many were begun and how many did not come to their end."""
    left = iter(range(count))
    begun = ended = 0
    request = pb.FetchArtefactRequest(target_path=target_path(VERSION, ARCHITECTURE))

    async def one(number: int, stub: repository_pb2_grpc.RepositoryServiceStub) -> None:
        nonlocal begun, ended
        for _ in left:
            begun += 1
            call = stub.FetchArtefact(request, timeout=120)
            try:
                size = len((await call.read()).data)
                if number % MUTE_EVERY == 0:
                    await asyncio.sleep(5)
                    call.cancel()
                    continue
                while (piece := await call.read()) is not grpc.aio.EOF:
                    size += len(piece.data)
                ended += size > ARTEFACT_BYTES
            except grpc.aio.AioRpcError:
                continue

    async with AsyncExitStack() as closing:
        work = []
        for number, name in enumerate(NAMES):
            told = json.loads((identities / f"{name}.json").read_text())
            pair = (told["ca"].encode(), told["key"].encode(), told["certificate"].encode())
            channel = grpc.aio.secure_channel(
                told["address"],
                grpc.ssl_channel_credentials(*pair),
                options=(("grpc.use_local_subchannel_pool", 1),),
            )
            await closing.enter_async_context(channel)
            work.append(one(number, repository_pb2_grpc.RepositoryServiceStub(channel)))
        await asyncio.gather(*work)
    return begun, begun - ended
