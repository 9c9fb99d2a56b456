"""Who may read what Haulier makes in a place of files: mode and group, as the Datastore says.

A step's process makes private files (umask 077). Published files are for others to read, so while a datastore writes at
its place, the process has the umask of that place; where a group is named, the directories that Haulier makes hand it
on to everything made in them.
"""

import grp
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agentd.datastores.port.failures import StepFailure

# The owner writes, the group reads.
DEFAULT_MODE = 0o640


@dataclass(frozen=True, slots=True)
class Sharing:
    """`mode` is that of files, 0 where the Datastore says nothing; directories can also be entered by whoever may read.

    `group` is a group's name, "" to leave the group as the file system gives it."""

    name: str
    mode: int = 0
    group: str = ""

    @property
    def file_mode(self) -> int:
        """Mode of files that are made anew."""
        return self.mode or DEFAULT_MODE

    @property
    def directory_mode(self) -> int:
        """Mode of directories."""
        entered = (self.file_mode & 0o444) >> 2
        return self.file_mode | entered | (stat.S_ISGID if self.group else 0)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Whatever is made in this block can be read as the Datastore says."""
        before = os.umask(0o777 & ~self.directory_mode)
        try:
            yield
        finally:
            os.umask(before)

    def make(self, directory: Path, root: Path) -> None:
        """Make a directory and what is missing of its way down from `root`; one that is there is left as it is."""
        if directory.is_dir():
            return
        if directory != root:
            self.make(directory.parent, root)
        try:
            directory.mkdir()
        except FileExistsError:
            # Somebody else was faster, and has made it as it should be.
            return
        self._give(directory, self.directory_mode)

    def widen(self, directory: Path) -> None:
        """Let others into a directory of Haulier's own that an older release made private."""
        found = directory.stat() if directory.is_dir() else None
        if found is not None and found.st_uid == os.geteuid() and found.st_mode & 0o777 == 0o700:
            self._give(directory, self.directory_mode)

    def settle(self, file: Path, before: Path | None = None, *, is_ours: bool = True) -> None:
        """Give a file that was just written its mode and group.

        Where the Datastore names no mode, whoever could read the file that was there `before` can read what comes: of a
        file that is not ours nothing is added to that."""
        mode = self.file_mode
        if not self.mode and before is not None and before.exists():
            found = stat.S_IMODE(before.stat().st_mode)
            mode = found | DEFAULT_MODE if is_ours else found
        self._give(file, mode)

    def _give(self, path: Path, mode: int) -> None:
        if self.group:
            try:
                os.chown(path, -1, grp.getgrnam(self.group).gr_gid)
            except KeyError:
                raise self._refused("there is no such group on this host", "Create it, or name another.") from None
            except PermissionError:
                hint = f"Add the agent's user to it (usermod -aG {self.group} USER) and restart the agent."
                raise self._refused("the agent's user is not in it, so it may not give files to it", hint) from None
        # After the group: a change of it takes the bits of the group's inheritance away.
        path.chmod(mode)

    def _refused(self, why: str, hint: str) -> StepFailure:
        return StepFailure("bad_group", f"datastore {self.name!r}: group {self.group!r}: {why}", hint)
