"""`haulier audit`: verify the log of every change, or take it away to verify it elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from controlplane.cli.asking.options import OutputOption, ProfileOption
from controlplane.cli.screen.exits import Exit
from controlplane.cli.screen.problems import Problem
from controlplane.cli.screen.terminal import OutputFormat, note, show_json, write

if TYPE_CHECKING:
    from controlplane.cli.asking.connection import Operator
    from controlplane.core.audit.heads import TreeHead
    from controlplane.core.audit.verifying import Entry, Seal, Verification

_PROGRAM = "haulier-controlplane"

WitnessOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--witness",
        metavar="FILE",
        help="What an agent saw, from `haulier-agentd status -o json` on its host; may be given again.",
        show_default=False,
    ),
]


def noun() -> typer.Typer:
    """The commands below `haulier audit`."""
    app = typer.Typer(help="Verify or export the log of every change.", no_args_is_help=True, rich_markup_mode=None)
    app.command("verify")(verify)
    app.command("export")(export)
    return app


def verify(
    witness: WitnessOption = None,
    store: Annotated[
        Path | None,
        typer.Option(
            "--store", metavar="FILE", help="A store's file on this host, instead of asking.", show_default=False
        ),
    ] = None,
    exported: Annotated[
        Path | None,
        typer.Option("--export", metavar="FILE", help="What `haulier audit export` wrote.", show_default=False),
    ] = None,
    archive: Annotated[
        list[Path] | None,
        typer.Option(
            "--archive",
            metavar="FILE",
            help="Archived events, from STATE/archive: they prove themselves by the leaves that stayed.",
            show_default=False,
        ),
    ] = None,
    key: Annotated[
        str, typer.Option("--key", metavar="KEY_ID", help="The key that must have signed, from an earlier look.")
    ] = "",
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Compute the log's root from its entries, and compare it with its signed head and with what agents saw.

    Ends with 1 when something does not hold.
    """
    if store is not None:
        _hand_over(store, witness or [], key, output)
    witnessed = [(str(path), _witness(path)) for path in witness or []]
    archived = _archived(archive or [])
    if exported is not None:
        lines = _lines(exported)
        verdict = _judge(
            _seal_of(exported, next(lines, None)), _back(_entries_of(exported, lines), archived), witnessed, key
        )
    else:
        from controlplane.cli.asking.connection import connect

        with connect(profile) as operator:
            seal, troubles = _ask_seal(operator)
            verdict = _judge(seal, _back(_ask_entries(operator, seal), archived), witnessed, key)
            verdict.faults += [f"the control plane itself says: {trouble}" for trouble in troubles]
    _show(verdict, output)
    raise typer.Exit(Exit.BAD_ANSWER if verdict.faults else Exit.OK)


def export(profile: ProfileOption = None) -> None:
    """Print the log with its signed head, one JSON object a line: `haulier audit verify --export` reads it."""
    from controlplane.cli.asking.connection import connect
    from controlplane.core.audit.text import entry_value, seal_value

    with connect(profile) as operator:
        seal, _ = _ask_seal(operator)
        show_json(seal_value(seal), line=True)
        for entry in _ask_entries(operator, seal):
            show_json(entry_value(*entry), line=True)


def _hand_over(store: Path, witness: list[Path], key: str, output: OutputFormat) -> None:
    """Let the program that knows stores look at the file."""
    beside = Path(sys.executable).with_name(_PROGRAM)
    program = str(beside) if os.access(beside, os.X_OK) else shutil.which(_PROGRAM)
    if program is None:
        raise Problem(
            f"{_PROGRAM} is not installed on this machine",
            hint="run this where the store is, or verify online or an export",
            code=Exit.UNREACHABLE,
        )
    options = [option for path in witness for option in ("--witness", str(path))]
    options += ["--key", key] if key else []
    options += ["-o", "json"] if output is OutputFormat.json else []
    # The program is found beside this one or on PATH, and the arguments are the user's own: no shell is involved.
    ended = subprocess.run([program, "audit", "--store", str(store), *options], check=False)
    raise typer.Exit(ended.returncode if ended.returncode >= 0 else Exit.INTERNAL)


def _witness(path: Path) -> TreeHead:
    from controlplane.core.audit.text import Unreadable, head_from

    try:
        return head_from(json.loads(path.read_text(encoding="utf-8")))
    except (Unreadable, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise Problem(str(error), where=str(path), hint="haulier-agentd status -o json", code=Exit.USAGE) from None


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        yield from file


def _seal_of(path: Path, line: str | None) -> Seal:
    from controlplane.core.audit.text import Unreadable, seal_from

    try:
        return seal_from(json.loads(line or ""))
    except (Unreadable, json.JSONDecodeError) as error:
        raise Problem(str(error), where=f"{path}:1", hint="haulier audit export", code=Exit.USAGE) from None


def _entries_of(path: Path, lines: Iterator[str]) -> Iterator[Entry]:
    from controlplane.core.audit.text import Unreadable, entry_from

    for number, line in enumerate(lines, 2):
        try:
            yield entry_from(json.loads(line))
        except (Unreadable, json.JSONDecodeError) as error:
            raise Problem(str(error), where=f"{path}:{number}", code=Exit.USAGE) from None


def _archived(files: list[Path]) -> dict[int, Entry]:
    """The events in archive files, by position."""
    from controlplane.core.audit.text import Unreadable, archive_from

    found: dict[int, Entry] = {}
    for path in files:
        lines = _lines(path)
        try:
            archive_from(json.loads(next(lines, "")))
        except (Unreadable, json.JSONDecodeError) as error:
            raise Problem(str(error), where=f"{path}:1", code=Exit.USAGE) from None
        found |= {entry[0]: entry for entry in _entries_of(path, lines)}
    return found


def _back(entries: Iterator[Entry], archived: dict[int, Entry]) -> Iterator[Entry]:
    """Entries with the archived ones in their places; whether they belong there, their hashes say."""
    return (archived.get(each[0], each) if isinstance(each[1], bytes) else each for each in entries)


def _ask_seal(operator: Operator) -> tuple[Seal, list[str]]:
    """What the control plane says of its log, and what it found wrong with it."""
    from haulier.v1 import audit_pb2 as pb

    from controlplane.core.audit.heads import LogEra, TreeHead
    from controlplane.core.audit.verifying import Seal

    answer = operator.call(pb.GetAuditRequest(), pb.GetAuditResponse)
    head = None
    if answer.HasField("head"):
        told = answer.head
        head = TreeHead(told.era, told.size, told.root_hash, told.signature, told.key_id)
    eras = [LogEra(e.era, e.size, e.root_hash, e.generation, e.reason, e.signature, e.public_key) for e in answer.eras]
    return Seal(head, answer.public_key, eras), list(answer.troubles)


def _ask_entries(operator: Operator, seal: Seal) -> Iterator[Entry]:
    from haulier.v1 import audit_pb2 as pb

    from controlplane.core.events import Event

    if seal.head is None:
        return
    for page in operator.stream(pb.StreamEntriesRequest(up_to=seal.head.size), pb.StreamEntriesResponse):
        for each in page.entries:
            if each.archived_leaf:
                yield each.position, each.archived_leaf
                continue
            yield (
                each.position,
                Event(
                    at=each.at,
                    type=each.type,
                    subject=each.subject,
                    migration_id=each.migration_id if each.HasField("migration_id") else None,
                    attempt_id=each.attempt_id if each.HasField("attempt_id") else None,
                    agent_id=each.agent_id if each.HasField("agent_id") else None,
                    fence=each.fence if each.HasField("fence") else None,
                    detail=each.detail,
                ),
            )


def _judge(seal: Seal, entries: Iterator[Entry], witnessed: list[tuple[str, TreeHead]], key: str) -> Verification:
    from controlplane.core.audit import verifying as audit_verifying
    from controlplane.identity.audit_key import era_is_signed, head_is_signed

    verdict = audit_verifying.verify(
        seal, entries, witnessed, head_is_signed=head_is_signed, era_is_signed=era_is_signed
    )
    if key and not verdict.key_id.startswith(key):
        verdict.faults.append(f"the log is signed by key {verdict.key_id}, not by {key}")
    return verdict


def _show(verdict: Verification, output: OutputFormat) -> None:
    if output is OutputFormat.json:
        show_json(
            {
                "intact": not verdict.faults,
                "entries": verdict.entries,
                "archived": verdict.archived,
                "witnesses": verdict.witnesses,
                "key_id": verdict.key_id,
                "faults": verdict.faults,
            }
        )
        return
    for fault in verdict.faults:
        write(f"fault: {fault}\n")
    if not verdict.faults:
        archived = f", {verdict.archived} of them by their archived hash" if verdict.archived else ""
        write(f"the audit log is intact: {verdict.entries} entries{archived}, signed by key {verdict.key_id}\n")
        note(
            f"compared with {verdict.witnesses} witnesses"
            if verdict.witnesses
            else "no witness was given: see --witness"
        )
