"""A runner host with small step kinds of its own: real processes that are quick to start and easy to hold.

Run as a script in place of `agentd.runnerhost`; the kinds read their orders from the grant's params (JSON).
"""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from haulier.v1 import kinds_pb2 as k

from agentd import runnerhost
from agentd.datastores.port.failures import Fenced, StepFailure
from agentd.executors.context import Context
from agentd.executors.registry import declared
from agentd.executors.uses import Uses
from agentd.runner.fork_server import ForkServer
from tests.integration.agentd import dying


class _Small:
    SAFE_TO_REPEAT = "It only looks."
    UNDO = "There is nothing to undo."

    @staticmethod
    def uses(params: bytes, undo: bool) -> Uses:
        """Programs to hold on to, and nothing else."""
        return Uses(programs=True)

    def probe(self, ctx: Context) -> bytes | None:
        return None

    def run(self, ctx: Context) -> bytes:
        return b""

    def undo(self, ctx: Context) -> None:
        if ctx.forward_result == b"cannot":
            raise StepFailure("undo_failed", "told not to")


class Echo(_Small):
    """Returns what it was given, with its fence."""

    kind = "echo"

    def run(self, ctx: Context) -> bytes:
        ctx.progress(1, 1, stage="echoing")
        return json.dumps({"params": ctx.params.decode(), "fence": ctx.fence, "pid": os.getpid()}).encode()


class Hold(_Small):
    """Works until the file it was given appears; counts as it goes. A `helper` is a process of its own."""

    kind = "hold"

    def run(self, ctx: Context) -> bytes:
        orders = json.loads(ctx.params)
        wanted = orders.get("helper") or orders.get("daemon")
        helper = subprocess.Popen(["sleep", "600"], start_new_session="daemon" in orders) if wanted else None
        print("holding", flush=True)
        if helper is not None:
            print(f"helper {helper.pid}", flush=True)
        (ctx.directory / "holding").touch()
        watermark = 0
        while not Path(orders["until"]).exists():
            watermark += int(orders.get("moves", 1))
            if orders.get("deaf"):
                time.sleep(0.02)
                continue
            ctx.progress(watermark, stage="holding")
            time.sleep(0.02)
        return str(watermark).encode()


class Fail(_Small):
    """Fails the way it is told."""

    kind = "fail"

    def run(self, ctx: Context) -> bytes:
        how = json.loads(ctx.params)["how"]
        if how == "fenced":
            raise Fenced(ctx.target, ctx.fence, "a newer one was here")
        if how == "step":
            raise StepFailure("no_such_table", "table t is not there", "create it", result=b"half")
        if how == "exit":
            os._exit(3)
        secret = ctx.resolve_secret("env:SMALL_SECRET")
        print(f"the secret is {secret}")
        raise RuntimeError(f"cannot log in with {secret}")


class Destroy(_Small):
    """Does something that only a living lease permits."""

    kind = "destroy"

    def run(self, ctx: Context) -> bytes:
        ctx.before_destructive()
        ctx.reach("destroyed")
        return b"destroyed"


class Print(_Small):
    """Prints numbered lines of 13 bytes."""

    kind = "print"

    def run(self, ctx: Context) -> bytes:
        lines = int(json.loads(ctx.params)["lines"])
        os.write(1, b"".join(b"line %07d\n" % n for n in range(lines)))
        return b""


class Environment(_Small):
    """Tells the names of its environment."""

    kind = "environment"

    def run(self, ctx: Context) -> bytes:
        return json.dumps(sorted(os.environ)).encode()


class Greedy(_Small):
    """Takes more and more of what it is told to, and never enough."""

    kind = "greedy"

    def run(self, ctx: Context) -> bytes:
        what, taken = json.loads(ctx.params)["what"], []
        with (ctx.directory / "tmp" / "much").open("wb") as file:
            for turn in range(1, 10**9):
                ctx.progress(turn)
                if what == "memory":
                    taken.append(b"x" * 10_000_000)
                elif what == "disk":
                    file.write(b"x" * 1_000_000)
                    os.fsync(file.fileno())
                elif what == "processes":
                    taken.append(subprocess.Popen(["sleep", "600"]))  # type: ignore[arg-type]
        return b""


class Reach(_Small):
    """Reaches for one thing; `says` is what it declares, beside what it was born with: nothing."""

    kind = "reach"

    @staticmethod
    def uses(params: bytes, undo: bool) -> Uses:
        """As it is told."""
        says = json.loads(params)["says"]
        said: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in says.items()}
        return Uses(**said)

    def run(self, ctx: Context) -> bytes:
        how, what = json.loads(ctx.params)["reaches"]
        if how == "read":
            return Path(what).read_bytes()
        if how == "write":
            Path(what).write_text("written")
        elif how == "run":
            subprocess.run([what], check=True)
        elif how == "connect":
            socket.create_connection(("127.0.0.1", what), timeout=5).close()
        else:
            ctx.allow_datastore(k.Datastore(name="lake", parquet=k.ParquetStore(root=what)))
        return b"reached"


class Undeclared:
    """The same without a declaration, as many a class is written at first."""

    kind = "undeclared"
    SAFE_TO_REPEAT = _Small.SAFE_TO_REPEAT
    UNDO = _Small.UNDO
    probe, run, undo = _Small.probe, Reach.run, _Small.undo


KINDS = {
    kind.kind: declared(kind) for kind in (Echo, Hold, Fail, Destroy, Print, Environment, Greedy, Reach, Undeclared)
}


class DyingServer(ForkServer):
    """Dies right after its first fork, before it can say so; the mark lets the next one live."""

    mark = Path()

    def _say(self, told: dict[str, Any]) -> None:
        if "pid" in told and not self.mark.exists():
            while not (self._attempts / str(told["attempt_id"]) / "holding").exists():
                time.sleep(0.01)
            self.mark.touch()
            os._exit(1)
        super()._say(told)


if __name__ == "__main__":
    if "SMALL_DIES_UNTIL" in os.environ:
        DyingServer.mark = Path(os.environ["SMALL_DIES_UNTIL"])
        runnerhost.ForkServer = DyingServer  # type: ignore[attr-defined]
    dying.in_runner_host()
    runnerhost.main(sys.argv[1:], load=lambda: KINDS, preloaded=())
