"""The updater of one host: the product's decisions (``agentd.core.updater_rules``) on what this world shows it.

It and what it remembers outlive daemons and boots. What it does to files is tested elsewhere, call by call.
"""

import json
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from agentd.core import effects, events, updater_rules
from agentd.core.release_state import (
    Before,
    HostFacts,
    HostRelease,
    Phase,
    Release,
    Request,
    SelfTest,
    UpdaterState,
    Wish,
    host_release_from_text,
)
from agentd.core.updater_rules import Contact, Evidence, Unit
from agentd.updater.applying import status_of

if TYPE_CHECKING:
    from tests.sim.host import Daemon, Host

FACTS = HostFacts("debian", "12", "x86_64", 4, 8 << 30, "UTC")
# Version → the release, and version → how it is bad.
RELEASES = {f"0.{minor}.0": Release(f"0.{minor}.0", f"{minor}" * 64) for minor in (1, 2, 3, 4, 5)}
FIRST = RELEASES["0.1.0"]
BAD = {"0.3.0": "crashes", "0.4.0": "fails its self-test"}
_BAD_BY_DIGEST = {RELEASES[version].digest: manner for version, manner in BAD.items()}
RSS_BYTES = 64 << 20


class Updater:
    """The updater of one host, run as its service manager would."""

    def __init__(self, host: "Host", rng: Random) -> None:
        self._host = host
        self._rng = rng
        self.state = UpdaterState(current=FIRST, tested=SelfTest(True))
        self.wish: Wish | None = None  # what the agent wrote down
        self.kept = {FIRST.digest: 0.0}  # every release that was ever kept here, and when first
        self._request: Request | None = None
        self._fetches = 0
        self._due = False

    @property
    def status(self) -> HostRelease:
        """What it tells the agent."""
        return host_release_from_text(json.dumps(status_of(self.state)))

    @property
    def cannot_run(self) -> bool:
        """Whether the service manager has given the daemon up."""
        current = self.state.current
        return current is not None and _BAD_BY_DIGEST.get(current.digest) == "crashes"

    # What the agent does.

    def carry_out(self, daemon: "Daemon", effect: effects.Effect) -> bool:
        """Carry out what the agent wants of releases; tell whether it was such a thing."""
        match effect:
            case effects.RememberWish(wish):
                self.wish = wish
            case effects.ForgetWish():
                self.wish, self._request = None, None
                self._soon()
            case effects.FetchRelease(wish):
                self._fetches += 1
                took_s = self._rng.uniform(0.2, 5.0) if self._rng.random() < 0.8 else self._rng.uniform(5.0, 60.0)
                self._host.world.loop.call_later(took_s, self._fetched, daemon, wish, self._fetches)
            case effects.StopFetching():
                self._fetches += 1
            case effects.AskUpdater(request):
                self._request = request
                self._soon()
            case _:
                return False
        return True

    def _fetched(self, daemon: "Daemon", wish: Wish, number: int) -> None:
        if not daemon.alive or number != self._fetches:
            return
        is_busy = self._host.world.faults.active and self._rng.random() < 0.2
        if is_busy or self._contact() is Contact.AWAY:
            daemon.post(events.FetchFailed(wish.digest, "unreachable", "the control plane does not answer", True))
        else:
            daemon.post(events.ReleaseFetched(wish.digest))

    # Passes.

    def _soon(self) -> None:
        if not self._due:
            self._due = True
            self._host.world.loop.call_later(self._rng.uniform(0.5, 4.0), self._pass)

    def _pass(self) -> None:
        self._due = False
        if self._host.paused:
            self._soon()
            return
        before = self.state
        self._step()
        if self.state != before:
            self._host.world.event("updater", self._host.name, self.state.phase, self.state.current)
            if self._host.daemon is not None:
                self._host.daemon.post(events.UpdaterTold(self.status))
        if self.state.phase is not Phase.IDLE:
            self._soon()

    def _step(self) -> None:
        host, boot_id, now = self._host, self._host.boot_id(), self._host.clock()
        if self.state.phase in (Phase.IDLE, Phase.STAGED, Phase.PROBATION):
            self.state, wanted = updater_rules.consider(self.state, self._request)
        match self.state.phase:
            case Phase.IDLE if wanted and self._request is not None:
                self.state = updater_rules.staged(self.state, self._request)
            case Phase.STAGED:
                before = Before(self._connected_s() > 0, RSS_BYTES, self.state.tested)
                self.state = updater_rules.switch_begun(self.state, before, boot_id, now)
            case Phase.SWITCHING:
                host.restart_daemon()
                self.state = updater_rules.restarted(self.state, boot_id, now)
            case Phase.PROBATION:
                self.state = updater_rules.looked(self.state, self._evidence(), boot_id, now)
                if self.state.phase is Phase.IDLE and self.state.current is not None:
                    self.kept.setdefault(self.state.current.digest, host.world.loop.time())
                    host.world.mark("a host kept a new release")
            case Phase.RETURNING:
                # The links say the release before already.
                host.restart_daemon()
                self.state = updater_rules.returned(self.state)
                host.world.mark("a host went back to the release before")

    def _evidence(self) -> Evidence:
        daemon, current = self._host.daemon, self.state.current
        assert current is not None, "a release is on probation"
        connected_s = self._connected_s()
        seen = Evidence(
            Unit.RUNNING if daemon is not None else Unit.FAILED if self.cannot_run else Unit.STOPPED,
            connected_s=connected_s,
            rss_bytes=RSS_BYTES,
            contact=None if connected_s > 0 else self._contact(),
            tested=SelfTest(True) if current.digest not in _BAD_BY_DIGEST else SelfTest(False, ("journal",)),
        )
        if daemon is None:
            return seen
        return replace(
            seen,
            answering=current.digest,
            incarnation=daemon.agent.identity.incarnation,
            up_s=self._host.clock() - daemon.started_at,
            heartbeat_s=daemon.agent.heartbeat_s,
        )

    def _connected_s(self) -> float:
        daemon = self._host.daemon
        return daemon.agent.connected_s(self._host.clock()) if daemon is not None else 0.0

    def _contact(self) -> Contact:
        plane, wire = self._host.world.plane, self._host.wire
        reached = plane is not None and plane.serving and not wire.up_blocked and not wire.down_blocked
        return Contact.ANSWERS if reached else Contact.AWAY
