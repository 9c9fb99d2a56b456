"""How the programs behind the Makefile's verbs end."""

import sys
from collections.abc import Callable
from typing import NoReturn

from tests.kit import warden
from tests.kit.quiet import NotQuiet


def leave(main: Callable[[], int | None], *, keeps: bool = False) -> NoReturn:
    """Run a verb and leave with its exit code.

    Whatever ends it (Ctrl-C, SIGTERM, a terminal that closes, an error) ends what it started too; with ``keeps`` only
    where it did not end well.

    A daemon that was loud about what the verb did not cause is a failure, code 1.
    """
    warden.stand_above(keeps=keeps)
    try:
        code = main()
    except NotQuiet as loud:
        print(loud, file=sys.stderr)
        code = 1
    except warden.Stopped as stopped:
        print(f"\nstopped by {stopped}", file=sys.stderr)
        code = stopped.code
    sys.exit(code)
