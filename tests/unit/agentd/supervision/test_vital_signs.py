"""The watchdog is fed while work is done, and only then."""

import asyncio
import logging
import socket
from pathlib import Path

import pytest

from agentd.supervision.vital_signs import VitalSigns

EVERY_S = 0.01


class Heard(logging.Handler):
    """Passes on the first thing that is logged."""

    def __init__(self, said: asyncio.Future[str]) -> None:
        super().__init__()
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        if not self._said.done():
            self._said.set_result(record.getMessage())


def of_a_loop_that_works(writing_for_s: float) -> VitalSigns:
    made: list[VitalSigns] = []

    def ask() -> None:
        made[0].handled()

    made.append(VitalSigns(ask, lambda: writing_for_s))
    return made[0]


async def first_complaint(signs: VitalSigns) -> str:
    said: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    heard, logger = Heard(said), logging.getLogger("agentd.supervision.vital_signs")
    logger.addHandler(heard)
    feeding = asyncio.create_task(signs.feed(EVERY_S))
    try:
        return await asyncio.wait_for(said, 20)
    finally:
        logger.removeHandler(heard)
        feeding.cancel()


def test_it_is_fed_while_events_are_handled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(manager: socket.socket) -> bytes:
        feeding = asyncio.create_task(of_a_loop_that_works(0.0).feed(EVERY_S))
        try:
            return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(manager, 100), 20)
        finally:
            feeding.cancel()

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "n"))
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
        assert asyncio.run(story(manager)) == b"WATCHDOG=1"


def test_a_loop_that_handles_nothing_is_not_fed_for() -> None:
    complaint = asyncio.run(first_complaint(VitalSigns(lambda: None, lambda: 0.0)))
    assert "no event was handled" in complaint


def test_a_journal_that_hangs_is_not_fed_for() -> None:
    complaint = asyncio.run(first_complaint(of_a_loop_that_works(3 * EVERY_S)))
    assert "the journal has been writing" in complaint
