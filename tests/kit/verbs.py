"""How the programs behind the Makefile's verbs end."""

import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from tests.kit.quiet import NotQuiet

# As shells tell a program that Ctrl-C ended.
STOPPED = 128 + signal.SIGINT


def leave(main: Callable[[], int | None]) -> NoReturn:
    """Run a verb and leave with its exit code; Ctrl-C ends it in one line, after it has ended what it started.

    A daemon that was loud about what the verb did not cause is a failure, code 1.
    """
    try:
        code = main()
    except NotQuiet as loud:
        print(loud, file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("\nstopped by hand", file=sys.stderr)
        code = STOPPED
    sys.exit(code)
