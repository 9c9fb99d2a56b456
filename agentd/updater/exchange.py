"""What the agent and the updater leave for each other in the agent's state directory.

That directory belongs to the agent's user, so root trusts nothing in it: no link is followed, only plain files of
limited length are read, and what is written replaces a name and never what the name may point to.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from agentd.disk import durable
from agentd.updater.refusing import Refused

UPGRADE, INCOMING = "upgrade", "incoming"
REQUEST, STATUS, BLACK_BOX = "request.json", "status.json", "black-box.json"
_TEXT_BYTES_MAX = 256 * 1024


@contextlib.contextmanager
def _directory(path: Path, *below: str) -> Iterator[int]:
    """A directory below the agent's state, reached without following a link there."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    descriptor = os.open(path, flags)
    try:
        for name in below:
            inner = os.open(name, flags | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _open_plain(directory: int, name: str) -> int:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(name, flags, dir_fd=directory)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Refused("not_a_file", f"{name} in the agent's state directory is not a plain file")
    return descriptor


def read_text(agent_state: Path, name: str) -> str | None:
    """The text of a file of the exchange; None where there is none. Raises Refused unless it is a plain short file."""
    try:
        with _directory(agent_state, UPGRADE) as directory, os.fdopen(_open_plain(directory, name), "rb") as file:
            data = file.read(_TEXT_BYTES_MAX + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Refused("not_a_file", f"{name} in the agent's state directory: {error.strerror}") from error
    if len(data) > _TEXT_BYTES_MAX:
        raise Refused("too_long", f"{name} in the agent's state directory is too long")
    return data.decode("utf-8", "replace")


def write_text(agent_state: Path, name: str, text: str) -> None:
    """Leave a file for the agent, which its user may read. Nothing happens where the agent keeps no such place."""
    try:
        with _directory(agent_state, UPGRADE) as directory:
            owner = os.fstat(directory)
            # By its descriptor, which nobody can exchange for another directory meanwhile.
            with durable.replacing(Path(f"/proc/self/fd/{directory}") / name) as file:
                if os.geteuid() == 0:
                    os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
                file.write(text.encode("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return
