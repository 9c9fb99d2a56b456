"""`haulier release publish` and `haulier release list`: the only two that speak to a control plane."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from controlplane.cli.asking.options import OutputOption, ProfileOption
from controlplane.cli.releases.options import desk_at, mendable
from controlplane.cli.screen.exits import Exit
from controlplane.cli.screen.problems import Problem
from controlplane.cli.screen.terminal import OutputFormat, note, show, show_message, stdout_look

if TYPE_CHECKING:
    from haulier.v1 import repository_pb2 as pb

PIECE_BYTES = 256 * 1024
DAY_S = 86400.0


def publish(
    repository: Annotated[
        Path, typer.Argument(metavar="DIR", help="The repository that `haulier release sign` wrote.")
    ],
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Upload signed metadata and artefacts; the control plane verifies them. Resumes where it was cut."""
    from haulier.v1 import repository_pb2 as pb

    from controlplane.cli.asking.connection import connect
    from controlplane.cli.releases.tables import release_table
    from controlplane.cli.screen import wording

    with mendable():
        offer = _offer(repository)
    asked: queue.SimpleQueue[pb.ArtefactWanted | None] = queue.SimpleQueue()
    published = None
    with connect(profile) as operator:
        try:
            for answer in operator.exchange(_said(offer, repository, asked), pb.PublishRequest, pb.PublishResponse):
                if answer.HasField("wanted"):
                    wanted = answer.wanted
                    _check_length(repository, wanted)
                    at = f", from byte {wanted.offset} on" if wanted.offset else ""
                    note(f"sending {wanted.target_path} ({wording.size(wanted.length_bytes)}{at})")
                    asked.put(wanted)
                else:
                    published = answer.published
        finally:
            asked.put(None)
    if published is None:
        raise Problem("the control plane ended the publication without saying why", code=Exit.INTERNAL)
    listing = pb.ListReleasesResponse(releases=published.releases, versions=published.versions)
    if output is OutputFormat.json:
        show_message(listing)
    else:
        show(release_table(listing, stdout_look(output)), output)


def list_releases(
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
    ends_within: Annotated[
        float,
        typer.Option(
            "--ends-within", metavar="DAYS", min=0, help="Exit 1 if a signature expires within this many days."
        ),
    ] = 0.0,
) -> None:
    """List the releases that hosts can be brought to, and how long signatures are valid; exit 1 if one has expired."""
    from haulier.v1 import repository_pb2 as pb

    from controlplane.cli.asking.connection import connect
    from controlplane.cli.releases.tables import release_table

    with connect(profile) as operator:
        listing = operator.call(pb.ListReleasesRequest(), pb.ListReleasesResponse)
    if output is OutputFormat.json:
        show_message(listing)
    else:
        show(release_table(listing, stdout_look(output)), output)
    if listing.HasField("versions") and listing.versions.ends_in_s < ends_within * DAY_S:
        raise typer.Exit(Exit.BAD_ANSWER)


def _offer(repository: Path) -> pb.RepositoryOffer:
    """Every root, and the newest of the other roles. Raises ReleaseProblem."""
    from haulier.v1 import repository_pb2 as pb

    desk = desk_at(repository)
    names = [f"{version}.root.json" for version in range(1, desk.root().signed.version + 1)]
    targets, snapshot = desk.targets(), desk.snapshot()
    if targets is None or snapshot is None or desk.timestamp() is None:
        raise Problem(
            "nothing is signed that could be published",
            where=str(desk.metadata_dir),
            hint="`haulier release sign FILE --keys DIR --repository DIR`, and where the online keys are: "
            "`haulier release refresh --online-keys DIR --repository DIR`",
            code=Exit.USAGE,
        )
    names += [f"{targets.signed.version}.targets.json", f"{snapshot.signed.version}.snapshot.json", "timestamp.json"]
    here = [path for path in targets.signed.targets if (desk.targets_dir / path).is_file()]
    return pb.RepositoryOffer(
        metadata=[pb.SignedMetadata(name=name, data=(desk.metadata_dir / name).read_bytes()) for name in names],
        target_paths=here,
    )


def _check_length(repository: Path, wanted: pb.ArtefactWanted) -> None:
    """Notice a file that cannot be the signed one before any of it is sent. Raises Problem, OSError."""
    path = repository / "targets" / wanted.target_path
    size = path.stat().st_size
    if size != wanted.length_bytes:
        raise Problem(
            f"the artefact has {size} bytes, signed are {wanted.length_bytes}",
            where=str(path),
            hint="it was changed after it was signed: bring the signed file, or sign a higher version",
            code=Exit.USAGE,
        )


def _said(
    offer: pb.RepositoryOffer, repository: Path, asked: queue.SimpleQueue[pb.ArtefactWanted | None]
) -> Iterator[pb.PublishRequest]:
    """The offer, then the pieces of each artefact that is asked for."""
    from haulier.v1 import repository_pb2 as pb

    yield pb.PublishRequest(offer=offer)
    while (wanted := asked.get()) is not None:
        if wanted.target_path not in offer.target_paths:
            # A control plane gets what was offered, and no other file of this machine.
            return
        with (repository / "targets" / wanted.target_path).open("rb") as file:
            offset = file.seek(wanted.offset)
            while data := file.read(PIECE_BYTES):
                yield pb.PublishRequest(piece=pb.ArtefactPiece(offset=offset, data=data))
                offset += len(data)
