"""The agent's sessions, one after the other: when it dials, what it says first, when it shows that it is alive.

Part of `Agent`, which owns everything that a session speaks of: attempts, upgrades and the witnessed head.
"""

from collections.abc import Mapping
from typing import Any

from agentd.core import effects, events
from agentd.core.effects import Effect
from agentd.core.grants import Capabilities, HeldSummary, Identity, SessionId
from agentd.core.held import Held
from agentd.core.lease_keeping import Readings
from agentd.core.reconnecting import GOOD_SESSION_S, wait_s
from agentd.core.renewing import RenewalStage, Renewing
from agentd.core.states import AttemptState
from agentd.core.upgrade_requests import Upgrading
from agentd.core.witnessing import Witness

# Until a Welcome says otherwise.
DISCONNECTED_MAX_S = 900.0
HEARTBEAT_S = 15.0
# A result without acknowledgement is sent again after this many heartbeat intervals.
RESEND_HEARTBEATS = 2.0


class Sessions:
    """At most one session at a time. Instants are CLOCK_BOOTTIME seconds."""

    def __init__(self, identity: Identity, held: Mapping[str, Held], upgrading: Upgrading, witness: Witness) -> None:
        self._identity = identity
        #: The agent's attempts, which change under our eyes.
        self._held = held
        self._upgrading = upgrading
        self._witness = witness
        #: The identity that is shown when dialling, and when it is to be renewed.
        self._renewing = Renewing()
        #: The session that was dialled last, until it is closed; None between two.
        self.current: SessionId | None = None
        #: Whether `current` was welcomed: only then is anything sent. Never true without `current`.
        self.connected = False
        #: When `current` was welcomed; means nothing while not connected.
        self._opened_at = 0.0
        #: When the next heartbeat is due; means nothing while not connected.
        self._heartbeat_at = 0.0
        #: When each message of `current` was sent, by its number; a renewal counts from there.
        self._readings = Readings()
        #: When to dial; None while there is a session, and before the start.
        self._dial_at: float | None = None
        #: Whether `current` was closed by ourselves to say another Hello: then the next one is dialled at once.
        self._reopening = False
        #: How many sessions this incarnation has dialled; numbers them.
        self._dialled = 0
        #: Sessions in a row that failed or did not last; lengthens the wait before the next dial.
        self._failures = 0
        #: As the newest Welcome has it, and kept from session to session.
        self.heartbeat_s = HEARTBEAT_S
        #: For how long fenced work goes on without contact, as the newest Welcome has it.
        self.disconnected_max_s = DISCONNECTED_MAX_S

    # What others ask.

    def wakes(self) -> list[float]:
        """The instants at which something is due."""
        instants = [] if self._dial_at is None else [self._dial_at]
        if self.connected:
            instants.append(self._heartbeat_at)
            if self._renewing.due_at is not None:
                instants.append(self._renewing.due_at)
        return instants

    def connected_s(self, now: float) -> float:
        """For how long there has been a session; 0 without one."""
        return now - self._opened_at if self.connected else 0.0

    def is_current(self, session: SessionId) -> bool:
        """Whether what came in this session still counts."""
        return self.connected and session == self.current

    def sent_at(self, sequence: int) -> float | None:
        """When a message of the current session was sent; None where that is not known any more."""
        return self._readings.of(sequence)

    # Time.

    def dial_at(self, now: float) -> None:
        """Dial at an instant."""
        self._dial_at = now

    def dial_if_due(self, now: float, capabilities: Capabilities, draining: bool) -> list[Effect]:
        """Open the next session with a Hello that says all that is held."""
        if self._dial_at is None or now < self._dial_at:
            return []
        self._dial_at = None
        self._dialled += 1
        self.current = SessionId(self._identity.incarnation, self._dialled)
        self._readings.clear()
        return [
            effects.OpenSession(
                self.current,
                self._identity,
                capabilities,
                held=self._summaries(),
                draining=draining,
                candidate=self._renewing.dialled(),
                release=self._upgrading.greeting(),
                witnessed=self._witness.greet(),
            )
        ]

    def beat_if_due(self, now: float) -> list[Effect]:
        """Show that the agent is alive, and ask for another identity where the present one will end."""
        done: list[Effect] = []
        if self.connected and (now >= self._heartbeat_at or self._upgrading.has_news):
            done.append(self._heartbeat(now))
        if self.connected and self._renewing.is_due(now):
            done.append(self._renewing.request())
        return done

    def _heartbeat(self, now: float) -> Effect:
        self._heartbeat_at = now + self.heartbeat_s
        again = [
            held
            for held in self._held.values()
            if held.recorded and now >= held.sent_at + RESEND_HEARTBEATS * self.heartbeat_s
        ]
        results = tuple(held.sending(now) for held in again)
        return self.beat(self._summaries(), results=results, release=self._upgrading.news())

    # What is said.

    def beat(self, renewing: tuple[HeldSummary, ...], **more: Any) -> Effect:
        """A proof of life that renews these leases: whatever it leaves out of them stands as it was said before."""
        return self.report(heartbeat=True, held=renewing, witnessed=self._witness.tell(), **more)

    def report(self, **parts: Any) -> Effect:
        """A message in the current session, which there must be."""
        assert self.current is not None, "nothing is said outside a session"
        return effects.SendReport(self.current, **parts)

    def reopen(self, why: str) -> list[Effect]:
        """Close the session to begin another one at once; only a Hello says what the agent can do and who it is."""
        if self.current is None:
            return []
        self._reopening = True
        return [effects.CloseSession(self.current, why)]

    def _summaries(self) -> tuple[HeldSummary, ...]:
        return tuple(held.summary() for held in self._held.values() if not held.over)

    # What happens.

    def opened(self, event: events.SessionOpened, now: float) -> list[Effect]:
        """The control plane has welcomed us: say everything that it may not know."""
        if event.session != self.current or self.connected:
            return []
        self.connected = True
        self._opened_at = now
        self.heartbeat_s = event.heartbeat_s
        self.disconnected_max_s = event.disconnected_max_s
        self._heartbeat_at = now + event.heartbeat_s
        running = [held for held in self._held.values() if held.state is AttemptState.RUNNING]
        results = tuple(held.sending(now) for held in self._held.values() if held.recorded)
        progress = tuple(held.report(started=True) for held in running)
        renewed = self._renewing.opened(now, event.renew_in_s)
        return [*renewed, self.beat(self._summaries(), progress=progress, results=results)]

    def closed(self, event: events.SessionClosed, now: float) -> list[Effect]:
        """A session ended or did not begin: wait, longer each time, and dial again."""
        if event.session != self.current:
            return []
        good = self.connected and now >= self._opened_at + GOOD_SESSION_S
        self.connected = False
        self.current = None
        self._readings.clear()
        dropped = self._renewing.closed(event, now)
        if self._reopening or dropped:
            self._reopening = False
            self._dial_at = now
        else:
            self._failures = 0 if good else self._failures
            self._dial_at = now + wait_s(self._failures, event.jitter, event.refused)
            self._failures += 1
        return [effects.Note(f"session closed: {event.reason}"), *dropped]

    def sent(self, event: events.ReportSent) -> None:
        """A message left."""
        if event.session == self.current:
            self._readings.remember(event.sequence, event.sent_at)

    def renewal_moved(self, event: events.RenewalEvent, now: float) -> list[Effect]:
        """Another identity is on its way; once it is there, the next session shows it."""
        done = self._renewing.handle(event, now)
        if self._renewing.stage is RenewalStage.RECEIVED:
            done += self.reopen("the identity was renewed")
        return done
