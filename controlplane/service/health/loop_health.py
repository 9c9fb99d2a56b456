"""How a background loop is doing, for `haulier status`; the loops fill it in."""

from dataclasses import dataclass


@dataclass(slots=True)
class LoopHealth:
    """One loop's last pass. Instants are the control plane's own, in seconds."""

    name: str
    passes: int = 0
    last_run_at: float | None = None
    duration_s: float = 0.0
    last_error: str = ""
