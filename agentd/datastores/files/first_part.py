"""The first file of a directory of parts, by whose content inspection knows the rest."""

from pathlib import Path

from agentd.datastores.port.failures import StepFailure


def first_part(directory: Path) -> Path:
    """Raises StepFailure where there is none."""
    parts = sorted(p for p in directory.rglob("*") if p.is_file() and not p.name.startswith(("_", ".")))
    if not parts:
        raise StepFailure("not_found", f"{directory} is an empty directory", "Name a file, or a directory of parts.")
    return parts[0]
