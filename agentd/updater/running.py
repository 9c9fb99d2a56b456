"""How a program of one release is run for the updater: the port, and how it ended.

A release that may be bad must not be able to hold up or fill what judges it: never as root, always with a bound, and no
more of its output is read than anybody needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

AGENT = Path("bin") / "haulier-agentd"
NOT_ENDED = -1
OUTPUT_BYTES_MAX = 256 * 1024


@dataclass(frozen=True, slots=True)
class Said:
    """How a program ended: its exit code, -1 where it did not end in time or could not be started, and its output."""

    code: int
    out: str
    err: str
    wall_s: float


class Running(Protocol):
    """Runs `haulier-agentd` of a release, one at a time, and leaves nothing of it behind."""

    def run(self, digest: str, arguments: Sequence[str], wait_s: float) -> Said:
        """Run it to its end, or end it after `wait_s` with all that it started."""
