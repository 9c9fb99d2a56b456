"""Reports for machines: `build/reports/NAME.json`, written whole or not at all."""

import json
from pathlib import Path
from typing import Any

DIRECTORY = Path("build") / "reports"


def write(name: str, report: dict[str, Any]) -> Path:
    """Write a report; return its path."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    path = DIRECTORY / f"{name}.json"
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(report, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    fresh.replace(path)
    return path


def read(name: str) -> dict[str, Any] | None:
    """Return a report that was written before, or None."""
    path = DIRECTORY / f"{name}.json"
    if not path.exists():
        return None
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return report
