"""Every flood at a small share of its full number; `make floods` sends them whole."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.floods.__main__ import COUNTS, GROWTH_BYTES_MAX, LOG_BYTES_MAX

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
    # How long heartbeats took says as much about a busy machine as about us; `make floods` judges that.
    assert flooded.returncode in (0, 1), flooded.stdout + flooded.stderr
    report = json.loads((tmp_path / "build" / "reports" / "floods.json").read_text())
    sent = {each["flood"]: each["sent"] for each in report["floods"]}
    assert set(sent) == set(COUNTS)
    assert sent["malformed messages"] >= 5000
    # Each unreadable message and each made-up token is answered, not merely dropped.
    for each in report["floods"]:
        assert not each["crashed"] and not each["tracebacks"], each
        assert each["heartbeats"] > 0 and each["honest_streams_broken"] == 0, each
        assert each["growth_mb"] <= GROWTH_BYTES_MAX / 2**20 and each["log_kb"] <= LOG_BYTES_MAX / 1024, each
        if each["flood"] in ("64 MiB messages", "enrolments"):
            assert each["refused"] == each["sent"], each
