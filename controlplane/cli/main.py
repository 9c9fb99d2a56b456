"""The `haulier` command: builds the command tree, and turns whatever goes wrong into one message and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Annotated

import typer

from controlplane.cli.access import authority, operators
from controlplane.cli.agents import commands as agents
from controlplane.cli.audit import commands as audit
from controlplane.cli.health import commands as observing
from controlplane.cli.inventory import commands as manifests
from controlplane.cli.inventory import deleting, local
from controlplane.cli.migrations import commands as migrations
from controlplane.cli.releases import commands as releases
from controlplane.cli.rollouts import commands as rollouts
from controlplane.cli.rollouts import fleets as fleet
from controlplane.cli.screen.exits import Exit, exit_table
from controlplane.cli.screen.problems import Problem, of_os_error
from controlplane.cli.screen.terminal import ReaderLeftError, complain, write

_HELP = f"""Move datasets, with proof.

Write what should move as manifests, apply them, start migrations, watch, and go back if need be.
Which control plane is meant comes from --profile, HAULIER_PROFILE or ~/.config/haulier/profile.json.

\b
Exit codes:
{exit_table()}
"""


def build() -> typer.Typer:
    """The command tree."""
    app = typer.Typer(
        name="haulier",
        help=_HELP,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def root(
        version: Annotated[
            bool, typer.Option("--version", help="Print the version and end.", is_eager=True, callback=_print_version)
        ] = False,
    ) -> None:
        """Move datasets, with proof."""

    app.command("apply")(manifests.apply)
    app.command("validate")(manifests.validate)
    app.command("delete")(deleting.delete)
    app.command("start")(migrations.start)
    app.command("status")(observing.status)
    app.command("why")(observing.why)
    app.command("rollback")(migrations.rollback)
    app.command("events")(observing.events)
    app.command("logs")(observing.logs)
    app.add_typer(migrations.noun(), name="migration")
    for kind in ("Dataset", "Datastore", "Workflow"):
        app.add_typer(manifests.noun(kind), name=kind.lower())
    app.add_typer(fleet.add_to(agents.agent_noun()), name="agent")
    app.add_typer(fleet.noun(), name="fleet")
    app.add_typer(rollouts.noun(), name="rollout")
    app.add_typer(agents.token_noun(), name="token")
    app.add_typer(operators.operator_noun(), name="operator")
    app.add_typer(operators.approval_noun(), name="approval")
    app.add_typer(authority.authority_noun(), name="authority")
    app.add_typer(authority.profile_noun(), name="profile")
    app.add_typer(releases.release_noun(), name="release")
    app.add_typer(audit.noun(), name="audit")
    pass_on = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    app.command("inspect", context_settings=pass_on)(local.inspect)
    app.command("schema")(local.schema)
    app.command("version")(local.version)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        write(f"haulier {local.version_text()}\n")
        raise typer.Exit


def _end(_signal: int, _frame: FrameType | None) -> None:
    # An orderly end lets the live screen give the cursor back.
    raise SystemExit(128 + signal.SIGTERM)


def main(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit code. Never raises, and never shows a traceback."""
    try:
        ended = build()(args=list(arguments), prog_name="haulier", standalone_mode=False)
        sys.stdout.flush()
    except Problem as problem:
        complain([problem])
        return problem.code
    except (KeyboardInterrupt, typer.Abort):
        ended = Exit.INTERRUPTED
    except ReaderLeftError:
        return Exit.OK
    except OSError as error:
        complain([of_os_error(error)])
        return Exit.USAGE
    except typer.Exit as error:
        return error.exit_code
    except Exception as error:  # noqa: BLE001  (the last guard: a person gets a sentence, never a traceback)
        return _of_unforeseen(error)
    if ended == Exit.INTERRUPTED:
        complain([Problem("interrupted", hint="what runs on the agents goes on; `haulier migration watch` shows it")])
    return int(ended or 0)


def _of_unforeseen(error: Exception) -> int:
    """Usage errors know how to say themselves; anything else is a defect of this program."""
    formatted = getattr(error, "format_message", None)
    if formatted is None:
        complain(
            [
                Problem(
                    f"this program met a defect: {type(error).__name__}: {error}",
                    hint="please report it with the command that you ran",
                )
            ]
        )
        return Exit.INTERNAL
    context = getattr(error, "ctx", None)
    command = getattr(context, "command_path", "haulier")
    message = str(formatted())
    if type(error).__name__ == "NoArgsIsHelpError":
        write(message + "\n")
        return Exit.USAGE
    hint = f"{command} --help"
    if command == "haulier" and type(error).__name__ == "NoSuchOption":
        hint = "options come after the command, as in `haulier migration list -o json`; see haulier --help"
    complain([Problem(message, hint=hint, code=Exit.USAGE)])
    return Exit.USAGE


def run() -> None:
    """The entry point of the installed program."""
    # The library's own log would print handshake errors into our output; they come back as statuses anyway.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    signal.signal(signal.SIGTERM, _end)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets an escape, not a failure.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    raise SystemExit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
