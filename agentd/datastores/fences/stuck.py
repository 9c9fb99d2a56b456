"""Why an undo, or a publish over an earlier one, stops and asks a person: one failure per thing that is not as left.

None of them is retryable: nothing changes until somebody looks. Each says what was found, by names and counts and never
by values, and how to go on.
"""

from collections.abc import Iterable

from agentd.datastores.port.datastore import Undo
from agentd.datastores.port.failures import StepFailure

# Differences that one message names; the others are counted.
NAMED_MAX = 4


def not_as_published(found: str, differ: Iterable[str], undo: Undo) -> StepFailure:
    """What lies at the destination was changed or replaced after the migration published it."""
    return StepFailure(
        "not_as_published",
        f"{found!r}: what is there is not what this migration published: {listed(differ)}",
        f"Nothing was touched. Put it back as it was, then {retrying(undo)}; or lose what is there now with "
        f"{discarding(undo)}.",
    )


def not_a_table(found: str, kind: str, undo: Undo) -> StepFailure:
    """What took the name cannot be discarded as a table can."""
    return StepFailure(
        "not_as_published",
        f"{found!r}: what is there is not what this migration published: a {kind} has taken its name",
        f"Nothing was touched. Move the {kind} away, then {retrying(undo)}.",
    )


def kept_missing(found: str, kept: str, undo: Undo) -> StepFailure:
    """The content that undo would put back is gone."""
    return StepFailure(
        "kept_missing",
        f"{found!r}: what was there before this migration was kept as {kept!r}, which is not there any more",
        "Nothing was touched: what this migration published is still there. Bring the kept content back under that "
        f"name, then {retrying(undo)}; or leave what is published with {accepting(undo)}.",
    )


def kept_altered(found: str, kept: str, differ: Iterable[str], undo: Undo) -> StepFailure:
    """The content that undo would put back is not what was kept."""
    return StepFailure(
        "kept_altered",
        f"{found!r}: what was there before this migration was kept as {kept!r}, which was changed: {listed(differ)}",
        f"Nothing was touched. Put it back as it was, then {retrying(undo)}; or take it as it is with "
        f"{discarding(undo)}.",
    )


def kept_replaced(kept: str, differ: Iterable[str]) -> StepFailure:
    """What a clean-up would remove is not what was kept."""
    return StepFailure(
        "kept_altered",
        f"{kept!r} is not what this migration kept for undo: {listed(differ)}",
        "Nothing was removed, because it may be somebody else's. Move it away or drop it, then clean up again.",
    )


def records_missing(found: str, undo: Undo) -> StepFailure:
    """The destination does not know of a publish that the control plane knows of."""
    return StepFailure(
        "records_missing",
        f"{found!r}: this migration published there with fence {undo.published_fence}, and the destination has no "
        "record of it: it was restored to an earlier time, or the records were removed",
        "Nothing was touched, because nothing tells whose content is there now. Bring the records back, then "
        f"{retrying(undo)}; or see to the destination by hand, and end the migration with {accepting(undo)}.",
    )


def changed_since(found: str, differ: list[str]) -> StepFailure:
    """Failure for an object that Haulier published for this target, and somebody changed."""
    return StepFailure(
        "not_as_published",
        f"{found!r}: what is there is not what Haulier published: {listed(differ)}",
        "Put it back as it was, move it away, or set `ifExists: replace` to keep it for undo and replace it.",
    )


def changed_between(found: str, differ: list[str]) -> StepFailure:
    """Failure for what this very migration published, and somebody changed before it could publish again."""
    return StepFailure(
        "not_as_published",
        f"{found!r}: what is there is not what this migration published: {listed(differ)}",
        "Put it back as it was, or move it away under another name; then retry.",
    )


def retrying(undo: Undo) -> str:
    """The command that tries the undo again."""
    return f"`haulier migration retry {undo.migration}`"


def discarding(undo: Undo) -> str:
    """The command by which a person agrees to lose what was changed."""
    return f"`haulier migration rollback {undo.migration} --discard-changes --reason TEXT`"


def accepting(undo: Undo) -> str:
    """The command that leaves a destination as it is."""
    return f"`haulier migration accept {undo.migration} --reason TEXT`"


def listed(differ: Iterable[str]) -> str:
    """Differences as one phrase."""
    found = list(differ)
    more = f"; and {len(found) - NAMED_MAX} more" if len(found) > NAMED_MAX else ""
    return "; ".join(found[:NAMED_MAX]) + more
