"""`haulier release keys init|list`, `rotate-root` and `revoke-key`: who may sign."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from controlplane import durable
from controlplane.cli.asking.options import OutputOption
from controlplane.cli.releases.options import (
    KeysOption,
    OnlineKeysOption,
    OnlinePassphraseFileOption,
    PassphraseFileOption,
    RepositoryOption,
    desk_at,
    mendable,
    offline_ring,
    online_ring,
    tell_missing,
)
from controlplane.cli.releases.passphrases import NEW_VARIABLE, passphrase
from controlplane.cli.screen.terminal import OutputFormat, note, show, show_json, stdout_look, write

FIRST_ROOT = "1.root.json"
KEYS_MAX = 9


def init(
    directory: Annotated[
        Path, typer.Option("--dir", metavar="DIR", help="Where the offline keys go; made if missing.")
    ],
    online_keys: Annotated[
        Path | None,
        typer.Option("--online-keys", metavar="DIR", help="Where the online keys go. [default: DIR/online]"),
    ] = None,
    root_keys: Annotated[int, typer.Option("--root-keys", min=1, max=KEYS_MAX, help="How many root keys to make.")] = 1,
    root_threshold: Annotated[
        int, typer.Option("--root-threshold", min=1, max=KEYS_MAX, help="How many of them must sign a new root.")
    ] = 1,
    targets_keys: Annotated[
        int, typer.Option("--targets-keys", min=1, max=KEYS_MAX, help="How many targets keys to make.")
    ] = 1,
    targets_threshold: Annotated[
        int, typer.Option("--targets-threshold", min=1, max=KEYS_MAX, help="How many of them must sign releases.")
    ] = 1,
    passphrase_file: PassphraseFileOption = None,
    online_passphrase_file: OnlinePassphraseFileOption = None,
) -> None:
    """Make all keys, encrypted, and the first root, which goes to every host with the agent's first installation."""
    from controlplane.releases.signing import first_root

    online = online_keys or directory / "online"
    with mendable():
        offline_keys = offline_ring(directory, passphrase_file, twice=True)
        root = first_root(
            offline_keys,
            online_ring(online, online_passphrase_file, twice=True),
            datetime.now(UTC),
            {"root": root_keys, "targets": targets_keys},
            {"root": root_threshold, "targets": targets_threshold},
        )
        path = directory / FIRST_ROOT
        durable.replace(path, root, mode=None)
    write(f"{path}\n")
    note(
        f"made {root_keys} root and {targets_keys} targets key(s) in {directory}, online keys in {online}\n"
        f"a new root needs {root_threshold} of {root_keys} signatures, a release {targets_threshold} of {targets_keys}"
    )
    if root_threshold == 1:
        note(
            "one root key alone can replace every other key: whoever gets it and its passphrase owns every host.\n"
            "Keep it off any network; --root-keys 3 --root-threshold 2 gives it to three people"
        )


def list_keys(repository: RepositoryOption, output: OutputOption = OutputFormat.table) -> None:
    """List the keys that the newest root accepts, and how long signatures are valid."""
    with mendable():
        desk = desk_at(repository)
        newest = {
            "root": desk.root(),
            "targets": desk.targets(),
            "snapshot": desk.snapshot(),
            "timestamp": desk.timestamp(),
        }
        roles = desk.root().signed.roles
    rows = [
        {
            "role": role,
            "key_id": key_id,
            "threshold": roles[role].threshold,
            "signed": metadata is not None and key_id in metadata.signatures,
            "version": 0 if metadata is None else metadata.signed.version,
            "expires": "" if metadata is None else f"{metadata.signed.expires:%Y-%m-%dT%H:%M:%SZ}",
        }
        for role, metadata in newest.items()
        for key_id in roles[role].keyids
    ]
    if output is OutputFormat.json:
        show_json({"keys": rows})
        return
    from controlplane.cli.releases.tables import key_table

    show(key_table(rows, stdout_look(output)), output)


def rotate_root(
    keys: KeysOption,
    repository: RepositoryOption,
    same_keys: Annotated[
        bool, typer.Option("--same-keys", help="Keep the root keys: only extend the root's validity.")
    ] = False,
    passphrase_file: PassphraseFileOption = None,
) -> None:
    """Write the next root: with new root keys, signed by the old ones and the new ones."""
    with mendable():
        desk = desk_at(repository)
        desk.renew_root(offline_ring(keys, passphrase_file), new_keys=not same_keys)
        root = desk.root().signed
        write(f"root {root.version} counts until {root.expires:%Y-%m-%d} UTC\n")
        tell_missing(desk)
    if not same_keys:
        note("destroy the older root keys once this root is published and every host has it")


def revoke_key(
    key: Annotated[str, typer.Argument(metavar="KEY", help="A key's id, or its first six digits or more.")],
    keys: KeysOption,
    repository: RepositoryOption,
    online_keys: OnlineKeysOption = None,
    passphrase_file: PassphraseFileOption = None,
    online_passphrase_file: OnlinePassphraseFileOption = None,
) -> None:
    """Replace a key that may be compromised, and every key whose versions its holder may have raised."""
    with mendable():
        desk = desk_at(repository)
        offline = offline_ring(keys, passphrase_file)
        replaced = desk.revoke(key, offline, online_ring(online_keys or keys / "online", online_passphrase_file))
        write(f"root {desk.root().signed.version} accepts new keys for {', '.join(replaced)}\n")
        tell_missing(desk)
    note("publish it now: hosts refuse what the old key signed once they have seen this root")


def protect(
    keys: Annotated[Path, typer.Option("--keys", metavar="DIR", help="Directory of the keys.")],
    passphrase_file: PassphraseFileOption = None,
    new_passphrase_file: Annotated[
        Path | None,
        typer.Option(
            "--new-passphrase-file",
            metavar="FILE",
            help=f"The new passphrase. Else {NEW_VARIABLE}, else it is asked for.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Change the passphrase of every key in a directory."""
    with mendable():
        ring = offline_ring(keys, passphrase_file)
        count = ring.protect(
            passphrase(new_passphrase_file, NEW_VARIABLE, f"the keys in {keys} from now on", twice=True)
        )
    write(f"{count} key(s) have a new passphrase\n")


def keys_noun() -> typer.Typer:
    """`haulier release keys`."""
    app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The keys that sign releases.")
    app.command("init")(init)
    app.command("list")(list_keys)
    app.command("protect")(protect)
    return app
