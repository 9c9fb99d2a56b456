"""Compressed files are named as such: read as they are, they would look broken."""

import shlex
from pathlib import Path

from agentd.datastores.port.failures import StepFailure

# How such files begin, what unpacks them, and the suffix without which it does not unpack a file by its name.
_BEGINNINGS = (
    (b"\x1f\x8b", "gzip", "gunzip --keep", ".gz"),
    (b"BZh", "bzip2", "bunzip2 --keep", ".bz2"),
    (b"\xfd7zXZ\0", "xz", "unxz --keep", ".xz"),
    (b"\x28\xb5\x2f\xfd", "zstd", "unzstd", ".zst"),
    (b"\x04\x22\x4d\x18", "lz4", "unlz4", ".lz4"),
    (b"PK\x03\x04", "zip", "unzip", ""),
)
# bzip2 begins with letters that a text could begin with; its first block follows.
_BZIP2_BLOCK = b"1AY&SY"


def require_plain(path: Path) -> None:
    """Raise StepFailure (compressed_file) for a file that is compressed as a whole. Reads its first bytes."""
    with path.open("rb") as file:
        start = file.read(10)
    for beginning, name, program, suffix in _BEGINNINGS:
        if start.startswith(beginning) and (name != "bzip2" or start[4:] == _BZIP2_BLOCK):
            raise StepFailure(
                "compressed_file",
                f"{path} is compressed with {name}, and Haulier does not read compressed files",
                f"Unpack it first: {_command(program, suffix, path)}",
            )


def _command(program: str, suffix: str, path: Path) -> str:
    if path.name.endswith(suffix):
        return f"{program} {shlex.quote(str(path))}"
    return f"{program.split()[0]} < {shlex.quote(str(path))} > {shlex.quote(f'{path}.unpacked')}"
