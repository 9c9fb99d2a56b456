"""Step kinds of users, in real processes: what a class declares is open to its steps, and nothing else."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from haulier.v1 import agent_pb2 as pb

from agentd.isolation.landlock import version
from tests.integration.agentd.world import world

pytestmark = pytest.mark.skipif(not version(), reason="this kernel has no Landlock")
# From this version of the kernel's interface on it judges ports.
PORTS_SINCE = 4


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def outcomes(home: Path, steps: dict[str, tuple[str, dict[str, Any]]], roots: str = "") -> dict[str, Any]:
    """The results of steps, by their names: each a kind and its parameters."""

    async def story() -> dict[str, Any]:
        policy = f'kinds = ["*"]\ndatastores = ["*"]\nroots = ["{roots or home / "data"}"]\n'
        async with world(home, policy=policy) as it:
            await it.start_agent()
            found = {}
            for name, (kind, params) in steps.items():
                await it.listener.grant(f"att_{name}", kind, params)
                found[name] = await it.listener.result(f"att_{name}")
            return found

    (home / "data").mkdir()
    (home / "data" / "file").write_text("content")
    return asyncio.run(story())


def reach(how: str, what: Any, **says: Any) -> tuple[str, dict[str, Any]]:
    return "reach", {"reaches": [how, what], "says": says}


def bare(how: str, what: Any) -> tuple[str, dict[str, Any]]:
    return "undeclared", {"reaches": [how, what]}


def test_a_kind_that_declares_nothing_has_its_own_directory_alone(tmp_path: Path, listener: int) -> None:
    data = tmp_path / "data"
    steps = {
        "read": bare("read", str(data / "file")),
        "write": bare("write", str(data / "new")),
        "run": bare("run", "/bin/true"),
        "open": bare("open", str(data)),
    }
    if version() >= PORTS_SINCE:
        steps["connect"] = bare("connect", listener)
    for name, result in outcomes(tmp_path, steps).items():
        assert result.outcome == pb.ATTEMPT_OUTCOME_FAILED, name
        assert result.failure.code == "not_declared", (name, result.failure)
        assert "'undeclared'" in result.failure.message
        assert "uses" in result.failure.hint
    assert not (data / "new").exists()


def test_what_a_kind_declares_is_open_and_no_more(tmp_path: Path, listener: int) -> None:
    data = tmp_path / "data"
    (tmp_path / "beside").write_text("canary")
    steps = {
        "read": reach("read", str(data / "file"), reads=[str(data)]),
        "write": reach("write", str(data / "new"), writes=[str(data)]),
        "run": reach("run", "/bin/true", programs=True),
        "connect": reach("connect", listener, network=[listener]),
        "anywhere": reach("connect", listener, network=True),
        "write_where_it_reads": reach("write", str(data / "worse"), reads=[str(data)]),
        "read_beside": reach("read", str(tmp_path / "beside"), reads=[str(data)]),
        "run_where_it_reads": reach("run", "/bin/true", reads=[str(data)]),
    }
    if version() >= PORTS_SINCE:
        steps["another_port"] = reach("connect", listener, network=[listener % 65535 + 1])
    found = outcomes(tmp_path, steps)
    reached = {name for name, result in found.items() if result.outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED}
    assert reached == {"read", "write", "run", "connect", "anywhere"}, found
    assert found["read"].result == b"content"
    assert not (data / "worse").exists()
    assert {found[name].failure.code for name in found.keys() - reached} == {"not_declared"}


def test_the_policy_judges_what_is_declared(tmp_path: Path) -> None:
    steps = {
        "outside": reach("read", "/etc/hostname", reads=["/etc"]),
        "relative": reach("read", "file", reads=["file"]),
        "no_declaration": reach("read", str(tmp_path / "data" / "file"), reads=[7]),
    }
    found = outcomes(tmp_path, steps)
    assert [found[name].failure.code for name in steps] == ["policy_refused", "policy_refused", "not_declared"]
    assert "outside the roots" in found["outside"].failure.message
    assert "neither a path nor a Datastore" in found["no_declaration"].failure.message
