"""Commands that ask no control plane: `haulier version` and `haulier inspect`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from controlplane.cli.asking.options import OutputOption
from controlplane.cli.screen.exits import Exit
from controlplane.cli.screen.problems import Problem
from controlplane.cli.screen.terminal import OutputFormat, show_json, write

_AGENT_PROGRAM = "haulier-agentd"


def version_text() -> str:
    """The version of this program."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("haulier")
    except PackageNotFoundError:
        return "unknown (not installed)"


def version(output: OutputOption = OutputFormat.table) -> None:
    """Print the version of this program."""
    if output is OutputFormat.json:
        show_json({"version": version_text()})
    else:
        write(f"haulier {version_text()}\n")


def schema(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="[KIND]", help="Dataset, Datastore, Workflow or Migration.", show_default=False),
    ] = None,
) -> None:
    """Print the JSON Schema of manifests, for editors."""
    from controlplane.manifests.kinds import json_schema
    from controlplane.manifests.kinds.documents import KINDS
    from controlplane.manifests.text.findings import suggestion

    if kind is None:
        show_json(json_schema.any_schema())
        return
    if kind not in KINDS:
        raise Problem(
            f"there is no kind {kind}",
            hint=suggestion(kind, KINDS),
            code=Exit.USAGE,
        )
    show_json(json_schema.schema(kind))


def inspect(context: typer.Context) -> None:
    """Propose columns and manifests for data on this host.

    Everything behind `inspect` is handed to `haulier-agentd inspect`, which must be installed here: only the
    agent's side may touch data. `haulier inspect --help` shows what it takes.
    """
    program = _agent_program()
    # The program is found beside this one or on PATH, and the arguments are the user's own: no shell is involved.
    ended = subprocess.run([program, "inspect", *context.args], check=False)
    raise typer.Exit(ended.returncode if ended.returncode >= 0 else Exit.INTERNAL)


def _agent_program() -> str:
    beside = Path(sys.executable).with_name(_AGENT_PROGRAM)
    if os.access(beside, os.X_OK):
        return str(beside)
    found = shutil.which(_AGENT_PROGRAM)
    if found is None:
        raise Problem(
            f"{_AGENT_PROGRAM} is not installed on this machine",
            hint="run `haulier inspect` on a data host, where the agent is installed",
            code=Exit.UNREACHABLE,
        )
    return found
