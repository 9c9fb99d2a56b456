"""What the release commands print. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from haulier.v1 import repository_pb2 as pb
from rich.console import Group, RenderableType
from rich.text import Text

from controlplane.cli.screen import pieces, wording
from controlplane.cli.screen.terminal import Look


def key_table(rows: Sequence[Mapping[str, Any]], look: Look) -> RenderableType:
    """Keys that the newest root accepts."""
    columns = [
        pieces.column("role"),
        pieces.column("key"),
        pieces.column("needs", justify="right"),
        pieces.column("signed"),
        pieces.column("version", justify="right"),
        pieces.column("counts until"),
    ]
    table = pieces.table(columns)
    for row in rows:
        table.add_row(
            row["role"],
            pieces.digest(row["key_id"], look),
            Text(str(row["threshold"])),
            Text("✓ signed" if row["signed"] else ""),
            Text(str(row["version"]) if row["version"] else ""),
            pieces.quiet(row["expires"]),
        )
    return table


def release_table(listing: pb.ListReleasesResponse, look: Look) -> RenderableType:
    """Releases on the control plane, newest first, and how long their signatures count."""
    if not listing.HasField("versions"):
        return pieces.nothing("no release was published; `haulier release publish DIR` brings a signed repository")
    columns = [
        pieces.column("version"),
        pieces.column("architecture"),
        pieces.column("size", justify="right"),
        pieces.column("unpacked", justify="right"),
        pieces.column("follows"),
        pieces.column("back from"),
        pieces.column("digest"),
    ]
    table = pieces.table(columns)
    for release in listing.releases:
        table.add_row(
            pieces.name(release.version),
            pieces.name(release.architecture),
            Text(wording.size(release.length_bytes)),
            Text(wording.size(release.unpacked_bytes)),
            pieces.quiet(f"{release.min_from} or newer" if release.min_from else "any"),
            pieces.quiet(release.back_from),
            pieces.digest(release.digest, look),
        )
    ends_in_s = listing.versions.ends_in_s
    if ends_in_s < 0:
        ends = Text("✗ signatures have ended: hosts hold upgrades until `haulier release refresh` and publish", "red")
    else:
        ends = pieces.quiet(f"signatures count for {wording.duration(ends_in_s)} more")
    return Group(table, Text(""), ends)
