"""The options of `haulier release`, and the way from them to keys and desk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from controlplane.cli.releases.passphrases import OFFLINE_VARIABLE, ONLINE_VARIABLE, passphrase
from controlplane.cli.screen.exits import Exit
from controlplane.cli.screen.problems import Problem
from controlplane.cli.screen.terminal import note

if TYPE_CHECKING:
    from controlplane.releases.keys import KeyRing
    from controlplane.releases.signing import SigningDesk

TIMESTAMP_DAYS = 7

KeysOption = Annotated[Path, typer.Option("--keys", metavar="DIR", help="Directory of the offline keys.")]
OnlineKeysOption = Annotated[
    Path | None,
    typer.Option("--online-keys", metavar="DIR", help="Directory of the online keys. [default: KEYS/online]"),
]
RepositoryOption = Annotated[
    Path, typer.Option("--repository", metavar="DIR", help="Where signed metadata and artefacts are kept.")
]
PassphraseFileOption = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help=f"Passphrase of the offline keys. Else {OFFLINE_VARIABLE}, else it is asked for.",
        show_default=False,
    ),
]
OnlinePassphraseFileOption = Annotated[
    Path | None,
    typer.Option(
        "--online-passphrase-file",
        metavar="FILE",
        help=f"Passphrase of the online keys. Else {ONLINE_VARIABLE}, else it is asked for.",
        show_default=False,
    ),
]
TimestampDaysOption = Annotated[
    int,
    typer.Option(
        "--timestamp-days",
        metavar="DAYS",
        min=1,
        max=90,
        help="How long the timestamp is valid; refresh well before. Hosts hold upgrades once it has expired.",
    ),
]


def offline_ring(keys: Path, file: Path | None, *, twice: bool = False) -> KeyRing:
    """The offline keys."""
    from controlplane.releases.keys import KeyRing

    return KeyRing(keys, passphrase(file, OFFLINE_VARIABLE, f"the offline keys in {keys}", twice=twice))


def online_ring(keys: Path, file: Path | None, *, twice: bool = False) -> KeyRing:
    """The online keys."""
    from controlplane.releases.keys import KeyRing

    return KeyRing(keys, passphrase(file, ONLINE_VARIABLE, f"the online keys in {keys}", twice=twice))


def desk_at(repository: Path, timestamp_days: int = TIMESTAMP_DAYS) -> SigningDesk:
    """The desk, now."""
    from controlplane.releases.signing import SigningDesk

    return SigningDesk(repository, datetime.now(UTC), timestamp_days)


def tell_missing(desk: SigningDesk) -> None:
    """Say which signatures are still to be given."""
    for missing in desk.missing():
        note(
            f"{missing.version}.{missing.role}.json still needs {missing.signatures} signature(s): take the repository "
            "to another key holder, for `haulier release cosign`"
        )


@contextmanager
def mendable() -> Iterator[None]:
    """Turns what a release, a key or a signature lacks into a problem that says how to mend it."""
    from controlplane.releases.building import BadTree
    from controlplane.releases.problems import ReleaseProblem

    try:
        yield
    except ReleaseProblem as problem:
        raise Problem(str(problem), hint=problem.hint, code=Exit.USAGE) from None
    except (BadTree, ValueError) as error:
        raise Problem(str(error), code=Exit.USAGE) from None
