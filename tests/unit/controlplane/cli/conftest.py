"""A control plane on the far side of real TLS, and a `haulier` that talks to it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from controlplane.cli.main import main
from tests.unit.controlplane.cli.far_side import FarSide, serving


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Haulier = Callable[..., Ended]


@pytest.fixture
def far() -> Iterator[FarSide]:
    """A far side that has no answers yet."""
    with serving() as server:
        yield server


@pytest.fixture
def haulier(
    far: FarSide, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Haulier:
    """Runs one command line against `far`."""
    monkeypatch.setenv("HAULIER_PROFILE", str(far.write_profile(tmp_path / "profile.json")))
    monkeypatch.setenv("GRPC_VERBOSITY", "NONE")

    def run(*arguments: str) -> Ended:
        capsys.readouterr()
        code = main(arguments)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err + captured.out
        return Ended(code, captured.out, captured.err)

    return run
