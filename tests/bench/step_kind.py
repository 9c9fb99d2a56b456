"""A user's step kind for the real agent: a real child process that writes 16 bytes and ends."""

import os
import struct
import time
from pathlib import Path

from agentd.executors.context import Context
from agentd.executors.uses import Uses

KIND = "bench-touch"
FILE_VARIABLE = "HAULIER_BENCH_FILE"
RECORD = struct.Struct("<dq")  # the instant, by the host's wall clock, and the fence's counter


class Touch:
    """Appends one record to the file that the environment names."""

    kind = KIND
    SAFE_TO_REPEAT = "it only adds a record to a file that nobody but the bench reads"
    UNDO = "nothing: the record stays"

    @staticmethod
    def uses(params: bytes, undo: bool) -> Uses:
        """The directory of the file that the environment names: the first one makes it."""
        return Uses(writes=(str(Path(os.environ[FILE_VARIABLE]).parent),))

    def probe(self, ctx: Context) -> bytes | None:
        """Never done before."""
        return None

    def run(self, ctx: Context) -> bytes:
        """Write the record; its instant is when this child runs."""
        at = time.time()
        descriptor = os.open(os.environ[FILE_VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(descriptor, RECORD.pack(at, int(ctx.step_id.removeprefix("step_"), 16)))
        os.close(descriptor)
        return b"{}"

    def undo(self, ctx: Context) -> None:
        """Nothing to undo."""
