"""Fetching what an upgrade needs: from a real control plane over mutual TLS, from mirrors, and from liars."""

import asyncio
import functools
import http.server
import json
import random
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from haulier.v1 import repository_pb2 as pb
from haulier.v1 import repository_pb2_grpc

from agentd.link.identity_files import CA, CERTIFICATE, IDENTITY, KEY, Enrolment, load
from agentd.updater.unpacking import faults_of, unpack
from agentd.upgrading import fetching
from agentd.upgrading.fetching import PIECE_BYTES_MAX, FetchError, fetch
from controlplane.releases.building import Built, target_path
from tests.integration.controlplane.plane import Joined, Running, serving
from tests.integration.controlplane.test_releases import publish
from tests.kit.releases import ARCHITECTURE, Forge, Host, wanted
from tests.kit.running import WAIT_S, run

NOW = datetime.now(UTC)
BALLAST_BYTES = 40 * PIECE_BYTES_MAX


@dataclass(frozen=True)
class Wish:
    """What a control plane asks for."""

    digest: str
    target_path: str
    bytes_per_s_max: int = 0


@dataclass
class Told:
    """What `progress` was told."""

    at: list[int] = field(default_factory=list)

    def __call__(self, fetched_bytes: int) -> None:
        self.at.append(fetched_bytes)


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    return Forge(tmp_path / "forge", now=NOW)


@pytest.fixture
def built(forge: Forge) -> Built:
    ballast = forge.home / f"tree-0.2.0-{ARCHITECTURE}" / "lib" / "ballast"
    ballast.parent.mkdir(parents=True)
    ballast.write_bytes(random.Random(1).randbytes(BALLAST_BYTES))
    return forge.release("0.2.0")


def wish_of(built: Built, bytes_per_s_max: int = 0) -> Wish:
    return Wish(built.digest, target_path(built.version, built.architecture), bytes_per_s_max)


def enrolled(state: Path, joined: Joined, running: Running) -> Enrolment:
    state.mkdir(parents=True, exist_ok=True)
    (state / KEY).write_bytes(joined.key.pem)
    (state / CERTIFICATE).write_bytes(joined.certificate_pem)
    (state / CA).write_bytes(running.ca)
    told = {"agent_id": joined.id, "name": "host-1", "session_address": running.agents_address}
    (state / IDENTITY).write_text(json.dumps(told))
    return load(state)


@asynccontextmanager
async def published(tmp_path: Path, forge: Forge) -> AsyncIterator[Enrolment]:
    """A control plane that serves the forge's repository, and an agent of it."""
    async with serving(tmp_path / "plane") as running:
        assert await publish(running, forge.repository) == 0
        yield enrolled(tmp_path / "agent", await running.join(), running)


def test_from_the_desk_to_an_unpacked_tree(tmp_path: Path, forge: Forge, built: Built) -> None:
    host = Host(tmp_path / "host", forge.first_root)
    told = Told()

    async def body() -> None:
        async with published(tmp_path, forge) as enrolment:
            await fetch(enrolment, wish_of(built), host.incoming, told)
            await fetch(enrolment, wish_of(built), host.incoming, told)

    run(body())
    assert told.at[0] == 0 and told.at == sorted(told.at) and told.at[-1] == built.length
    assert sorted(path.name for path in host.incoming.iterdir()) == ["artefact", "metadata"]
    tree = unpack(host.verify(wanted(built), NOW), host.here.versions)
    assert faults_of(tree) == [] and tree.name == built.digest


def test_a_fetch_that_was_killed_goes_on_where_it_was(tmp_path: Path, forge: Forge, built: Built) -> None:
    incoming = tmp_path / "incoming"
    (tmp_path / "incoming").mkdir()
    (incoming / ("0" * 64 + ".part")).write_bytes(b"of another release")

    async def body() -> None:
        async with published(tmp_path, forge) as enrolment:
            half = asyncio.Event()
            first = asyncio.create_task(
                fetch(
                    enrolment, wish_of(built), incoming, lambda here: half.set() if here > 9 * PIECE_BYTES_MAX else None
                )
            )
            await asyncio.wait_for(half.wait(), WAIT_S)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            (part,) = incoming.glob("*.part")
            left_bytes = part.stat().st_size
            told = Told()
            await fetch(enrolment, wish_of(built), incoming, told)
            assert told.at[0] == left_bytes > 9 * PIECE_BYTES_MAX

    run(body())
    assert (incoming / "artefact").read_bytes() == built.path.read_bytes()


def test_what_cannot_be_had_is_told_with_a_code(tmp_path: Path, forge: Forge, built: Built) -> None:
    codes = []

    async def attempt(enrolment: Enrolment, wish: Wish) -> None:
        with pytest.raises(FetchError) as failed:
            await fetch(enrolment, wish, tmp_path / "incoming", Told())
        codes.append((failed.value.code, failed.value.retryable))

    async def body() -> None:
        async with serving(tmp_path / "plane") as running:
            enrolment = enrolled(tmp_path / "agent", await running.join(), running)
            await attempt(enrolment, wish_of(built))
            assert await publish(running, forge.repository) == 0
            await attempt(enrolment, Wish(built.digest, "haulier-agentd-9.9.9-x86_64.tar.zst"))
            await attempt(enrolment, Wish("../../etc/passwd", target_path("0.2.0", ARCHITECTURE)))
            await attempt(enrolment, Wish("0" * 64, target_path("0.2.0", ARCHITECTURE)))
            (served,) = (tmp_path / "plane").rglob(built.digest)
            with served.open("r+b") as file:
                file.truncate(built.length // 2)
            await attempt(enrolment, wish_of(built))
        await attempt(enrolment, wish_of(built))

    run(body())
    assert codes == [
        ("not_published", True),
        ("unknown_target", True),
        ("bad_request", False),
        ("artefact_differs", True),
        ("artefact_differs", True),
        ("control_plane_away", True),
    ]
    assert not (tmp_path / "incoming" / "artefact").exists()


def test_a_full_disk_is_foreseen(tmp_path: Path, forge: Forge, built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "FREE_BYTES_MIN", 1 << 60)

    async def body() -> None:
        async with published(tmp_path, forge) as enrolment:
            with pytest.raises(FetchError) as failed:
                await fetch(enrolment, wish_of(built), tmp_path / "incoming", Told())
            assert failed.value.code == "disk_full" and failed.value.retryable

    run(body())


# Mirrors.


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A plain file server, which knows no ranges."""

    asked: list[str] = []  # noqa: RUF012 - shared with the test on purpose

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
        self.asked.append(self.path)


@pytest.fixture
def web(forge: Forge) -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(forge.repository / "targets"))
    Quiet.asked.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving_thread = threading.Thread(target=server.serve_forever, daemon=True)
        serving_thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        serving_thread.join(WAIT_S)


def test_a_mirror_is_used_and_goes_on_too(tmp_path: Path, forge: Forge, built: Built, web: str) -> None:
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    (incoming / f"{built.digest}.part").write_bytes(built.path.read_bytes()[:100_000])
    told = Told()

    async def body() -> None:
        async with published(tmp_path, forge) as enrolment:
            await fetch(enrolment, wish_of(built), incoming, told, [str(tmp_path / "nowhere"), web])

    run(body())
    assert told.at[0] == 100_000
    assert Quiet.asked == ["/" + target_path("0.2.0", ARCHITECTURE)]
    assert (incoming / "artefact").read_bytes() == built.path.read_bytes()


@pytest.mark.parametrize("lie", ["other bytes", "longer", "shorter"])
def test_a_mirror_that_lies_only_costs_time(tmp_path: Path, forge: Forge, built: Built, lie: str) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    true = built.path.read_bytes()
    told = {"other bytes": bytes([true[0] ^ 1]) + true[1:], "longer": true + b"more", "shorter": true[:-70_000]}[lie]
    (mirror / target_path("0.2.0", ARCHITECTURE)).write_bytes(told)

    async def body() -> None:
        async with published(tmp_path, forge) as enrolment:
            await fetch(enrolment, wish_of(built), tmp_path / "incoming", Told(), [str(mirror)])

    run(body())
    assert (tmp_path / "incoming" / "artefact").read_bytes() == true


# A control plane that lies.


class Liar(repository_pb2_grpc.RepositoryServiceServicer):
    """Answers without an end, or never."""

    def __init__(self, forge: Forge, lie: str) -> None:
        self._metadata = forge.repository / "metadata"
        self._lie = lie
        self.sent_bytes = 0

    async def FetchMetadata(self, request: Any, context: Any) -> AsyncIterator[pb.FetchMetadataResponse]:  # noqa: N802
        names = {"endless names": "{}.root.json", "a path": "../{}.json", "endless file": "1.targets.json"}
        while self._lie in names:
            name = names[self._lie].format(self.sent_bytes // PIECE_BYTES_MAX + 1)
            yield pb.FetchMetadataResponse(name=name, data=b" " * PIECE_BYTES_MAX)
            self.sent_bytes += PIECE_BYTES_MAX
        for path in self._metadata.iterdir():
            yield pb.FetchMetadataResponse(name=path.name, data=path.read_bytes(), last=True)

    async def FetchArtefact(self, request: Any, context: Any) -> AsyncIterator[pb.FetchArtefactResponse]:  # noqa: N802
        offset = request.offset
        while self._lie == "endless artefact":
            yield pb.FetchArtefactResponse(offset=offset, data=b" " * PIECE_BYTES_MAX)
            offset += PIECE_BYTES_MAX
            self.sent_bytes += PIECE_BYTES_MAX
        if self._lie == "a gap":
            yield pb.FetchArtefactResponse(offset=offset + 1, data=b"x")
        if self._lie == "drops":
            while True:
                yield pb.FetchArtefactResponse(offset=offset, data=b"x")
                offset += 1
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("lie", "code"),
    [
        ("endless names", "bad_metadata"),
        ("endless file", "bad_metadata"),
        ("a path", "bad_metadata"),
        ("endless artefact", "too_long"),
        ("a gap", "bad_artefact"),
        ("silence", "slow_source"),
        ("drops", "slow_source"),
    ],
)
def test_endless_and_slow_answers_end(
    tmp_path: Path, forge: Forge, built: Built, monkeypatch: pytest.MonkeyPatch, lie: str, code: str
) -> None:
    liar = Liar(forge, lie)
    monkeypatch.setattr(fetching, "SILENT_S_MAX", 0.5)
    monkeypatch.setattr(fetching, "SLOW_S", 0.5)
    monkeypatch.setattr(fetching, "SLOW_BYTES_PER_S", 1 << 30)

    async def body() -> None:
        server = grpc.aio.server()
        repository_pb2_grpc.add_RepositoryServiceServicer_to_server(liar, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        monkeypatch.setattr(fetching, "channel_of", lambda _: grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
        try:
            with pytest.raises(FetchError) as failed:
                await fetch(Enrolment(tmp_path, "ag_1", "host-1", ""), wish_of(built), tmp_path / "incoming", Told())
        finally:
            await server.stop(0)
        assert failed.value.code == code, failed.value

    run(body())
    assert sum(path.stat().st_size for path in (tmp_path / "incoming").rglob("*")) < 2 * built.length + (1 << 20)
