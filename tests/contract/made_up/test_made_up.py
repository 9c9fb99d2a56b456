"""A new engine and a new step kind, each declared in one place of each side, go all the way."""

import os
import subprocess
import sys
from pathlib import Path

from tests.contract.made_up.contract import ROOT, generate


def test_a_made_up_engine_and_kind_go_from_manifest_to_sandbox_and_back(tmp_path: Path) -> None:
    contract, home = tmp_path / "contract", tmp_path / "home"
    home.mkdir(parents=True)
    generate(contract)
    ran = subprocess.run(
        [sys.executable, "-m", "tests.contract.made_up.story", str(home)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (contract, ROOT, ROOT / "proto")))},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    log = home / "agent.log"
    assert ran.returncode == 0, f"{ran.stdout}{ran.stderr}\n{log.read_text() if log.exists() else ''}"
    assert ran.stdout.endswith("the whole way\n")
