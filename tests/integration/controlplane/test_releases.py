"""Releases on a real control plane: only what was signed offline gets in, and it is served whole, in pieces, paced."""

import asyncio
import errno
import json
import random
import shutil
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from haulier.v1 import repository_pb2 as pb
from haulier.v1 import repository_pb2_grpc

from controlplane.admin.init import PROFILE_FILE
from controlplane.cli.main import main
from controlplane.cli.releases.publishing import _offer
from controlplane.cli.screen.exits import Exit
from controlplane.releases.building import target_path
from tests.integration.controlplane.plane import CALL_S, Joined, Running, serving
from tests.kit.releases import ARCHITECTURE, Forge
from tests.kit.running import run, soon

# The control plane reads the wall clock of this host.
NOW = datetime.now(UTC)
TARGET = target_path("0.2.0", ARCHITECTURE)


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    made = Forge(tmp_path / "forge", now=NOW)
    made.release("0.2.0")
    return made


async def publish(running: Running, repository: Path) -> int:
    """Run the command in a thread, as a person would beside the control plane."""
    profile = running.state / "dialled.json"
    told = json.loads((running.state / PROFILE_FILE).read_text())
    profile.touch(mode=0o600)
    profile.write_text(json.dumps({**told, "address": running.public_address}))
    return await asyncio.to_thread(main, ["release", "publish", str(repository), "--profile", str(profile)])


def repository_of(running: Running, joined: Joined) -> Any:
    return repository_pb2_grpc.RepositoryServiceStub(running.agents(joined))


async def offered(running: Running, offer: pb.RepositoryOffer, pieces: Any = ()) -> str:
    """Publish past the command; return the refusal."""

    async def said() -> AsyncIterator[pb.PublishRequest]:
        yield pb.PublishRequest(offer=offer)
        for piece in pieces:
            yield pb.PublishRequest(piece=piece)

    stub = repository_pb2_grpc.RepositoryServiceStub(running.listener())
    try:
        async for _ in stub.Publish(said(), timeout=CALL_S, metadata=running.administrator):
            pass
    except grpc.aio.AioRpcError as error:
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION, error
        return error.details() or ""
    return ""


def stored(running: Running) -> dict[str, bytes]:
    top = running.state / "releases"
    return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}


def test_what_was_published_is_listed_fetched_and_survives_a_restart(
    tmp_path: Path, forge: Forge, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"

    async def first() -> None:
        async with serving(state) as running:
            assert await publish(running, forge.repository) == 0
            (event,) = [each for each in await running.events() if each.type == "ReleasesPublished"]
            assert event.detail == f"timestamp 1: 0.2.0/{ARCHITECTURE} (by administrator)"
            assert await publish(running, forge.repository) == 0

    async def second() -> None:
        async with serving(state) as running:
            joined = await running.join()
            stub = repository_of(running, joined)
            files: dict[str, bytes] = {}
            async for piece in stub.FetchMetadata(pb.FetchMetadataRequest(), timeout=CALL_S):
                files[piece.name] = files.get(piece.name, b"") + piece.data
            on_desk = {path.name: path.read_bytes() for path in (forge.repository / "metadata").iterdir()}
            assert files == on_desk
            later = [
                piece.name
                async for piece in stub.FetchMetadata(pb.FetchMetadataRequest(trusted_root=1), timeout=CALL_S)
            ]
            assert sorted(later) == sorted(files.keys() - {"1.root.json"})
            whole = (forge.repository / "targets" / TARGET).read_bytes()
            for offset in (0, 1, len(whole) - 1, len(whole)):
                request = pb.FetchArtefactRequest(target_path=TARGET, offset=offset)
                got = [piece.data async for piece in stub.FetchArtefact(request, timeout=CALL_S)]
                assert b"".join(got) == whole[offset:]
            target = running.plane.repository.find("0.2.0", ARCHITECTURE)
            assert target is not None and target.target_path == TARGET
            assert running.plane.repository.find("0.2.0", "aarch64") is None

    run(first())
    run(second())
    shown = capsys.readouterr().out
    assert "0.2.0" in shown and "signatures count for 6d" in shown


def test_a_publication_that_was_cut_goes_on_where_it_was(tmp_path: Path, forge: Forge) -> None:
    whole = (forge.repository / "targets" / TARGET).read_bytes()

    async def body() -> None:
        async with serving(tmp_path / "state") as running:
            offer = _offer(forge.repository)
            assert "left before everything was here" in await offered(
                running, offer, [pb.ArtefactPiece(offset=0, data=whole[:100])]
            )
            assert running.plane.repository.targets() == ()
            assert "do not fit" in await offered(running, offer, [pb.ArtefactPiece(offset=0, data=whole)])
            assert await offered(running, offer, [pb.ArtefactPiece(offset=100, data=whole[100:])]) == ""
            assert [each.version for each in running.plane.repository.targets()] == ["0.2.0"]

    run(body())


def unsigned(offer: pb.RepositoryOffer) -> None:
    """A target that nobody signed."""
    (file,) = [each for each in offer.metadata if each.name.endswith(".targets.json")]
    digest = next(iter(json.loads(file.data)["signed"]["targets"].values()))["hashes"]["sha256"]
    file.data = file.data.replace(digest.encode(), b"0" * 64)


def without(name: str) -> Callable[[pb.RepositoryOffer], None]:
    def change(offer: pb.RepositoryOffer) -> None:
        kept = [each for each in offer.metadata if not each.name.endswith(name)]
        del offer.metadata[:]
        offer.metadata.extend(kept)

    return change


def too_long(offer: pb.RepositoryOffer) -> None:
    offer.metadata[0].data += b" " * (4 * 1024 * 1024)


def not_json(offer: pb.RepositoryOffer) -> None:
    for file in offer.metadata:
        if file.name == "timestamp.json":
            file.data = b"{"


def no_artefact(offer: pb.RepositoryOffer) -> None:
    del offer.target_paths[:]


@pytest.mark.parametrize(
    ("change", "because"),
    [
        (unsigned, "does not match expected hash"),
        (without("root.json"), "1.root.json is missing"),
        (without("timestamp.json"), "timestamp.json is missing"),
        (without("targets.json"), "1.targets.json is missing"),
        (too_long, "is longer than"),
        (not_json, "Failed to deserialize"),
        (no_artefact, "neither here nor in the repository"),
    ],
)
def test_an_offer_that_is_not_proven_changes_nothing(
    tmp_path: Path, forge: Forge, change: Callable[[pb.RepositoryOffer], None], because: str
) -> None:
    async def body() -> None:
        async with serving(tmp_path / "state") as running:
            offer = _offer(forge.repository)
            change(offer)
            assert because in await offered(running, offer)
            assert stored(running) == {}

    run(body())


def test_a_file_that_was_changed_after_signing_is_named(
    tmp_path: Path, forge: Forge, capsys: pytest.CaptureFixture[str]
) -> None:
    path = forge.repository / "targets" / TARGET
    length = path.stat().st_size
    path.write_bytes(path.read_bytes() + b"x")

    async def body() -> None:
        async with serving(tmp_path / "state") as running:
            assert await publish(running, forge.repository) == Exit.USAGE
            told = capsys.readouterr().err
            assert f"the artefact has {length + 1} bytes, signed are {length}" in told and str(path) in told

    run(body())


def test_an_artefact_that_is_not_the_signed_one_is_thrown_away(tmp_path: Path, forge: Forge) -> None:
    whole = bytearray((forge.repository / "targets" / TARGET).read_bytes())
    whole[-1] ^= 1

    async def body() -> None:
        async with serving(tmp_path / "state") as running:
            piece = pb.ArtefactPiece(offset=0, data=bytes(whole))
            assert "its SHA-256 is" in await offered(running, _offer(forge.repository), [piece])
            assert stored(running) == {}
            long = pb.ArtefactPiece(offset=0, data=bytes(whole) + b"more")
            assert "do not fit" in await offered(running, _offer(forge.repository), [long])

    run(body())


def test_what_is_older_or_of_another_root_is_refused_and_the_newest_stays(tmp_path: Path, forge: Forge) -> None:
    old = tmp_path / "old"
    shutil.copytree(forge.repository, old)
    forge.release("0.3.0", now=NOW + timedelta(hours=1))
    other = Forge(tmp_path / "other", now=NOW)
    other.release("9.0.0")

    async def body() -> None:
        async with serving(tmp_path / "state") as running:
            assert await publish(running, forge.repository) == 0
            before = stored(running)
            assert "must be >=" in await offered(running, _offer(old))
            assert "is not the one that this control plane trusts" in await offered(running, _offer(other.repository))
            assert stored(running) == before
            assert [each.version for each in running.plane.repository.targets()] == ["0.3.0", "0.2.0"]
            forge.desk(NOW + timedelta(hours=2)).withdraw("0.2.0", forge.offline)
            forge.desk(NOW + timedelta(hours=2)).refresh(forge.online)
            assert await publish(running, forge.repository) == 0
            assert [each.version for each in running.plane.repository.targets()] == ["0.3.0"]
            assert len(list((running.state / "releases" / "artefacts").iterdir())) == 1

    run(body())


def test_names_outside_the_table_reach_no_file(tmp_path: Path, forge: Forge) -> None:
    async def body() -> None:
        async with serving(tmp_path / "state") as running:
            assert await publish(running, forge.repository) == 0
            stub = repository_of(running, await running.join())
            for name in ("", "../store.db", "/etc/passwd", "..", TARGET + "/../" + TARGET, "timestamp.json", "\0"):
                call = stub.FetchArtefact(pb.FetchArtefactRequest(target_path=name), timeout=CALL_S)
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await soon(aiter(call))
                assert refused.value.code() is grpc.StatusCode.NOT_FOUND, name
            far = pb.FetchArtefactRequest(target_path=TARGET, offset=1 << 40)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await soon(aiter(stub.FetchArtefact(far, timeout=CALL_S)))
            assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION

    run(body())


def test_agents_that_do_not_read_or_ask_twice_keep_nobody_waiting(
    tmp_path: Path, forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controlplane.rpc.rollouts.repository_servicer.FETCHES_MAX", 1)
    monkeypatch.setattr("controlplane.rpc.rollouts.repository_servicer.READER_S_MAX", 0.3)
    ballast = forge.home / f"tree-0.3.0-{ARCHITECTURE}" / "lib" / "ballast"
    ballast.parent.mkdir(parents=True)
    ballast.write_bytes(random.Random(2).randbytes(24 << 20))
    forge.release("0.3.0")
    request = pb.FetchArtefactRequest(target_path=target_path("0.3.0", ARCHITECTURE))

    async def body() -> None:
        async with serving(tmp_path / "state", release_bytes_per_s_agent_max=1e12) as running:
            assert await publish(running, forge.repository) == 0
            idle, other = await running.join("idle"), await running.join("other")
            mute = repository_of(running, idle).FetchArtefact(request, timeout=CALL_S)
            await soon(aiter(mute))
            # It holds the only place and reads no more, until it is cut off and the other has its turn.
            got = [
                len(each.data) async for each in repository_of(running, other).FetchArtefact(request, timeout=CALL_S)
            ]
            assert sum(got) > 24 << 20
            with pytest.raises(grpc.aio.AioRpcError, match="nothing was read") as ended:
                async for _ in mute:
                    pass
            assert ended.value.code() is grpc.StatusCode.ABORTED
            first = repository_of(running, other).FetchArtefact(request, timeout=CALL_S)
            await soon(aiter(first))
            second = repository_of(running, other).FetchArtefact(request, timeout=CALL_S)
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                async for _ in first:
                    pass
            assert ended.value.code() is grpc.StatusCode.ABORTED
            assert (await soon(aiter(second))).offset == 0

    run(body())


def test_a_disk_that_is_full_is_told_and_what_came_is_kept(
    tmp_path: Path, forge: Forge, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def body() -> None:
        async with serving(tmp_path / "state") as running:
            with monkeypatch.context() as patch:
                patch.setattr("controlplane.releases.repository.Repository.complete", full)
                assert await publish(running, forge.repository) == Exit.UNREACHABLE
            assert running.plane.repository.targets() == ()
            assert await publish(running, forge.repository) == 0
            told = capsys.readouterr().err
            assert "releases cannot be stored: No space left on device; what came so far is kept" in told
            assert f"from byte {len((forge.repository / 'targets' / TARGET).read_bytes())} on" in told

    run(body())


def test_signatures_that_end_soon_are_a_bad_answer(tmp_path: Path, forge: Forge) -> None:
    async def body() -> None:
        async with serving(tmp_path / "state") as running:
            assert await publish(running, forge.repository) == 0
            listing = ["release", "list", "--profile", str(running.state / "dialled.json")]
            for days, code in ((0, Exit.OK), (6, Exit.OK), (8, Exit.BAD_ANSWER)):
                assert await asyncio.to_thread(main, [*listing, "--ends-within", str(days)]) == code

    run(body())


def test_two_publications_do_not_mix(tmp_path: Path, forge: Forge) -> None:
    async def body() -> None:
        async with serving(tmp_path / "state") as running:
            going_on = asyncio.Event()

            async def slowly() -> AsyncIterator[pb.PublishRequest]:
                yield pb.PublishRequest(offer=_offer(forge.repository))
                await going_on.wait()

            stub = repository_pb2_grpc.RepositoryServiceStub(running.listener())
            slow = stub.Publish(slowly(), timeout=CALL_S, metadata=running.administrator)
            assert (await soon(aiter(slow))).HasField("wanted")
            assert await publish(running, forge.repository) == Exit.CONFLICT
            going_on.set()
            assert await slow.code() is grpc.StatusCode.FAILED_PRECONDITION
            assert await publish(running, forge.repository) == 0

    run(body())
