"""Attempts at steps for the conformance suite: in this process, or in a real child that dies or stops on the spot."""

import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from agentd.executors.context import Context
from agentd.executors.registry import kind_of

ROOT = Path(__file__).parents[3]
POINTS = ("before_publish", "publish_open", "after_publish")
CHILD_S = 60.0
_NUMBERS = itertools.count(1)


def attempt(home: Path, kind: str, params: Any, fence: int, **changes: Any) -> Context:
    """A context for the next attempt at a step of this kind, all on the same target and migration."""
    name = f"att_{next(_NUMBERS)}"
    ctx = Context(
        attempt_id=name,
        step_id=f"step_{kind}",
        migration_id="mig_1",
        number=1,
        fence=fence,
        target="ds_things@there",
        params=params.SerializeToString(),
        directory=home / "attempts" / name,
    )
    ctx.directory.mkdir(parents=True)
    return dataclasses.replace(ctx, **changes)


def run(kind: str, ctx: Context) -> bytes:
    """What the agent does: probe, then run only where the probe found nothing."""
    found = kind_of(kind).make().probe(ctx)
    return kind_of(kind).make().run(ctx) if found is None else found


class Child:
    """A real process that runs one attempt and, at a point, sends itself a signal: SIGKILL to die, SIGSTOP to stop."""

    def __init__(self, kind: str, ctx: Context, point: str, sent: signal.Signals, direction: str = "forward") -> None:
        spec = {
            "kind": kind,
            "direction": direction,
            "point": point,
            "signal": int(sent),
            "outcome": str(ctx.directory / "outcome.json"),
            "context": {
                f.name: _plain(getattr(ctx, f.name))
                for f in dataclasses.fields(ctx)
                if not callable(getattr(ctx, f.name))
            },
        }
        self._outcome = ctx.directory / "outcome.json"
        path = ctx.directory / "spec.json"
        path.write_text(json.dumps(spec))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.contract.executors.child", str(path)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}"},
        )

    def await_point(self) -> None:
        """Return once the child has stopped at its point or ended; fails the test if it ended otherwise."""
        _, status = os.waitpid(self.process.pid, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            return
        self.process.returncode = os.waitstatus_to_exitcode(status)
        assert self.process.returncode == -signal.SIGKILL, f"the child ended with {self.process.returncode}"

    def resume(self) -> dict[str, str]:
        """Let a stopped child go on to its end; its outcome, or {"ended": "killed"} where a signal evicted it."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGCONT)
        code = self.process.wait(CHILD_S)
        if code == -signal.SIGKILL:
            return {"ended": "killed"}
        assert code == 0, f"the child ended with {code}"
        found: dict[str, str] = json.loads(self._outcome.read_text())
        return found

    def end(self) -> None:
        """Make sure that nothing is left of it."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(CHILD_S)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    return str(value) if isinstance(value, Path) else value
