"""What a simulated agent runs, and how it goes from one release to another: the words of a host, without its files.

A release is good unless the crowd was told otherwise of its digest. The manners are those in which a release can be
bad; each is told the way the real updater tells it.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from haulier.v1 import release_pb2 as pb

# Manner → what becomes of the upgrade, with the cause that the real updater names.
GOOD, KEPT_BUT_BAD = "good", frozenset({"leaks", "slow", "fails_some"})
ROLLED_BACK = {
    "crashes": ("crashed", "the agent was started four times and did not stay up"),
    "hangs": ("hung", "the agent runs and does not answer"),
}
REFUSED = {
    "half_written": ("artefact_differs", "the artefact's bytes are not those that were signed"),
    "downgrade": ("downgrade", "it is older than what runs here"),
}
HELD = {"disk_full": ("disk_full", "12 MB are missing to unpack it")}


class SimulatedRelease:
    """One host's release. Calls ``changed`` when there is news, and ``restart`` when its daemon would start anew."""

    def __init__(
        self,
        version: str,
        digest: str,
        facts: Mapping[str, Any],
        manners: Mapping[str, str],
        pace_s: float,
        changed: Callable[[], None],
        restart: Callable[[], None],
    ) -> None:
        """``manners``: digest → manner. ``pace_s``: how long each stage of an upgrade takes."""
        self.facts = pb.HostFacts(**facts)
        self.status = pb.ReleaseStatus(version=version, digest=digest, state=pb.RELEASE_STATE_KEPT)
        self._manners = manners
        self._pace_s = pace_s
        self._changed = changed
        self._restart = restart
        self._under_way: asyncio.Task[None] | None = None
        self._wanted = ("", "")
        self.switched = 0
        self.news = False

    @property
    def manner(self) -> str:
        """How the release that runs behaves."""
        return self._manners.get(self.status.digest, GOOD)

    def take(self, directive: Any) -> bool:
        """Take a directive; tell whether it was about releases."""
        if directive.HasField("upgrade"):
            self._asked(directive.upgrade)
        elif directive.HasField("cancel_upgrade"):
            self._taken_back(directive.cancel_upgrade.rollout_id)
        else:
            return False
        return True

    def stop(self) -> None:
        """Go no further."""
        if self._under_way is not None:
            self._under_way.cancel()

    def _asked(self, wish: pb.Upgrade) -> None:
        if self._wanted == (wish.rollout_id, wish.digest):
            return
        self._wanted = (wish.rollout_id, wish.digest)
        self.stop()
        self._under_way = asyncio.create_task(self._upgrade(wish))

    def _taken_back(self, rollout_id: str) -> None:
        before = (pb.RELEASE_STATE_FETCHING, pb.RELEASE_STATE_STAGED, pb.RELEASE_STATE_HELD)
        if self.status.rollout_id == rollout_id and self.status.state in before:
            self.stop()
            self._say(pb.RELEASE_STATE_KEPT, wanted_digest="", rollout_id="")
            self._wanted = ("", "")

    async def _upgrade(self, wish: pb.Upgrade) -> None:
        manner = self._manners.get(wish.digest, GOOD)
        about = {"rollout_id": wish.rollout_id, "wanted_digest": wish.digest}
        if wish.digest == self.status.previous_digest:
            await self._switch(wish, about)
            self._say(pb.RELEASE_STATE_ROLLED_BACK, cause_code="asked", **about)
            return
        self._say(pb.RELEASE_STATE_FETCHING, **about)
        await asyncio.sleep(self._pace_s)
        if manner in REFUSED:
            code, cause = REFUSED[manner]
            self._say(pb.RELEASE_STATE_REFUSED, cause_code=code, cause=cause, **about)
            return
        if manner in HELD:
            code, cause = HELD[manner]
            self._say(pb.RELEASE_STATE_HELD, cause_code=code, cause=cause, **about)
            return
        self._say(pb.RELEASE_STATE_STAGED, **about)
        await asyncio.sleep(self._pace_s)
        before = pb.ReleaseStatus()
        before.CopyFrom(self.status)
        await self._switch(wish, about)
        if manner in ROLLED_BACK:
            await asyncio.sleep(2 * self._pace_s)
            self.status.version, self.status.digest = before.version, before.digest
            self.status.failed_digests.append(wish.digest)
            code, cause = ROLLED_BACK[manner]
            self._restart()
            self._say(pb.RELEASE_STATE_ROLLED_BACK, cause_code=code, cause=cause, **about)
            return
        await asyncio.sleep(self._pace_s)
        self._say(pb.RELEASE_STATE_KEPT, **about)

    async def _switch(self, wish: pb.Upgrade, about: Mapping[str, str]) -> None:
        self.status.previous_digest = self.status.digest
        self.status.version, self.status.digest = wish.version, wish.digest
        self.switched += 1
        self._say(pb.RELEASE_STATE_PROBATION, **about)
        self._restart()
        await asyncio.sleep(self._pace_s)

    def _say(self, state: Any, cause_code: str = "", cause: str = "", **about: str) -> None:
        self.status.state, self.status.cause_code, self.status.cause = state, cause_code, cause
        for name, value in about.items():
            setattr(self.status, name, value)
        self.news = True
        self._changed()
