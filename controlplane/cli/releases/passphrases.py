"""Passphrases of signing keys: from a file, a variable, or a person; never from an argument."""

from __future__ import annotations

import getpass
import os
import stat
import sys
from pathlib import Path

from controlplane.cli.screen.exits import Exit
from controlplane.cli.screen.problems import Problem

OFFLINE_VARIABLE = "HAULIER_RELEASE_PASSPHRASE"
NEW_VARIABLE = "HAULIER_RELEASE_NEW_PASSPHRASE"
ONLINE_VARIABLE = "HAULIER_RELEASE_ONLINE_PASSPHRASE"


def passphrase(file: Path | None, variable: str, what: str, *, twice: bool = False) -> str:
    """The passphrase for `what`: from `file`, else from the environment, else asked for. Raises Problem, OSError."""
    if file is not None:
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            raise Problem("others may read this passphrase", where=str(file), hint=f"chmod 600 {file}", code=Exit.USAGE)
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    if variable in os.environ:
        return os.environ[variable]
    if not sys.stdin.isatty():
        raise Problem(
            f"the passphrase of {what} is not known, and nobody is there to be asked",
            hint=f"name a file that holds it, or set {variable}",
            code=Exit.USAGE,
        )
    given = getpass.getpass(f"Passphrase of {what}: ")
    if twice and getpass.getpass("Once more: ") != given:
        raise Problem("the two passphrases differ", hint="try again", code=Exit.USAGE)
    return given
