"""Fetches what an upgrade needs into a directory: signed metadata from the control plane, the artefact from a mirror or
from the control plane. Nothing here is believed: the updater verifies it all again.

    incoming/metadata/*.json    incoming/DIGEST.part → incoming/artefact
"""

import asyncio
import errno
import hashlib
import http.client
import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import grpc
from haulier.v1 import repository_pb2 as pb
from haulier.v1 import repository_pb2_grpc

from agentd.disk import durable
from agentd.link import proxies
from agentd.link.client import channel_of
from agentd.link.identity_files import Enrolment, NotJoined
from agentd.link.proxies import Proxy

METADATA, ARTEFACT = "metadata", "artefact"
PIECE_BYTES_MAX = 64 * 1024
METADATA_FILES_MAX = 2000
METADATA_BYTES_MAX = 32 * 1024 * 1024
ARTEFACT_BYTES_MAX = 4 * 1024**3
# Left free on the disk: running steps need it more.
FREE_BYTES_MIN = 256 * 1024 * 1024
# Without a byte for so long a source is given up; so is one that sends less than this many bytes a second for so long.
SILENT_S_MAX = 60.0
SLOW_BYTES_PER_S, SLOW_S = 1024, 120.0
# Progress is told once for so many bytes.
_TELL_BYTES = 512 * 1024
_NAME = re.compile(r"(\d{1,9}\.)?(root|timestamp|snapshot|targets)\.json")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_WORTH_TRYING_AGAIN = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
}


class FetchError(Exception):
    """The files are not here; `code` is stable. `retryable`: a later try may go on where this one ended."""

    def __init__(self, code: str, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable


class FetchTarget(Protocol):
    """What is fetched, as the control plane asks for it; 0 bytes a second means no limit."""

    @property
    def digest(self) -> str:
        """SHA-256 of the artefact, hex."""

    @property
    def target_path(self) -> str:
        """Its path in the signed targets metadata."""

    @property
    def bytes_per_s_max(self) -> int:
        """Most bytes a second."""


async def fetch(
    enrolment: Enrolment,
    wanted: FetchTarget,
    incoming: Path,
    progress: Callable[[int], None],
    mirrors: Sequence[str] = (),
    bytes_per_s_max: float = 0.0,
) -> None:
    """Bring everything that `wanted` needs into `incoming`, going on from what an earlier try has left.

    `progress` is told now and then how many bytes of the artefact are here. `mirrors` are directories or http(s)
    addresses of the host's own choice, tried before the control plane; `bytes_per_s_max` is its own limit, 0 for none.
    Uses a connection of its own. Raises FetchError.
    """
    if not _DIGEST.fullmatch(wanted.digest):
        raise FetchError("bad_request", "the wanted digest is not a SHA-256", retryable=False)
    try:
        await asyncio.to_thread(durable.make_directory, incoming)
        async with channel_of(enrolment) as channel:
            stub = repository_pb2_grpc.RepositoryServiceStub(channel)
            await _fetch_metadata(stub, incoming)
            limits = [each for each in (wanted.bytes_per_s_max, bytes_per_s_max) if each]
            artefact = _Artefact(wanted, incoming, progress, min(limits, default=0.0), enrolment.proxy)
            await artefact.fetch(stub, mirrors)
    except grpc.aio.AioRpcError as error:
        raise _of_status(error) from None
    except TimeoutError:
        raise FetchError("slow_source", f"nothing came for {SILENT_S_MAX:g} s", retryable=True) from None
    except NotJoined as error:
        raise FetchError("not_joined", str(error), retryable=False) from error
    except OSError as error:
        code = "disk_full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "disk_failed"
        raise FetchError(code, f"{incoming}: {error.strerror}", retryable=True) from error


async def _fetch_metadata(stub: Any, incoming: Path) -> None:
    """Bring all metadata, then put it in the place of the former at once."""
    fresh = incoming / f"{METADATA}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    files: dict[str, bytearray] = {}
    size_bytes = 0
    async for piece in _awaited(stub.FetchMetadata(pb.FetchMetadataRequest())):
        size_bytes += len(piece.data)
        files.setdefault(piece.name, bytearray()).extend(piece.data)
        if size_bytes > METADATA_BYTES_MAX or len(files) > METADATA_FILES_MAX or not _NAME.fullmatch(piece.name):
            raise FetchError("bad_metadata", "what the control plane sent is not metadata", retryable=True)
    if not files:
        raise FetchError("not_published", "no release is published on the control plane", retryable=True)
    durable.fill_directory(fresh, files)
    shutil.rmtree(incoming / METADATA, ignore_errors=True)
    durable.move(fresh, incoming / METADATA)


class _Artefact:
    """One artefact on its way in."""

    def __init__(
        self,
        wanted: FetchTarget,
        incoming: Path,
        progress: Callable[[int], None],
        bytes_per_s_max: float,
        proxy: Proxy | None = None,
    ) -> None:
        self._wanted = wanted
        self._proxy = proxy
        self._incoming = incoming
        self._progress = progress
        self._bytes_per_s_max = bytes_per_s_max
        self._part = incoming / f"{wanted.digest}.part"
        self._length = _told_length(incoming / METADATA, wanted)

    async def fetch(self, stub: Any, mirrors: Sequence[str]) -> None:
        """Bring it from the first source that has it. Raises FetchError, AioRpcError, OSError."""
        whole = self._incoming / ARTEFACT
        if whole.exists() and await asyncio.to_thread(_digest, whole) == self._wanted.digest:
            self._progress(self._length)
            return
        for left in self._incoming.glob("*.part"):
            if left != self._part:
                left.unlink()
        self._check_room()
        sources = [
            *(_mirrored(mirror, self._wanted.target_path, self._proxy) for mirror in mirrors),
            _served(stub, self._wanted, self._bytes_per_s_max),
        ]
        for source in sources:
            last = source is sources[-1]
            try:
                await self._take(source)
            except (FetchError, TimeoutError, http.client.HTTPException, OSError, ValueError):
                # A mirror that fails is not a loss: the next one goes on from here. The control plane is the last.
                if last:
                    raise
                continue
            if await asyncio.to_thread(_digest, self._part) == self._wanted.digest:
                durable.move(self._part, whole)
                return
            # Whose bytes were wrong is not known: the next source begins anew.
            self._part.unlink()
        raise FetchError("artefact_differs", "no source has the bytes that are wanted", retryable=True)

    async def _take(self, source: "Source") -> None:
        """Append what `source` sends, up to the length that was told, and make it durable."""
        clock = asyncio.get_running_loop().time
        with self._part.open("ab") as file:
            here = file.tell()
            if here > self._length:
                here = file.truncate(0)
            self._progress(here)
            began_at, began = clock(), here
            told = here
            async for data in source(here) if here < self._length else _nothing():
                here += len(data)
                if here > self._length:
                    raise FetchError(
                        "too_long", f"more than the {self._length} bytes that were told came", retryable=True
                    )
                file.write(data)
                file.flush()
                if here == self._length or here // _TELL_BYTES > told // _TELL_BYTES:
                    self._progress(here)
                    told = here
                took_s = clock() - began_at
                if took_s > SLOW_S and (here - began) / took_s < SLOW_BYTES_PER_S:
                    raise FetchError("slow_source", f"only {here - began} bytes came in {took_s:.0f} s", retryable=True)
                if self._bytes_per_s_max:
                    await asyncio.sleep((here - began) / self._bytes_per_s_max - took_s)
            await asyncio.to_thread(durable.sync_file, file)
        if here < self._length:
            raise FetchError("cut_short", f"{here} of {self._length} bytes came", retryable=True)

    def _check_room(self) -> None:
        here_bytes = self._part.stat().st_size if self._part.exists() else 0
        needed_bytes = self._length - here_bytes + FREE_BYTES_MIN
        free_bytes = shutil.disk_usage(self._incoming).free
        if free_bytes < needed_bytes:
            raise FetchError(
                "disk_full", f"{self._incoming} has {free_bytes} bytes free and needs {needed_bytes}", retryable=True
            )


# Bytes of an artefact from an offset on.
Source = Callable[[int], AsyncIterator[bytes]]


def _served(stub: Any, wanted: FetchTarget, bytes_per_s_max: float) -> Source:
    """The control plane."""

    async def source(offset: int) -> AsyncIterator[bytes]:
        request = pb.FetchArtefactRequest(
            target_path=wanted.target_path, offset=offset, bytes_per_s_max=int(bytes_per_s_max)
        )
        async for piece in _awaited(stub.FetchArtefact(request)):
            if piece.offset != offset:
                raise FetchError("bad_artefact", "pieces of the artefact do not follow each other", retryable=True)
            offset += len(piece.data)
            yield piece.data

    return source


def _mirrored(mirror: str, target_path: str, proxy: Proxy | None) -> Source:
    """A directory of this host, or an http(s) address."""

    async def source(offset: int) -> AsyncIterator[bytes]:
        file = await asyncio.to_thread(_opened, f"{mirror.rstrip('/')}/{target_path}", offset, proxy)
        with file:
            while data := await asyncio.to_thread(file.read, PIECE_BYTES_MAX):
                yield data

    return source


def _opened(path: str, offset: int, proxy: Proxy | None) -> Any:
    """A mirror's file from an offset on. Raises OSError, ValueError, HTTPException."""
    if not path.startswith(("http://", "https://")):
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        os.lseek(handle, offset, os.SEEK_SET)
        return os.fdopen(handle, "rb", buffering=0)
    # Most hosts have no mirror, and the daemon is to stay light.
    import urllib.request

    request = urllib.request.Request(path, headers={"Range": f"bytes={offset}-"} if offset else {})
    answer = proxies.opener(proxy).open(request, timeout=SILENT_S_MAX)
    if offset and answer.status != http.client.PARTIAL_CONTENT:
        # It knows no ranges: what is here already is read once more and thrown away.
        left_bytes = offset
        while left_bytes and (data := answer.read(min(left_bytes, PIECE_BYTES_MAX))):
            left_bytes -= len(data)
    return answer


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


async def _awaited(call: Any) -> AsyncIterator[Any]:
    """Messages of a stream, none of them later than a source may be silent."""
    try:
        while True:
            async with asyncio.timeout(SILENT_S_MAX):
                message = await call.read()
            if message is grpc.aio.EOF:
                break
            yield message
        if (code := await call.code()) is not grpc.StatusCode.OK:
            raise grpc.aio.AioRpcError(
                code, await call.initial_metadata(), await call.trailing_metadata(), await call.details()
            )
    finally:
        call.cancel()


def _told_length(metadata: Path, wanted: FetchTarget) -> int:
    """Bytes of the artefact by metadata that nobody has verified yet: good enough for a limit. Raises FetchError."""
    try:
        newest = max(metadata.glob("*.targets.json"), key=lambda path: int(path.name.split(".")[0]))
        length = json.loads(newest.read_bytes())["signed"]["targets"][wanted.target_path]["length"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise FetchError("unknown_target", "the signed targets do not name what is wanted", retryable=True) from None
    if type(length) is not int or not 0 < length <= ARTEFACT_BYTES_MAX:
        raise FetchError("bad_metadata", "the targets name an impossible length", retryable=True)
    return length


def _of_status(error: grpc.aio.AioRpcError) -> FetchError:
    code = error.code()
    details = " ".join((error.details() or "").split())[:300]
    told = f"{code.name.lower()}: {details}"
    if code is grpc.StatusCode.NOT_FOUND:
        return FetchError("not_published", told, retryable=True)
    if code is grpc.StatusCode.DATA_LOSS:
        return FetchError("artefact_differs", told, retryable=True)
    away = code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    return FetchError("control_plane_away" if away else "fetch_refused", told, retryable=code in _WORTH_TRYING_AGAIN)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
