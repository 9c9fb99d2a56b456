"""Feeds the service manager's watchdog, and only for as long as the daemon really does its work.

That a timer fires proves little: the loop may have stopped handling events, or the journal may hang on its disk, while
timers go on. So each feeding needs an event that was handled since the last one, and a journal that is not stuck.
"""

import asyncio
import logging
from collections.abc import Callable

from agentd.supervision.service_notices import notify

log = logging.getLogger(__name__)


class VitalSigns:
    """`ask` puts an event into the daemon's own queue; `writing_for_s` says how long the journal's write under way
    has taken, 0 without one."""

    def __init__(self, ask: Callable[[], None], writing_for_s: Callable[[], float]) -> None:
        self._ask = ask
        self._writing_for_s = writing_for_s
        self._handled = 0

    def handled(self) -> None:
        """The loop has handled an event, whichever."""
        self._handled += 1

    async def feed(self, every_s: float) -> None:
        """Feed the watchdog each `every_s`, which is half of what the manager waits, while there is work done."""
        stuck_after_s = 2 * every_s
        while True:
            before = self._handled
            self._ask()
            await asyncio.sleep(every_s)
            writing_s = self._writing_for_s()
            if self._handled == before:
                log.error("no event was handled for %.0f s: the watchdog is not fed", every_s)
            elif writing_s > stuck_after_s:
                log.error("the journal has been writing for %.0f s: the watchdog is not fed", writing_s)
            else:
                notify(watchdog="1")
