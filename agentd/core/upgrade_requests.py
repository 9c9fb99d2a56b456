"""The agent's part in an upgrade: a wish comes in, its release is fetched, the updater is asked, its answer is told.

The updater decides and switches; the agent only carries. A wish survives the daemon: it is written down before anything
is done about it, and a daemon of whatever release goes on with it.
"""

from dataclasses import replace
from enum import StrEnum
from typing import assert_never

from agentd.core import effects, events
from agentd.core.effects import Effect
from agentd.core.release_state import HostRelease, HostState, Wish

# Between two tries at fetching what could not be fetched.
RETRY_S = 30.0

_ENDED = (HostState.KEPT, HostState.ROLLED_BACK, HostState.REFUSED)


class RequestStage(StrEnum):
    """What the agent does about a wish."""

    NONE = "none"
    FETCHING = "fetching"
    WAITING = "waiting"
    REQUESTED = "requested"
    FAILED = "failed"


class Upgrading:
    """Mutable; only `Agent` tells it things. `told` is the updater's word, `wish` what an earlier daemon left."""

    def __init__(self, own: HostRelease, wish: Wish | None = None) -> None:
        #: The updater's newest word; before its first, what this host runs.
        self._told = own
        #: The release that a rollout wants here, until the updater has ended it; None where none is wanted.
        self._wish = wish
        #: What is done about the wish; NONE without one.
        self._stage = RequestStage.NONE
        #: Code and words of why it could not be fetched; counts while WAITING and FAILED only.
        self._failure = ("", "")
        #: How much of the wanted artefact is here.
        self._fetched_bytes = 0
        #: When to fetch again; only while WAITING.
        self._retry_at: float | None = None
        #: What the control plane was told last; None before the first Hello.
        self._sent: HostRelease | None = None

    # What the agent asks.

    @property
    def wake_at(self) -> float | None:
        """When the next try is due."""
        return self._retry_at

    @property
    def status(self) -> HostRelease:
        """What the control plane should know."""
        wish = self._wish
        if wish is None or self._is_about(wish):
            return self._told
        told = replace(
            self._told,
            state=HostState.FETCHING,
            request_id=wish.request_id,
            rollout_id=wish.rollout_id,
            wanted_digest=wish.release.digest,
            cause_code="",
            cause="",
            fetched_bytes=self._fetched_bytes,
        )
        if self._stage in (RequestStage.WAITING, RequestStage.FAILED):
            state = HostState.HELD if self._stage is RequestStage.WAITING else HostState.REFUSED
            told = replace(told, state=state, cause_code=self._failure[0], cause=self._failure[1])
        return told

    def news(self) -> HostRelease | None:
        """The status, if it changed since it was told last; it counts as told from now on."""
        status = self.status
        if status == self._sent:
            return None
        self._sent = status
        return status

    @property
    def has_news(self) -> bool:
        """Whether something changed that should not wait for the next heartbeat; bytes fetched may."""
        sent, status = self._sent, self.status
        return sent is None or replace(sent, fetched_bytes=0) != replace(status, fetched_bytes=0)

    def greeting(self) -> HostRelease:
        """The status for a hello."""
        self._sent = self.status
        return self._sent

    # What happens.

    def handle(self, event: events.UpgradeEvent, now: float) -> list[Effect]:
        """Return what should happen next."""
        match event:
            case events.UpgradeAsked():
                return self._asked(event)
            case events.UpgradeTakenBack():
                return self._taken_back(event)
            case events.FetchProgressed():
                return self._progressed(event)
            case events.ReleaseFetched():
                return self._fetched(event)
            case events.FetchFailed():
                return self._not_fetched(event, now)
            case events.UpdaterTold():
                return self._updater_told(event, now)
            case events.BlackBoxStored():
                return self._box_stored(event)
            case _:
                assert_never(event)

    def started(self) -> list[Effect]:
        """Go on with a wish that an earlier daemon left."""
        wish, self._wish = self._wish, None
        if wish is None:
            return []
        if self._told.request_id == wish.request_id and self._told.state in _ENDED and not self._may_change():
            return [effects.ForgetWish()]
        return self._begin(wish)

    def _asked(self, event: events.UpgradeAsked) -> list[Effect]:
        """A rollout wants a release here."""
        wish = event.wish
        if self._told.state is HostState.NONE:
            return [effects.Note("an upgrade was asked for, and this agent was not installed as a release: ignored")]
        if self._wish == wish and self._stage is not RequestStage.FAILED:
            return []
        if self._told.request_id == wish.request_id and self._told.state in _ENDED and not self._may_change():
            return []
        note = effects.Note(f"asked to become release {wish.release.version} by {wish.rollout_id}")
        return [note, effects.RememberWish(wish), *self._begin(wish)]

    def _taken_back(self, event: events.UpgradeTakenBack) -> list[Effect]:
        """A rollout does not want its release here any more; what has begun to switch goes on."""
        if self._wish is None or self._wish.rollout_id != event.rollout_id:
            return []
        self._wish, self._stage, self._retry_at = None, RequestStage.NONE, None
        return [effects.Note(f"upgrade taken back: {event.reason}"), effects.StopFetching(), effects.ForgetWish()]

    def _fetched(self, event: events.ReleaseFetched) -> list[Effect]:
        """All of it is on this host."""
        if self._wish is None or self._wish.release.digest != event.digest or self._stage is not RequestStage.FETCHING:
            return []
        self._stage = RequestStage.REQUESTED
        return [effects.AskUpdater(self._wish.request())]

    def _progressed(self, event: events.FetchProgressed) -> list[Effect]:
        """So much is on this host."""
        if self._wish is not None and self._wish.release.digest == event.digest:
            self._fetched_bytes = event.fetched_bytes
        return []

    def _not_fetched(self, event: events.FetchFailed, now: float) -> list[Effect]:
        """It did not come."""
        if self._wish is None or self._wish.release.digest != event.digest or self._stage is not RequestStage.FETCHING:
            return []
        self._failure = (event.code, event.message)
        self._stage = RequestStage.WAITING if event.retryable else RequestStage.FAILED
        self._retry_at = now + RETRY_S if event.retryable else None
        return [effects.Note(f"release {self._wish.release.version} not fetched: {event.code}: {event.message}")]

    def ticked(self, now: float) -> list[Effect]:
        """Perhaps it is time for the next try."""
        if self._wish is None or self._retry_at is None or now < self._retry_at:
            return []
        return self._fetch(self._wish)

    def _box_stored(self, event: events.BlackBoxStored) -> list[Effect]:
        """The control plane has the black box of the last failed upgrade."""
        if self._told.request_id == event.request_id:
            self._told = replace(self._told, black_box_stored=True)
        return []

    def _updater_told(self, event: events.UpdaterTold, now: float) -> list[Effect]:
        """The updater says how this host is."""
        stored = self._told.black_box_stored and self._told.request_id == event.status.request_id
        self._told = replace(event.status, black_box_stored=stored)
        wish = self._wish
        if wish is None or self._stage is not RequestStage.REQUESTED or not self._is_about(wish):
            return []
        if event.status.state is HostState.HELD and event.status.cause_code == "incomplete":
            # What was fetched is not what is needed by now: signatures were renewed meanwhile.
            self._failure = (event.status.cause_code, event.status.cause)
            self._stage, self._retry_at = RequestStage.WAITING, now + RETRY_S
            return []
        if event.status.state in _ENDED and not self._may_change():
            self._wish, self._stage = None, RequestStage.NONE
            return [effects.ForgetWish()]
        return []

    def _begin(self, wish: Wish) -> list[Effect]:
        stop: list[Effect] = [effects.StopFetching()] if self._stage is RequestStage.FETCHING else []
        self._wish, self._fetched_bytes = wish, 0
        if wish.release.digest in (self._told.digest, self._told.previous_digest):
            # It lies on this host already.
            self._stage, self._retry_at = RequestStage.REQUESTED, None
            return [*stop, effects.AskUpdater(wish.request())]
        return [*stop, *self._fetch(wish)]

    def _fetch(self, wish: Wish) -> list[Effect]:
        self._stage, self._retry_at = RequestStage.FETCHING, None
        return [effects.FetchRelease(wish)]

    def _is_about(self, wish: Wish) -> bool:
        """Whether what the updater says is its answer to this wish."""
        return self._stage is RequestStage.REQUESTED and self._told.request_id == wish.request_id

    def _may_change(self) -> bool:
        """A host's owner may lift what they laid down, and then the same wish counts."""
        return self._told.state is HostState.REFUSED and self._told.cause_code in ("pinned", "opted_out")
