"""Reading the contract's messages of datastores: what no correct control plane sends is refused by name."""

import re
from pathlib import Path
from typing import Protocol

from agentd.datastores.port.failures import StepFailure

_FILE_MODE = re.compile(r"0?6[0246][04]")


class SharedFiles(Protocol):
    """The store of an engine of files: who may read what is made there."""

    file_mode: str
    group: str


def bad_params(what: str) -> StepFailure:
    """Failure for parameters that no correct control plane sends."""
    return StepFailure("bad_params", f"step parameters: {what}", "Validate and apply the manifests again.")


def absolute(text: str, what: str) -> Path:
    """A path of this host, without a step up."""
    path = Path(text)
    if not path.is_absolute() or ".." in path.parts:
        raise bad_params(f"{what} {text!r} is not an absolute path")
    return path


def file_or_none(text: str, what: str) -> str:
    """The path of a file, or "" where there is none."""
    return str(absolute(text, what)) if text else ""


def sharing_of(files: SharedFiles) -> tuple[int, str]:
    """Mode and group of files that are made at a place."""
    if files.file_mode and not _FILE_MODE.fullmatch(files.file_mode):
        raise bad_params(f"file mode {files.file_mode!r} is not a file mode")
    return int(files.file_mode or "0", 8), files.group
