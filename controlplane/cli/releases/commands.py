"""`haulier release`: make releases of the agent, sign them with keys that stay here, publish them."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Annotated

import typer

from controlplane.cli.releases import keys as release_keys
from controlplane.cli.releases import publishing
from controlplane.cli.releases.options import (
    TIMESTAMP_DAYS,
    KeysOption,
    OnlineKeysOption,
    OnlinePassphraseFileOption,
    PassphraseFileOption,
    RepositoryOption,
    TimestampDaysOption,
    desk_at,
    mendable,
    offline_ring,
    online_ring,
    tell_missing,
)
from controlplane.cli.screen.terminal import note, show_json, write

VersionArgument = Annotated[str, typer.Argument(metavar="VERSION", help="Version of a signed release.")]


def build(
    tree: Annotated[Path, typer.Option("--tree", metavar="DIR", help="A relocatable tree with bin/haulier-agentd.")],
    version: Annotated[
        str, typer.Option("--version", metavar="VERSION", help="MAJOR.MINOR.PATCH, or with aN, bN, rcN.")
    ],
    to: Annotated[Path, typer.Option("--output", metavar="FILE", help="The artefact to write.")],
    architecture: Annotated[
        str, typer.Option("--architecture", metavar="NAME", help="Machine architecture, as uname says it.")
    ] = platform.machine(),
    min_from: Annotated[
        str, typer.Option("--min-from", metavar="VERSION", help="Oldest version that can follow this one.")
    ] = "",
    settings: Annotated[
        Path | None,
        typer.Option("--settings", metavar="DIR", help="agent.toml and policy.toml that the release brings to hosts."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Pack a tree into an artefact: the same bytes from the same files, whoever builds it and when."""
    from controlplane.releases import building

    with mendable():
        built = building.build(tree, version, architecture, min_from, to, settings)
    if as_json:
        show_json(
            {
                "path": str(built.path),
                "version": built.version,
                "architecture": built.architecture,
                "sha256": built.digest,
                "bytes": built.length,
                "unpacked_bytes": built.unpacked_bytes,
                "settings": list(built.settings),
            }
        )
    else:
        write(f"{built.digest}  {built.path}\n")


def sign(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An artefact of `haulier release build`.")],
    keys: KeysOption,
    repository: RepositoryOption,
    online_keys: OnlineKeysOption = None,
    back_from: Annotated[
        str,
        typer.Option(
            "--back-from",
            metavar="VERSION",
            help="Newest version that a control plane may bring back to this one. Without it hosts refuse to go back.",
        ),
    ] = "",
    passphrase_file: PassphraseFileOption = None,
    online_passphrase_file: OnlinePassphraseFileOption = None,
    timestamp_days: TimestampDaysOption = TIMESTAMP_DAYS,
) -> None:
    """Sign an artefact into a repository. Where the online keys are elsewhere, `refresh` does the rest there."""
    from controlplane.releases import building

    with mendable():
        built = building.read(file)
        desk = desk_at(repository, timestamp_days)
        first = keys / release_keys.FIRST_ROOT
        if first.exists():
            desk.begin(first.read_bytes())
        desk.add(built, offline_ring(keys, passphrase_file), back_from)
        write(f"signed {built.version} for {built.architecture}: {built.digest}\n")
        if built.settings:
            write(f"it brings {', '.join(built.settings)}\n")
        tell_missing(desk)
        _refresh_if_here(repository, online_keys or keys / "online", online_passphrase_file, timestamp_days)


def refresh(
    online_keys: Annotated[Path, typer.Option("--online-keys", metavar="DIR", help="Directory of the online keys.")],
    repository: RepositoryOption,
    online_passphrase_file: OnlinePassphraseFileOption = None,
    timestamp_days: TimestampDaysOption = TIMESTAMP_DAYS,
) -> None:
    """Sign timestamp and snapshot again: after signing, and every day, so that hosts can tell nothing is withheld."""
    with mendable():
        desk = desk_at(repository, timestamp_days)
        desk.refresh(online_ring(online_keys, online_passphrase_file))
        timestamp = desk.timestamp()
        assert timestamp is not None, "it was just written"
        write(f"timestamp {timestamp.signed.version} counts until {timestamp.signed.expires:%Y-%m-%d %H:%M} UTC\n")


def cosign(keys: KeysOption, repository: RepositoryOption, passphrase_file: PassphraseFileOption = None) -> None:
    """Add the signatures of another key holder to the newest root and targets metadata."""
    with mendable():
        desk = desk_at(repository)
        added = desk.cosign(offline_ring(keys, passphrase_file))
        write(f"{added} signature(s) added\n")
        tell_missing(desk)


def withdraw(
    version: VersionArgument,
    keys: KeysOption,
    repository: RepositoryOption,
    online_keys: OnlineKeysOption = None,
    passphrase_file: PassphraseFileOption = None,
    online_passphrase_file: OnlinePassphraseFileOption = None,
) -> None:
    """Remove a release from the signed targets: no further host goes to it. Those that run it keep it."""
    with mendable():
        desk = desk_at(repository)
        desk.withdraw(version, offline_ring(keys, passphrase_file))
        write(f"withdrew {version}\n")
        tell_missing(desk)
        _refresh_if_here(repository, online_keys or keys / "online", online_passphrase_file, TIMESTAMP_DAYS)


def allow_back(
    version: VersionArgument,
    back_from: Annotated[
        str, typer.Option("--from", metavar="VERSION", help="Newest running version that may be brought back.")
    ],
    keys: KeysOption,
    repository: RepositoryOption,
    online_keys: OnlineKeysOption = None,
    passphrase_file: PassphraseFileOption = None,
    online_passphrase_file: OnlinePassphraseFileOption = None,
) -> None:
    """Sign that a control plane may bring hosts back to an older release. Without it they refuse every downgrade."""
    with mendable():
        desk = desk_at(repository)
        desk.allow_back(version, back_from, offline_ring(keys, passphrase_file))
        write(f"hosts with {back_from} or older may be brought back to {version}\n")
        tell_missing(desk)
        _refresh_if_here(repository, online_keys or keys / "online", online_passphrase_file, TIMESTAMP_DAYS)


def _refresh_if_here(repository: Path, online_keys: Path, passphrase_file: Path | None, timestamp_days: int) -> None:
    if not any(online_keys.glob("timestamp-*.pem")):
        note(f"the online keys are not in {online_keys}: `haulier release refresh` where they are, then publish")
        return
    refresh(online_keys, repository, passphrase_file, timestamp_days)


def release_noun() -> typer.Typer:
    """`haulier release`."""
    app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Make, sign and publish releases of the agent.")
    app.command("build")(build)
    app.command("sign")(sign)
    app.command("publish")(publishing.publish)
    app.command("list")(publishing.list_releases)
    app.command("cosign")(cosign)
    app.command("refresh")(refresh)
    app.command("withdraw")(withdraw)
    app.command("allow-back")(allow_back)
    app.command("rotate-root")(release_keys.rotate_root)
    app.command("revoke-key")(release_keys.revoke_key)
    app.add_typer(release_keys.keys_noun(), name="keys")
    return app
