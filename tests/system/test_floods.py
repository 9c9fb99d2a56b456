"""Every flood at a small share of its full number; `make floods` sends them whole."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_floods_harm_nobody_else(tmp_path: Path) -> None:
    flooded = subprocess.run(
        [sys.executable, "-m", "tests.floods", "--scale", "0.005"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "proto")])},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert flooded.returncode == 0, flooded.stdout + flooded.stderr
    report = json.loads((tmp_path / "build" / "reports" / "floods.json").read_text())
    sent = {each["flood"]: each["sent"] for each in report["floods"]}
    assert len(sent) == 6
    assert sent["malformed messages"] >= 5000
    # Each unreadable message and each made-up token is answered, not merely dropped.
    for each in report["floods"]:
        if each["flood"] in ("64 MiB messages", "enrolments"):
            assert each["refused"] == each["sent"], each
