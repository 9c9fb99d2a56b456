"""Everything that can stop a command, as one clear error: what, where, how to mend it, and the exit code."""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING

from controlplane.cli.screen import clocks
from controlplane.cli.screen.exits import Exit

if TYPE_CHECKING:
    import grpc


class Problem(Exception):
    """An error that a person can act on.

    `what` is one sentence; `where` names the file, address or argument; `hint` says how to mend it.
    None of them ever holds a secret.
    """

    def __init__(self, what: str, *, where: str = "", hint: str = "", code: Exit = Exit.INTERNAL) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint
        self.code = code


def of_os_error(error: OSError) -> Problem:
    """An operating system error as a problem; the path is the place."""
    where = str(error.filename) if error.filename is not None else ""
    what = error.strerror or type(error).__name__
    hints = {
        errno.ENOENT: "check the path",
        errno.EACCES: "check the permissions of the path",
        errno.EISDIR: "name a file",
        errno.ENOSPC: "make room on the disk",
    }
    return Problem(what, where=where, hint=hints.get(error.errno or 0, ""), code=Exit.USAGE)


# gRPC status name → exit code. What is not listed is an error inside the control plane.
_EXIT_OF_STATUS: dict[str, Exit] = {
    "INVALID_ARGUMENT": Exit.USAGE,
    "OUT_OF_RANGE": Exit.USAGE,
    "UNAVAILABLE": Exit.UNREACHABLE,
    "DEADLINE_EXCEEDED": Exit.UNREACHABLE,
    "UNAUTHENTICATED": Exit.FORBIDDEN,
    "PERMISSION_DENIED": Exit.FORBIDDEN,
    "NOT_FOUND": Exit.NOT_FOUND,
    "ALREADY_EXISTS": Exit.CONFLICT,
    "FAILED_PRECONDITION": Exit.CONFLICT,
    "ABORTED": Exit.CONFLICT,
}

# How the gRPC library words a connection that failed; it tells people nothing that they can act on.
_TRANSPORT = re.compile(
    r"failed to connect|connection (refused|reset|attempt|timed)|socket|dns|goaway|transport|endpoint|recvmsg|"
    r"sendmsg|broken pipe|keepalive|ping timeout|subchannel|channel|stream (removed|refused)|network|name resol",
    re.IGNORECASE,
)
# In the trailing metadata of a call that waits for a second person: the id of its approval.
APPROVAL_KEY = "haulier-approval"
_HINT_MARK = "\nhint: "


def of_rpc_error(error: grpc.RpcError, *, address: str, profile_path: str, timeout_s: float, way: str = "") -> Problem:
    """A failed call as a problem.

    `address` is host:port of the control plane, `profile_path` the profile in use, `timeout_s` the deadline in seconds,
    `way` what there is to say of a proxy.
    """
    status = str(error.code().name)
    details = str(error.details() or "")
    what, _, hint = details.partition(_HINT_MARK)
    where = f"control plane {address}"
    code = _EXIT_OF_STATUS.get(status, Exit.INTERNAL)
    if status == "UNAVAILABLE":
        return _unavailable(details, where=f"{where}; {way}" if way else where, profile_path=profile_path)
    if status == "DEADLINE_EXCEEDED":
        what = f"no answer within {timeout_s:g} seconds"
        hint = "is it overloaded or unreachable? A longer --timeout may help"
    elif status == "UNAUTHENTICATED":
        what = what or "the token was refused"
        hint = hint or f"the profile {profile_path} may belong to another control plane or an older one: fetch it again"
    elif status == "PERMISSION_DENIED":
        hint = hint or "this profile's role may not do that"
    elif status == "FAILED_PRECONDITION" and APPROVAL_KEY in dict(error.trailing_metadata() or ()):
        code = Exit.AWAITS_APPROVAL
    elif status == "UNIMPLEMENTED":
        what = "the control plane does not know this call"
        hint = "it is older than this program: use the `haulier` of its version"
    elif status == "RESOURCE_EXHAUSTED" and ("larger" in details or "size" in details):
        code = Exit.USAGE
        hint = hint or "the request is too large: send fewer manifests at once"
    elif code is Exit.INTERNAL:
        hint = hint or "look into the control plane's log"
    return Problem(what or status.lower().replace("_", " "), where=where, hint=hint, code=code)


def _unavailable(details: str, *, where: str, profile_path: str) -> Problem:
    """UNAVAILABLE covers both "nobody there" and "wrong certificate"; the remedy differs, so they are told apart."""
    lowered = details.lower()
    if clock := clocks.told(details):
        return Problem(
            f"the certificate of the control plane is not good at this time{clock}",
            where=where,
            hint="`timedatectl` shows whether this clock is right; look at that of the control plane's host too",
            code=Exit.UNREACHABLE,
        )
    if "certificate_verify_failed" in lowered or "self signed" in lowered or "self-signed" in lowered:
        return Problem(
            "the certificate of the control plane is not signed by the authority in the profile",
            where=where,
            hint=f"the profile {profile_path} belongs to another control plane, or it was set up again: fetch it again",
            code=Exit.UNREACHABLE,
        )
    if "peer name" in lowered or "hostname verification" in lowered:
        return Problem(
            "the certificate of the control plane does not name this address",
            where=where,
            hint=f"use a host name that the certificate holds as `address` in {profile_path}",
            code=Exit.UNREACHABLE,
        )
    if "ssl" in lowered or "tls" in lowered or "handshake" in lowered:
        return Problem(
            "no TLS connection could be made: the other side does not speak it as expected",
            where=where,
            hint=f"does `address` in {profile_path} name the public listener of a control plane?",
            code=Exit.UNREACHABLE,
        )
    if details and not _TRANSPORT.search(details):
        # The control plane itself said so, for instance because its disk is full.
        what, _, hint = details.partition(_HINT_MARK)
        return Problem(what, where=where, hint=hint or "look into the control plane's log", code=Exit.UNREACHABLE)
    return Problem(
        "the control plane cannot be reached",
        where=where,
        hint=f"is it running (`haulier-controlplane serve`), and is `address` in {profile_path} right?",
        code=Exit.UNREACHABLE,
    )
