"""Why an upgrade is not taken: each cause has a stable code, and some are nobody's fault."""

import errno

# Causes that go away by themselves or by making room: the upgrade waits, and nothing is held against the release.
HOLDING = frozenset({"metadata_expired", "disk_full", "incomplete"})
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Refused(Exception):
    """This host does not take the release; `code` is stable, the message is for people and holds no secret."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def holds(self) -> bool:
        """True where trying again later may help without anybody signing or asking anew."""
        return self.code in HOLDING


def of_os_error(error: OSError) -> Exception:
    """A full disk as a refusal that holds; any other error as it is."""
    if error.errno in _FULL:
        return Refused("disk_full", f"no room is left on the disk{f' for {error.filename}' if error.filename else ''}")
    return error
