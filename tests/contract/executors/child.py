"""Entry point of a child of the conformance suite: one attempt, as its specification says."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from agentd.datastores.port.failures import Cancelled, StepFailure
from agentd.executors.context import Context
from agentd.executors.registry import kind_of


def main(path: Path) -> None:
    """Run the attempt; at the point, send the signal to itself. Writes the outcome unless it dies first."""
    spec = json.loads(path.read_text())
    cells: dict[str, Any] = {
        name: bytes.fromhex(value["hex"]) if isinstance(value, dict) else value
        for name, value in spec["context"].items()
    }
    cells["directory"] = Path(cells["directory"])
    cells["evict_attempt_ids"] = tuple(cells["evict_attempt_ids"])
    sent: list[str] = []

    def reach(point: str) -> None:
        if point == spec["point"] and not sent:
            sent.append(point)
            os.kill(os.getpid(), spec["signal"])

    ctx = Context(**cells, reach=reach)
    found = kind_of(spec["kind"]).make()
    outcome: dict[str, str]
    try:
        if spec["direction"] == "undo":
            found.undo(ctx)
            outcome = {"ended": "undone"}
        else:
            result = found.probe(ctx)
            outcome = {"ended": "done", "result": (found.run(ctx) if result is None else result).hex()}
    except StepFailure as err:
        outcome = {"ended": "failed", "code": err.code, "message": err.message}
    except Cancelled:
        outcome = {"ended": "cancelled"}
    Path(spec["outcome"]).write_text(json.dumps(outcome))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
