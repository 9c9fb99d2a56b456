"""What ended migrations left behind, in words: what is kept, for how long, and what a rollback can still do. Pure."""

from __future__ import annotations

from haulier.v1 import operator_pb2 as op

from controlplane.cli.screen import wording

_WAY_BACK = {
    "removes": "removes what was published; nothing was there before",
    "restores": "puts back what was there before",
    "refused": "is no longer possible: what was there before was removed",
}


def kept(left: op.LeftoversView) -> str:
    """What one migration keeps: "staged parts for 23h, former content for 6d23h"; empty for nothing."""
    parts = []
    if left.HasField("staged_removed_in_s"):
        parts.append(f"staged parts for {wording.duration(left.staged_removed_in_s)}")
    if left.HasField("former_removed_in_s"):
        parts.append(f"what was there before for {wording.duration(left.former_removed_in_s)}")
    return ", ".join(parts)


def rollback(left: op.LeftoversView) -> str:
    """What a rollback would do now; empty where there is nothing to roll back."""
    return _WAY_BACK.get(left.way_back, "")


def kept_in_all(status: op.LeftoversStatus) -> str:
    """What all migrations keep: "staged parts of 12 migrations (the first go in 23h), …"."""
    parts = []
    for number, next_in_s, what in (
        (status.staged, status.staged_next_in_s, "staged parts of"),
        (status.former, status.former_next_in_s, "what rollback puts back for"),
    ):
        if number:
            first = f"the first goes in {wording.duration(next_in_s)}" if next_in_s else "the first goes now"
            parts.append(f"{what} {wording.plural(number, 'migration')} ({first})")
    return ", ".join(parts)


def failed_clean_ups(status: op.LeftoversStatus) -> str:
    """A sentence on clean-ups that failed, with the command that tries them anew; empty where none did."""
    if not status.failed:
        return ""
    names = " ".join(wording.clean(name) for name in status.failed)
    return f"{wording.plural(len(status.failed), 'clean-up')} failed; try again: `haulier migration clean-up {names}`"
