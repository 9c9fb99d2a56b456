"""The exit codes: a promise to scripts, printed by `haulier --help`."""

from enum import IntEnum


class Exit(IntEnum):
    """How a command ended."""

    OK = 0
    BAD_ANSWER = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_FOUND = 4
    CONFLICT = 5
    INTERNAL = 6
    FORBIDDEN = 7
    NO_PROFILE = 8
    AWAITS_APPROVAL = 9
    INTERRUPTED = 130


MEANING: dict[Exit, str] = {
    Exit.OK: "done",
    Exit.BAD_ANSWER: "the answer is bad: findings, or a migration that did not succeed",
    Exit.USAGE: "wrong usage: arguments, files, or a value that was refused",
    Exit.UNREACHABLE: "the control plane cannot be reached, or is another than the profile's",
    Exit.NOT_FOUND: "no such thing",
    Exit.CONFLICT: "not possible in the present state",
    Exit.INTERNAL: "an error inside the control plane or this program",
    Exit.FORBIDDEN: "the control plane does not let you: the token is refused, or its role may not",
    Exit.NO_PROFILE: "there is no profile, or it cannot be used",
    Exit.AWAITS_APPROVAL: "waits for the approval of a second person; the message names it",
    Exit.INTERRUPTED: "interrupted; what runs on the agents goes on",
}


def exit_table() -> str:
    """The codes and their meanings, one per line, for the help text."""
    return "\n".join(f"  {int(code):>3}  {meaning}" for code, meaning in MEANING.items())
