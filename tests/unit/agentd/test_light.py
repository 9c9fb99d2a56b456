"""The daemon stays light: what only a step needs is loaded in the runner host, never here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HEAVY = {"pydantic", "cryptography", "rich", "duckdb", "pyarrow", "psycopg", "numpy", "pandas", "controlplane"}


def loaded_by(module: str) -> set[str]:
    """Packages that a process has loaded which imports a module and nothing else."""
    script = f"import sys, json, {module}; print(json.dumps(sorted(sys.modules)))"
    told = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}"},
        capture_output=True,
        check=True,
        timeout=60,
    )
    return {name.partition(".")[0] for name in json.loads(told.stdout)}


@pytest.mark.parametrize("module", ["agentd.daemon", "agentd.__main__", "agentd.supervision.status_socket"])
def test_the_daemon_loads_nothing_heavy(module: str) -> None:
    loaded = loaded_by(module)
    assert "agentd" in loaded
    assert not loaded & HEAVY
    if module != "agentd.daemon":
        assert "grpc" not in loaded, "probes start in a blink"


def test_a_pass_of_the_updater_with_nothing_to_do_loads_no_verifier() -> None:
    loaded = loaded_by("agentd.updater.main")
    assert not loaded & (HEAVY | {"tuf", "securesystemslib", "zstandard", "grpc", "google", "sqlite_utils", "psutil"})
