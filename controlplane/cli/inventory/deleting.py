"""`haulier delete`, and the deletions of `haulier apply --prune`: shown first, and never without a yes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from controlplane.cli.asking import completing
from controlplane.cli.asking.options import OutputOption, ProfileOption
from controlplane.cli.screen.exits import Exit
from controlplane.cli.screen.problems import Problem
from controlplane.cli.screen.terminal import OutputFormat, note, show_message, stdout_look, write

if TYPE_CHECKING:
    from haulier.v1 import operator_pb2 as op

    from controlplane.cli.asking.connection import Operator

KINDS = ("Datastore", "Dataset", "Workflow", "Migration", "Fleet")

KindArgument = Annotated[
    str,
    typer.Argument(
        metavar="KIND",
        help="datastore, dataset, workflow, migration or fleet.",
        autocompletion=completing.words([kind.lower() for kind in KINDS]),
    ),
]


def delete(
    kind: KindArgument,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="metadata.name of the manifest.", autocompletion=completing.manifests_of_kind
        ),
    ],
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Delete a manifest that nothing needs. What its migrations proved stays, and so does the data."""
    from haulier.v1 import operator_pb2 as op

    from controlplane.cli.asking.connection import connect

    request = op.DeleteManifestRequest(kind=kind_named(kind), name=name)
    with connect(profile) as operator:
        answer = operator.call(request, op.DeleteManifestResponse, repeatable=False)
    if output is OutputFormat.json:
        show_message(answer)
    else:
        write(f"deleted {answer.manifest.kind} {answer.manifest.name} (generation {answer.manifest.generation})\n")


def kind_named(word: str) -> str:
    """The kind that a word means, in any case. Raises Problem."""
    for kind in KINDS:
        if word.casefold() == kind.casefold():
            return kind
    known = ", ".join(kind.lower() for kind in KINDS)
    raise Problem(f"{word} is not a kind of manifest", hint=f"one of {known}", code=Exit.USAGE)


def labels_of(selector: Sequence[str]) -> dict[str, str]:
    """What `--selector key=value` names. Raises Problem."""
    found = {}
    for each in selector:
        key, equals, value = each.partition("=")
        if not (key and equals and value):
            raise Problem(f"{each!r} is not a label", hint="write --selector key=value", code=Exit.USAGE)
        found[key] = value
    return found


def prune_scope(selector: Sequence[str], *, prune: bool) -> dict[str, str]:
    """The labels that a prune looks at; empty without one. Raises Problem: all that was ever applied is not a scope."""
    if prune and not selector:
        raise Problem(
            "--prune needs a scope: only manifests with a label that all these files carry are deleted",
            hint="for example: `haulier apply manifests/ --prune --selector team=air`",
            code=Exit.USAGE,
        )
    if selector and not prune:
        raise Problem("--selector says what --prune may delete", hint="add --prune, or leave it out", code=Exit.USAGE)
    return labels_of(selector)


def agree(operator: Operator, files: Sequence[op.ManifestFile], labels: dict[str, str], *, yes: bool) -> None:
    """Shows what a prune would delete and asks; findings are left to the apply. Raises Problem where nobody agrees."""
    from haulier.v1 import operator_pb2 as op

    answer = operator.call(op.ValidateManifestsRequest(files=files, prune_labels=labels), op.ValidateManifestsResponse)
    going = [each for each in answer.outcomes if each.change == op.MANIFEST_CHANGE_DELETED]
    if not going:
        return
    for each in going:
        note(f"not among the files any more: {each.kind} {each.name}")
    if yes:
        return
    many = "this manifest" if len(going) == 1 else f"these {len(going)} manifests"
    if not (sys.stdin.isatty() and stdout_look().terminal):
        raise Problem(
            f"nothing was applied: it would delete {many}", hint="say --yes to agree beforehand", code=Exit.CONFLICT
        )
    if not typer.confirm(f"Delete {many}?", err=True):
        raise Problem("nothing was applied, and nothing was deleted", code=Exit.CONFLICT)
