"""Daemons are quiet unless something is wrong: an ERROR or CRITICAL line that a test did not cause is a finding."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

# As the daemons write to a file, and as they write where standard error is the journal.
_LOUD = re.compile(r"^(?:\d{4}-\d\d-\d\d [\d:,.]+ (?:ERROR|CRITICAL) |<[0-3]>|Traceback \(most recent call last\))")
_RECORD = re.compile(r"^(?:\d{4}-\d\d-\d\d |<\d>)")
NAMED_MAX = 20


class NotQuiet(AssertionError):
    """Daemons were loud about something that nobody caused; shows the lines."""


def loud_lines(logs: Iterable[Path], causes: Sequence[str] = ()) -> list[str]:
    """Return each line at ERROR or CRITICAL, and each traceback, as ``FILE:LINE: text``.

    ``causes`` are regular expressions: a line that one of them matches anywhere was caused on purpose, together with
    the traceback that belongs to it.
    """
    caused = [re.compile(each) for each in causes]
    found = []
    for log in logs:
        excused = False
        for number, line in enumerate(log.read_text(errors="replace").splitlines(), 1) if log.exists() else ():
            if not _LOUD.match(line):
                excused = excused and not _RECORD.match(line)
                continue
            if excused and line.startswith("Traceback"):
                continue
            excused = any(each.search(line) for each in caused)
            if not excused:
                found.append(f"{log.name}:{number}: {line[:300]}")
    return found


def require_quiet(logs: Iterable[Path], causes: Sequence[str] = ()) -> None:
    """See that nothing but ``causes`` was loud. Raises ``NotQuiet``."""
    found = loud_lines(logs, causes)
    if found:
        more = f"\nand {len(found) - NAMED_MAX} more" if len(found) > NAMED_MAX else ""
        raise NotQuiet("the daemons' logs have errors that nobody caused:\n" + "\n".join(found[:NAMED_MAX]) + more)
