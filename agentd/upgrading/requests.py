"""Carries the agent's part of an upgrade out: wishes and requests on disk, the fetching, the updater's word.

Everything lies in `upgrade/` of the agent's state directory: wish.json is the agent's own memory, incoming/ what it
fetches, request.json is for the updater, status.json from it.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from pathlib import Path

from agentd.config.reading import Config
from agentd.core import effects, events
from agentd.core.release_state import (
    HostRelease,
    HostState,
    UndecodableState,
    Wish,
    host_release_from_text,
    request_to_text,
    wish_from_text,
    wish_to_text,
)
from agentd.core.upgrade_requests import Upgrading
from agentd.link import identity_files
from agentd.link.identity_files import Enrolment
from agentd.supervision import watch
from agentd.upgrading import fetching, reporting

log = logging.getLogger("haulier.agentd")

UPGRADE, INCOMING = "upgrade", "incoming"
# A full disk may have room again after so long.
_AGAIN_S = 5.0
WISH, REQUEST, STATUS, BLACK_BOX = "wish.json", "request.json", "status.json", "black-box.json"
_BOX_BYTES_MAX = 512 * 1024
_REPORT_AGAIN_S = 30.0
_LOOK_AGAIN_S = 5.0

UpgradeEffect = (
    effects.RememberWish | effects.ForgetWish | effects.FetchRelease | effects.StopFetching | effects.AskUpdater
)


class Carrier:
    """One agent's dealings with its updater. Every method is called on one loop."""

    def __init__(
        self, state: Path, who: Enrolment, tell: Callable[[events.Event], None], config: Callable[[], Config]
    ) -> None:
        self._home = state / UPGRADE
        self._config = config
        self._who = who
        self._tell = tell
        self._fetching: asyncio.Task[None] | None = None
        self._waiting: asyncio.Queue[UpgradeEffect] = asyncio.Queue()
        self._carrying: asyncio.Task[None] | None = None
        self._box_came = asyncio.Event()
        self._word: HostRelease | None = None  # the updater's newest that was told on

    def begin(self, version: str, digest: str) -> Upgrading:
        """What is known at the start: the running release, the updater's last word, and a wish that was left."""
        self._home.mkdir(mode=0o700, exist_ok=True)
        own = HostRelease(version, digest, state=HostState.KEPT if digest else HostState.NONE)
        self._word = self._told()
        return Upgrading(self._word or own, self._left())

    async def report(self) -> None:
        """Bring black boxes to the control plane as they come, until cancelled. One that is there is not brought again
        by this daemon, and a later daemon may bring it once more."""
        reported = ""
        while True:
            found = await asyncio.to_thread(self._box)
            if found is not None and found[0] != reported:
                try:
                    await reporting.report(self._who, *found)
                except reporting.NotReported as error:
                    log.info("the black box of a failed upgrade is not reported yet: %s", error)
                else:
                    reported = found[0]
                    self._tell(events.BlackBoxStored(reported))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._box_came.wait(), _REPORT_AGAIN_S)
            self._box_came.clear()

    def _box(self) -> tuple[str, bytes] | None:
        """The black box that the updater left, with the id of its request."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            with (self._home / BLACK_BOX).open("rb") as file:
                data = file.read(_BOX_BYTES_MAX + 1)
            if len(data) <= _BOX_BYTES_MAX:
                return str(json.loads(data)["request_id"]), data
        return None

    async def watch(self) -> None:
        """Tell every new word of the updater, until cancelled."""
        looking = asyncio.create_task(self._look_again_and_again())
        try:
            async for _ in watch.changes(lambda: {self._home / STATUS}):
                await self._look()
        finally:
            looking.cancel()

    async def _look_again_and_again(self) -> None:
        """Find what the updater said after our first look and before anybody watched: a release on its way back says
        so while the daemon starts."""
        while True:
            await self._look()
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _look(self) -> None:
        told = await asyncio.to_thread(self._told)
        if told is not None and told != self._word:
            self._word = told
            self._tell(events.UpdaterTold(told))
            self._box_came.set()

    def put(self, effect: UpgradeEffect) -> None:
        """Carry an effect out, after those that came before it."""
        self._waiting.put_nowait(effect)
        if self._carrying is None:
            self._carrying = asyncio.get_running_loop().create_task(self._carry_all())

    async def _carry_all(self) -> None:
        while True:
            effect = await self._waiting.get()
            while True:
                try:
                    await self._carry(effect)
                except OSError as error:
                    # Nothing of the agent's own work depends on it, so it may wait until there is room again.
                    log.error("upgrades wait: %s: %s", error.filename or self._home, error.strerror)
                    await asyncio.sleep(_AGAIN_S)
                else:
                    break

    async def _carry(self, effect: UpgradeEffect) -> None:
        match effect:
            case effects.RememberWish(wish):
                await self._save(WISH, wish_to_text(wish))
            case effects.ForgetWish():
                for name in (REQUEST, WISH):
                    await asyncio.to_thread((self._home / name).unlink, missing_ok=True)
            case effects.AskUpdater(request):
                await self._save(REQUEST, request_to_text(request))
            case effects.FetchRelease(wish):
                await self._stop()
                self._fetching = asyncio.get_running_loop().create_task(self._fetch(wish))
            case effects.StopFetching():
                await self._stop()

    async def _save(self, name: str, text: str) -> None:
        await asyncio.to_thread(identity_files.save, self._home, name, text.encode("utf-8"))

    async def close(self) -> None:
        """Fetch no further; what is here stays for the next daemon."""
        if self._carrying is not None:
            self._carrying.cancel()
            await asyncio.gather(self._carrying, return_exceptions=True)
        await self._stop()

    async def _stop(self) -> None:
        task, self._fetching = self._fetching, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _fetch(self, wish: Wish) -> None:
        digest = wish.release.digest

        def progressed(fetched_bytes: int) -> None:
            self._tell(events.FetchProgressed(digest, fetched_bytes))

        try:
            config = self._config()
            await fetching.fetch(
                self._who, wish, self._home / INCOMING, progressed, config.mirrors, config.fetch_bytes_per_s_max
            )
        except fetching.FetchError as error:
            self._tell(events.FetchFailed(digest, error.code, str(error), error.retryable))
        else:
            self._tell(events.ReleaseFetched(digest))

    def _told(self) -> HostRelease | None:
        try:
            return host_release_from_text((self._home / STATUS).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, UndecodableState) as error:
            log.warning("the updater's word cannot be read: %s", error)
            return None

    def _left(self) -> Wish | None:
        with contextlib.suppress(OSError, UndecodableState):
            return wish_from_text((self._home / WISH).read_text(encoding="utf-8"))
        return None
