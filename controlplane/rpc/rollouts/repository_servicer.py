"""The servicer for releases: operators publish, agents fetch. Nothing that was not signed offline gets in."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
from haulier.v1 import repository_pb2 as pb
from haulier.v1 import repository_pb2_grpc

from controlplane.releases.problems import Unproven
from controlplane.releases.repository import Repository
from controlplane.releases.verification import Proven, Target
from controlplane.rpc.calls.callers import agent_of, caller_name
from controlplane.rpc.rollouts.bandwidth import BandwidthLimiter, go
from controlplane.service.errors import Conflict, Damaged, NotFound, Precondition, StoreFailed
from controlplane.service.rollouts.release_log import ReleaseLog

PIECE_BYTES_MAX = 64 * 1024
METADATA_FILES_MAX = 2000
# Read from the disk at once, in a thread, and sent in pieces.
READ_BYTES = 16 * PIECE_BYTES_MAX
# A publisher that says nothing for so long is gone.
PUBLISHER_S_MAX = 60.0
# Nobody asks for less than this, or one piece would take its place for minutes.
PACE_BYTES_PER_S_MIN = 1024.0
# Where others wait, a stream ends after so long and is asked for again: slow agents take turns.
TURN_S_MAX = 120.0
# An agent that reads nothing for so long is cut off.
READER_S_MAX = 60.0
# Artefacts on their way at once; whoever comes later waits with its stream open.
FETCHES_MAX = 64


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Bytes a second of artefacts: to all hosts together, and to each."""

    total_bytes_per_s_max: float
    agent_bytes_per_s_max: float


class RepositoryServicer(repository_pb2_grpc.RepositoryServiceServicer):
    """See ``haulier.v1.RepositoryService``."""

    def __init__(
        self, repository: Repository, log: ReleaseLog, limits: FetchLimits, wall_clock: Callable[[], float]
    ) -> None:
        """``wall_clock`` tells whether signatures have ended, which people have dated by theirs."""
        self._repository = repository
        self._log = log
        self._limits = limits
        self._wall_clock = wall_clock
        self.reader_s_max = READER_S_MAX
        self.turn_s_max = TURN_S_MAX
        self._publishing = asyncio.Lock()
        self._pace = BandwidthLimiter(limits.total_bytes_per_s_max)
        self._fetches = asyncio.Semaphore(FETCHES_MAX)
        self._fetching: dict[str, asyncio.Event] = {}

    async def Publish(  # noqa: N802
        self, requests: AsyncIterator[pb.PublishRequest], context: Any
    ) -> AsyncIterator[pb.PublishResponse]:
        """Verify an offer, ask for what is missing, and serve it once all of it is here."""
        if self._publishing.locked():
            raise Conflict("another publication is under way: try again when it has ended")
        async with self._publishing:
            first = await _said(requests)
            if first.WhichOneof("said") != "offer":
                raise Precondition("the first message of a publication must carry an offer")
            with _refusals():
                files = _files_of(first.offer)
                proven = await asyncio.to_thread(self._repository.check, files, self._wall_clock())
                lacking = await asyncio.to_thread(self._repository.lacks, proven)
                self._check_offered(lacking, set(first.offer.target_paths))
                for target in lacking:
                    offset = await asyncio.to_thread(self._repository.here_bytes, target)
                    yield pb.PublishResponse(
                        wanted=pb.ArtefactWanted(
                            target_path=target.target_path, offset=offset, length_bytes=target.length
                        )
                    )
                    while offset < target.length:
                        piece = (await _said(requests)).piece
                        if not piece.data:
                            raise Precondition(f"{target.target_path}: a piece without bytes came")
                        offset = await asyncio.to_thread(self._repository.append, target, piece.offset, piece.data)
                    await asyncio.to_thread(self._repository.complete, target)
                await asyncio.to_thread(self._repository.commit, proven)
            released = [f"{each.version}/{each.architecture}" for each in proven.releases]
            await self._log.published(proven.targets, proven.timestamp, released, caller_name())
            yield pb.PublishResponse(
                published=pb.ReleasesPublished(versions=self._versions(proven), releases=map(_release, proven.releases))
            )

    async def ListReleases(self, request: pb.ListReleasesRequest, context: Any) -> pb.ListReleasesResponse:  # noqa: N802
        """List what was published."""
        proven = self._repository.proven
        if proven is None:
            if self._repository.broken:
                raise StoreFailed(self._repository.broken)
            return pb.ListReleasesResponse()
        return pb.ListReleasesResponse(releases=map(_release, proven.releases), versions=self._versions(proven))

    async def FetchMetadata(  # noqa: N802
        self, request: pb.FetchMetadataRequest, context: Any
    ) -> AsyncIterator[pb.FetchMetadataResponse]:
        """Send all signed metadata, as it is now."""
        for name, data in sorted(self._repository.files.items()):
            number, _, rest = name.partition(".")
            if rest == "root.json" and int(number) <= request.trusted_root:
                continue
            for offset in range(0, len(data), PIECE_BYTES_MAX):
                piece = data[offset : offset + PIECE_BYTES_MAX]
                yield pb.FetchMetadataResponse(name=name, data=piece, last=offset + len(piece) == len(data))

    async def FetchArtefact(  # noqa: N802
        self, request: pb.FetchArtefactRequest, context: Any
    ) -> AsyncIterator[pb.FetchArtefactResponse]:
        """Send an artefact from an offset on, as fast as the limits allow."""
        identity = agent_of(context)
        assert identity is not None, "the interceptor lets only agents through"
        found = self._repository.artefact(request.target_path)
        if found is None:
            raise NotFound(f"no release {request.target_path[:200]!r} is published here")
        path, target = found
        if request.offset > target.length:
            raise Precondition(f"{target.target_path} has {target.length} bytes, not {request.offset}")
        agent_bytes_per_s = self._limits.agent_bytes_per_s_max
        if request.bytes_per_s_max:
            agent_bytes_per_s = min(agent_bytes_per_s, max(float(request.bytes_per_s_max), PACE_BYTES_PER_S_MIN))
        ended = ""
        with self._only_one_of(identity.id) as overtaken:
            async with self._fetches, contextlib.aclosing(_pieces(path, target, int(request.offset))) as pieces:
                ended = await self._send(pieces, BandwidthLimiter(agent_bytes_per_s), overtaken, context)
        if ended:
            # Only now, in nobody's way: to an agent that does not read, even this takes as long as its connection.
            await context.abort(grpc.StatusCode.ABORTED, f"{ended}; fetch again to go on")
        return
        # Never reached: it makes this a stream like the others, although its pieces are written with a bound.
        yield pb.FetchArtefactResponse()

    async def _send(
        self,
        pieces: AsyncIterator[pb.FetchArtefactResponse],
        pace: BandwidthLimiter,
        overtaken: asyncio.Event,
        context: Any,
    ) -> str:
        """Send pieces in time; returns why it stopped before the end, or ""."""
        clock = asyncio.get_running_loop().time
        turn_ends_at = clock() + self.turn_s_max
        async for piece in pieces:
            await go(len(piece.data), pace, self._pace)
            if overtaken.is_set():
                return "another fetch of this agent took over"
            if clock() > turn_ends_at and self._fetches.locked():
                return "other agents wait"
            try:
                async with asyncio.timeout(self.reader_s_max):
                    await context.write(piece)
            except TimeoutError:
                return f"nothing was read for {self.reader_s_max:g} s"
            except grpc.aio.InternalError:
                # The agent has gone; how far it came, it knows itself.
                return ""
        return ""

    @contextlib.contextmanager
    def _only_one_of(self, agent_id: str) -> Iterator[asyncio.Event]:
        """One stream for each agent: a newer one ends the older."""
        if agent_id in self._fetching:
            self._fetching[agent_id].set()
        overtaken = self._fetching[agent_id] = asyncio.Event()
        try:
            yield overtaken
        finally:
            if self._fetching.get(agent_id) is overtaken:
                del self._fetching[agent_id]

    def _check_offered(self, lacking: list[Target], offered: set[str]) -> None:
        for target in lacking:
            if target.target_path not in offered:
                raise Precondition(
                    f"the signed targets name {target.target_path}, which is neither here nor in the repository"
                    f"\nhint: bring it, or take it out with "
                    f"`haulier release withdraw {target.version} --keys DIR --repository DIR`"
                )
        needed_bytes = sum(target.length for target in lacking)
        free_bytes = shutil.disk_usage(self._repository.directory).free
        if needed_bytes > free_bytes:
            raise StoreFailed(
                f"{self._repository.directory} has {free_bytes} bytes free, and these artefacts need {needed_bytes}"
            )

    def _versions(self, proven: Proven) -> pb.MetadataVersions:
        ends_in = proven.ends_at - datetime.fromtimestamp(self._wall_clock(), UTC)
        return pb.MetadataVersions(
            root=proven.root,
            timestamp=proven.timestamp,
            snapshot=proven.snapshot,
            targets=proven.targets,
            ends_in_s=ends_in.total_seconds(),
        )


async def _pieces(path: Path, target: Target, offset: int) -> AsyncGenerator[pb.FetchArtefactResponse, None]:
    """An artefact in pieces from an offset on. Raises NotFound when it was withdrawn meanwhile, Damaged."""
    try:
        file = await asyncio.to_thread(path.open, "rb", 0)
    except FileNotFoundError:
        raise NotFound(f"{target.target_path} is not published any more") from None
    with file:
        while offset < target.length:
            block = await asyncio.to_thread(os.pread, file.fileno(), READ_BYTES, offset)
            if not block:
                raise Damaged(f"{target.target_path} is cut short on the control plane's disk: publish it again")
            for at in range(0, len(block), PIECE_BYTES_MAX):
                data = block[at : at + PIECE_BYTES_MAX]
                yield pb.FetchArtefactResponse(offset=offset, data=data, length_bytes=target.length)
                offset += len(data)


async def _said(requests: AsyncIterator[pb.PublishRequest]) -> pb.PublishRequest:
    """The publisher's next message. Raises Precondition when none comes."""
    try:
        async with asyncio.timeout(PUBLISHER_S_MAX):
            return await anext(aiter(requests))
    except StopAsyncIteration:
        raise Precondition("the publisher left before everything was here; publish again to go on") from None
    except TimeoutError:
        raise Precondition(f"the publisher said nothing for {PUBLISHER_S_MAX:g} s; publish again to go on") from None


def _files_of(offer: pb.RepositoryOffer) -> dict[str, bytes]:
    if len(offer.metadata) > METADATA_FILES_MAX:
        raise Unproven("bad_metadata", f"more than {METADATA_FILES_MAX} files of metadata were offered")
    return {file.name: file.data for file in offer.metadata}


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """What the repository refuses, and what its disk refuses, in the words of the contract."""
    try:
        yield
    except Unproven as problem:
        raise Precondition(f"{problem}\nhint: {problem.hint}" if problem.hint else str(problem)) from None
    except OSError as error:
        raise StoreFailed(f"releases cannot be stored: {error.strerror}; what came so far is kept") from error


def _release(target: Target) -> pb.Release:
    return pb.Release(
        version=target.version,
        architecture=target.architecture,
        digest=target.digest,
        target_path=target.target_path,
        length_bytes=target.length,
        unpacked_bytes=target.unpacked_bytes,
        min_from=target.min_from,
        back_from=target.back_from,
    )
