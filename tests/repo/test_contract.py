"""The contract: the committed code is what the contract says, and the contract is well written."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROTO = ROOT / "proto"


def generated_in(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*_pb2*"))
        if path.suffix in (".py", ".pyi")
    }


def test_the_committed_code_is_what_the_contract_says(tmp_path: Path) -> None:
    protos = [str(path) for path in sorted(PROTO.glob("haulier/v1/*.proto"))]
    outputs = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", *outputs, *protos]
    generated = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert generated.returncode == 0, generated.stderr

    fresh, committed = generated_in(tmp_path), generated_in(PROTO)
    assert fresh.keys() == committed.keys() != set()
    stale = [name for name in fresh if fresh[name] != committed[name]]
    assert not stale, f"run `make proto`: {stale}"


def test_buf_finds_no_fault() -> None:
    buf = Path(sys.executable).with_name("buf")
    lint = subprocess.run([buf, "lint"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert lint.returncode == 0, lint.stdout + lint.stderr
