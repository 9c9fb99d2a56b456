"""`haulier apply`, `haulier validate`, and `haulier dataset|datastore|workflow list|get`."""

import sys
import uuid
from typing import TYPE_CHECKING, Annotated

import typer

from controlplane.cli.asking import completing
from controlplane.cli.asking.options import OutputOption, ProfileOption, SelectorOption, TimeoutOption
from controlplane.cli.inventory.deleting import agree, prune_scope
from controlplane.cli.screen.exits import Exit
from controlplane.cli.screen.terminal import OutputFormat, note, show, show_message, stdout_look

if TYPE_CHECKING:
    from haulier.v1 import operator_pb2 as op

APPLY_TIMEOUT_S = 120.0
_NAMED_MAX = 12

PathsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="PATH...", help="Files, directories with all *.yaml and *.yml below them, or - for standard input."
    ),
]


def apply(
    paths: PathsArgument,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Also delete what has the labels of --selector and is not in these files."),
    ] = False,
    selector: SelectorOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before --prune deletes.")] = False,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
    timeout: TimeoutOption = APPLY_TIMEOUT_S,
) -> None:
    """Apply manifests: all of them, or none if one is wrong."""
    from haulier.v1 import operator_pb2 as op

    from controlplane.cli.asking.connection import connect
    from controlplane.cli.inventory.manifest_files import gather

    labels = prune_scope(selector or [], prune=prune)
    files = gather(paths, sys.stdin.buffer)
    with connect(profile, timeout_s=timeout) as operator:
        if labels:
            agree(operator, files, labels, yes=yes)
        request = op.ApplyManifestsRequest(files=files, request_id=str(uuid.uuid4()), prune_labels=labels)
        answer = operator.call(request, op.ApplyManifestsResponse)
    _show_answer(answer, len(files), output, would=False)
    if answer.approval_id:
        say_what_waits(answer)
        raise typer.Exit(Exit.AWAITS_APPROVAL)


def validate(
    paths: PathsArgument,
    offline: Annotated[
        bool, typer.Option("--offline", help="Do not ask a control plane: check the manifests only against each other.")
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Show what an apply with --prune and the same --selector would delete.")
    ] = False,
    selector: SelectorOption = None,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
    timeout: TimeoutOption = APPLY_TIMEOUT_S,
) -> None:
    """Check manifests against what is applied, and keep nothing."""
    from haulier.v1 import operator_pb2 as op

    from controlplane.cli.asking.connection import connect
    from controlplane.cli.inventory.manifest_files import gather
    from controlplane.cli.inventory.offline import validate_offline

    labels = prune_scope(selector or [], prune=prune)
    files = gather(paths, sys.stdin.buffer)
    if offline:
        _show_answer(validate_offline(files), len(files), output, would=True)
        return
    with connect(profile, timeout_s=timeout) as operator:
        request = op.ValidateManifestsRequest(files=files, prune_labels=labels)
        answer = operator.call(request, op.ValidateManifestsResponse)
    _show_answer(answer, len(files), output, would=True)


def _show_answer(
    answer: "op.ApplyManifestsResponse | op.ValidateManifestsResponse", files: int, output: OutputFormat, *, would: bool
) -> None:
    from controlplane.cli.inventory import tables as render_manifests

    if output is OutputFormat.json:
        show_message(answer)
    elif answer.findings:
        show(render_manifests.findings(answer.findings), output)
    else:
        look = stdout_look(output)
        show(render_manifests.outcomes(answer.outcomes, files=files, would=would, look=look), output)
    if answer.warnings and output is not OutputFormat.json:
        note(render_manifests.warnings(answer.warnings))
    if answer.findings:
        raise typer.Exit(Exit.BAD_ANSWER)


def say_what_waits(answer: "op.ApplyManifestsResponse") -> None:
    """Says which migrations with `start: auto` were applied and not started, and how they start."""
    waiting = answer.waiting_for_approval
    named = ", ".join(waiting[:_NAMED_MAX]) + (f" and {len(waiting) - _NAMED_MAX} more" if waiting[_NAMED_MAX:] else "")
    note(
        f"applied, and not started: {named}. Starting takes a second person: {answer.approval_id} waits for it, for "
        f"{answer.approval_expires_in_s:.0f} s more. Once `haulier approval approve {answer.approval_id}` was given "
        "by somebody with the role approver, give the same command again"
    )


def noun(kind: str) -> typer.Typer:
    """The commands of one kind of manifest, e.g. "Dataset"."""
    app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=f"{kind}s that were applied.")

    @app.command("list", help=f"List the applied {kind.lower()}s.")
    def list_manifests(profile: ProfileOption = None, output: OutputOption = OutputFormat.table) -> None:
        from haulier.v1 import operator_pb2 as op

        from controlplane.cli.asking.connection import connect
        from controlplane.cli.inventory.tables import manifest_table

        with connect(profile) as operator:
            listing = operator.listing(op.ListManifestsRequest(kind=kind), op.ListManifestsResponse)
        if output is OutputFormat.json:
            show_message(listing)
        else:
            show(manifest_table(listing, kind, stdout_look(output)), output)

    @app.command("get", help=f"Show one {kind.lower()} as it was applied.")
    def get_manifest(
        name: Annotated[
            str,
            typer.Argument(
                metavar="NAME",
                help="metadata.name of the manifest.",
                autocompletion=completing.manifests(kind),
            ),
        ],
        profile: ProfileOption = None,
        output: OutputOption = OutputFormat.table,
    ) -> None:
        from haulier.v1 import operator_pb2 as op

        from controlplane.cli.asking.connection import connect
        from controlplane.cli.inventory.tables import manifest_page

        with connect(profile) as operator:
            answer = operator.call(op.GetManifestRequest(kind=kind, name=name), op.GetManifestResponse)
        if output is OutputFormat.json:
            show_message(answer)
        else:
            show(manifest_page(answer), output)

    return app
