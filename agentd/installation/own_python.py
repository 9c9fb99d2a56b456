"""Starts other processes of this very installation: a checkout, a virtual environment, or a release on its host."""

import os
import sys


def module_command(module: str) -> tuple[str, ...]:
    """The command that runs one of our modules; it needs `search_path()` in its environment as PYTHONPATH.

    Never a module that happens to lie in the directory where the daemon was started (-P); and where this process keeps
    out whatever else is installed on the host, as a release does, the other one does so too (-S).
    """
    return (sys.executable, "-P", *(("-S",) if sys.flags.no_site else ()), "-m", module)


def search_path() -> str:
    """Where this process finds its modules, for PYTHONPATH."""
    return os.pathsep.join(each for each in sys.path if each)
