"""How the programs behind the Makefile's verbs end."""

import signal
import sys
from collections.abc import Callable
from typing import NoReturn

# As shells tell a program that Ctrl-C ended.
STOPPED = 128 + signal.SIGINT


def leave(main: Callable[[], int | None]) -> NoReturn:
    """Run a verb and leave with its exit code; Ctrl-C ends it in one line, after it has ended what it started."""
    try:
        code = main()
    except KeyboardInterrupt:
        print("\nstopped by hand", file=sys.stderr)
        code = STOPPED
    sys.exit(code)
