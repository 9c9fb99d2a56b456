"""The rpms, in a database and a root of their own."""

import subprocess
import tempfile
from pathlib import Path
from typing import Any


def check(directory: Path, figures: dict[str, Any]) -> None:
    """Install all rpms of a directory into an empty root, and list and verify them."""
    found = sorted(str(path) for path in directory.glob("*.rpm"))
    assert len(found) == 3, found
    with tempfile.TemporaryDirectory(prefix="haulier-rpm-") as root:
        _rpm(root, "--initdb")
        # The root is empty: it has neither Python nor systemd, and nothing to run scripts with.
        _rpm(root, "-i", "--nodeps", "--noscripts", "--excludedocs", *found)
        names = _rpm(root, "-qa", "--qf", "%{NAME} %{VERSION}\\n").split("\n")
        assert sorted(names) == ["haulier 0.1.0", "haulier-agentd 0.1.0", "haulier-controlplane 0.1.0"], names
        listed = _rpm(root, "-qla").splitlines()
        for expected in (
            "/opt/haulier/package/bin/haulier-agentd",
            "/usr/lib/systemd/system/haulier-controlplane.service",
        ):
            assert expected in listed, f"{expected} is not in any rpm"
        _rpm(root, "-Va", "--nodeps")
        needed = _rpm(root, "-q", "--requires", "haulier-agentd")
        assert "python3.11" in needed.split("\n"), needed
        configured = _rpm(root, "-qc", "haulier-agentd").split("\n")
        assert configured == ["/etc/haulier/agent.toml", "/etc/haulier/policy.toml"], configured
        scripts = _rpm(root, "-q", "--scripts", "haulier-agentd")
        assert "take-release" in scripts, "the rpm does what the deb does when it is installed"
    figures["rpm_files"] = len(listed)


def _rpm(root: str, *arguments: str) -> str:
    ran = subprocess.run(["rpm", "--root", root, *arguments], capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, f"rpm {' '.join(arguments)[:200]}\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}"
    return ran.stdout.strip()
