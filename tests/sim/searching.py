"""Many histories over all cores: what was found, what never came up, and the report of both."""

import gc
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tests.kit import reports, warden
from tests.sim.history import play
from tests.sim.marks import MARKS

CHUNK = 20


@dataclass(slots=True)
class Found:
    """The sum of a search."""

    histories: int = 0
    events: list[int] = field(default_factory=list)
    marks: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[int, str, str, str]] = field(default_factory=list)  # seed, promise, subject, message
    wall_s: float = 0.0

    def missed(self) -> list[str]:
        """Marks that no history hit."""
        return [name for name in MARKS if not self.marks[name]]

    def add(self, chunk: "Found") -> None:
        """Take in a part."""
        self.histories += chunk.histories
        self.events += chunk.events
        self.marks += chunk.marks
        self.violations += chunk.violations


def play_some(seeds: range) -> Found:
    """Play some seeds in this process."""
    found = Found()
    # Histories are short and their worlds are rings; collecting once for all of them costs a sixth less.
    gc.collect()
    gc.disable()
    for seed in seeds:
        verdict = play(seed)
        found.histories += 1
        found.events.append(verdict.events)
        found.marks.update(verdict.marks)
        if verdict.violation is not None:
            found.violations.append((seed, *verdict.violation))
    return found


def search(first: int, histories: int, violations_max: int = 20) -> Iterator[Found]:
    """Play seeds from ``first`` on over all cores; yields the sum after each chunk, the last one being whole."""
    began_at = time.monotonic()
    chunks = [range(at, min(at + CHUNK, first + histories)) for at in range(first, first + histories, CHUNK)]
    total = Found()
    with multiprocessing.get_context("fork").Pool(processes(), warden.stop_with_parent) as pool:
        for chunk in pool.imap(play_some, chunks):
            total.add(chunk)
            total.wall_s = time.monotonic() - began_at
            yield total
            if len(total.violations) >= violations_max:
                return


def processes() -> int:
    """How many cores there are to use."""
    return len(os.sched_getaffinity(0))


def report_of(found: Found) -> dict[str, Any]:
    """The machine's report; what a run of the planted bugs wrote stays."""
    before = reports.read("sim") or {}
    return {
        "histories": found.histories,
        "events": sum(found.events),
        "events_median": median(found.events) if found.events else 0,
        "wall_s": round(found.wall_s, 1),
        "violations": len(found.violations),
        "violated": [
            {"seed": seed, "promise": promise, "subject": subject, "message": message}
            for seed, promise, subject, message in found.violations
        ],
        "sometimes": {name: found.marks[name] for name in MARKS},
        "sometimes_missed": found.missed(),
        "mutants": before.get("mutants", {"found": 0, "planted": 0, "seeds": 0}),
    }
