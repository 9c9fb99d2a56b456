"""The settings that a release brings, judged by the agent that will read them: the one in the release's own tree."""

import subprocess
from pathlib import Path

PREFIX = "settings/"
_AGENT = Path("bin", "haulier-agentd")
_WAIT_S = 60.0


def problem(tree: Path, settings: Path) -> str:
    """Why the agent in `tree` would not take the settings in the directory `settings`; empty where it does."""
    command = [str(tree.absolute() / _AGENT), "check", "--settings", str(settings)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_WAIT_S, check=False, text=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{settings}: cannot be judged, because {command[0]} does not run here: {error}"
    if done.returncode == 0:
        return ""
    said = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
    if "unrecognized arguments" in said:
        return f"{settings}: the agent in {tree} reads no settings of a release: take a newer tree"
    return said.removeprefix("haulier-agentd: ")
