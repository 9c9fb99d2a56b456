"""What this agent does: every decision, and nothing else.

`Agent.handle(event, now)` returns the effects to carry out; each effect leads to the events its docstring names.
`Agent.wake_at` is the instant at which the agent wants a `Ticked`, so that a daemon can sleep and a simulator can
schedule. Nothing here waits, writes or asks the time.
"""

from collections.abc import Iterable, Mapping
from functools import singledispatchmethod

from agentd.core import effects, events, lease_keeping, refusing, slots, witness_effects
from agentd.core.effects import Effect
from agentd.core.events import Event
from agentd.core.grants import (
    Capabilities,
    Failure,
    Grant,
    Identity,
    Outcome,
    OutcomeKind,
    Recovered,
    ResourceUse,
    SessionId,
)
from agentd.core.held import Held, StopReason, outcome_of_end
from agentd.core.newest import Newest
from agentd.core.release_state import HostRelease
from agentd.core.sessions import Sessions
from agentd.core.states import AttemptState
from agentd.core.upgrade_requests import Upgrading
from agentd.core.witnessing import TreeHead, Witness

# Attempt ids that are over and acknowledged: a repeated grant of one of them is not run again.
FORGOTTEN_MAX = 1024
# Fences seen per write target; the oldest target makes room.
FENCES_MAX = 4096


class Agent:
    """The sans-IO agent: one per daemon lifetime. Not thread-safe; give it one event at a time."""

    def __init__(
        self,
        identity: Identity,
        capabilities: Capabilities,
        recovered: Iterable[Recovered] = (),
        fences: Mapping[str, int] | None = None,
        draining: bool = False,
        upgrading: Upgrading | None = None,
        witnessed: TreeHead | None = None,
    ) -> None:
        self.identity = identity
        #: What this host can do, as its configuration says; a change needs another Hello.
        self.capabilities = capabilities
        #: Whether a person asked for no more leases; told in each Hello, and kept in the journal.
        self.draining = draining
        #: The newest head of the audit log that was seen.
        self.witness = Witness(witnessed)
        #: Attempts by id, from the grant until the result is acknowledged. Never in `_forgotten` as well.
        self.held: dict[str, Held] = {}
        self.upgrading = upgrading or Upgrading(HostRelease(identity.agent_version))
        #: Whether the daemon may end: nothing is decided any more.
        self.finished = False
        #: What the journal held, until `Started` takes it over into `held`.
        self._recovered = tuple(recovered)
        #: The highest fence seen of each write target: a grant below it is refused.
        self._fences = Newest[int](fences or {})
        #: Attempts that are over and acknowledged: granted again, they are not run again.
        self._forgotten = Newest[None]({})
        self._sessions = Sessions(identity, self.held, self.upgrading, self.witness)
        #: When the daemon ends even though attempts run; None unless the host asked it to end.
        self._stop_at: float | None = None

    # What the daemon asks.

    @property
    def connected(self) -> bool:
        """Whether there is a session that the control plane has welcomed."""
        return self._sessions.connected

    @property
    def session(self) -> SessionId | None:
        """The session that was dialled or is open."""
        return self._sessions.current

    @property
    def stopping(self) -> bool:
        """True once the host asked the daemon to end."""
        return self._stop_at is not None

    @property
    def wake_at(self) -> float | None:
        """The instant at which `Ticked` is due; None when nothing is waited for."""
        instants = [
            held.limit_at(self._sessions.disconnected_max_s)[0]
            for held in self.held.values()
            if held.state in (AttemptState.STARTING, AttemptState.RUNNING)
        ]
        instants += self._sessions.wakes()
        instants += [at for at in (self._stop_at, self.upgrading.wake_at) if at is not None]
        return None if self.finished or not instants else min(instants)

    @property
    def heartbeat_s(self) -> float:
        """The interval of heartbeats that the control plane asked for."""
        return self._sessions.heartbeat_s

    def connected_s(self, now: float) -> float:
        """For how long there has been a session; 0 without one."""
        return self._sessions.connected_s(now)

    def may_destroy(self, attempt_id: str, now: float) -> bool:
        """Whether this attempt may start an unfenced or destructive effect at `now`."""
        held = self.held.get(attempt_id)
        return held is not None and not held.over and now < held.keeping.deadline_at

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Return what should happen next. `now` is CLOCK_BOOTTIME in seconds and never goes back."""
        if self.finished:
            return []
        done = self._on(event, now)
        done += self._finish_if_done(now)
        return done

    @singledispatchmethod
    def _on(self, event: Event, now: float) -> list[Effect]:
        raise TypeError(f"unknown event {type(event).__name__} at {now}")

    # Start, time, stop.

    @_on.register
    def _started(self, event: events.Started, now: float) -> list[Effect]:
        done: list[Effect] = []
        for found in self._recovered:
            held = Held(found.grant, lease_keeping.unconfirmed(now), now, now, journalled=True)
            self.held[found.grant.attempt_id] = held
            if found.outcome is None:
                held.go(AttemptState.STARTING)
                done.append(effects.AdoptChild(found.grant, found.may_begin(self.identity.boot_id)))
            else:
                held.go(AttemptState.ENDED)
                held.outcome, held.recorded = found.outcome, True
        self._recovered = ()
        self._sessions.dial_at(now)
        return done + self.upgrading.started() + self._ticked(events.Ticked(), now)

    @_on.register
    def _ticked(self, event: events.Ticked, now: float) -> list[Effect]:
        done: list[Effect] = []
        for held in list(self.held.values()):
            if held.state in (AttemptState.STARTING, AttemptState.RUNNING):
                limit_at, reason = held.limit_at(self._sessions.disconnected_max_s)
                if now >= limit_at:
                    done += self._stop(held, reason)
        done += self._sessions.dial_if_due(now, self.capabilities, self.draining)
        done += self.upgrading.ticked(now)
        return done + self._sessions.beat_if_due(now)

    @_on.register
    def _stop_asked(self, event: events.StopAsked, now: float) -> list[Effect]:
        self._stop_at = now if self.stopping else now + event.drain_s
        return []

    def _finish_if_done(self, now: float) -> list[Effect]:
        if self._stop_at is None or (self.held and now < self._stop_at):
            return []
        self.finished = True
        return [effects.Finish()]

    # The session.

    @_on.register
    def _session_opened(self, event: events.SessionOpened, now: float) -> list[Effect]:
        return self._sessions.opened(event, now)

    @_on.register
    def _session_closed(self, event: events.SessionClosed, now: float) -> list[Effect]:
        return self._sessions.closed(event, now)

    @_on.register
    def _report_sent(self, event: events.ReportSent, now: float) -> list[Effect]:
        self._sessions.sent(event)
        return []

    @_on.register
    def _config_reloaded(self, event: events.ConfigReloaded, now: float) -> list[Effect]:
        if event.capabilities == self.capabilities:
            return []
        self.capabilities = event.capabilities
        # Running attempts do not notice.
        return [*self._start_waiting(), *self._sessions.reopen("the configuration changed")]

    @_on.register
    def _renewal_moved(self, event: events.RenewalEvent, now: float) -> list[Effect]:
        return self._sessions.renewal_moved(event, now) + self._ticked(events.Ticked(), now)

    @_on.register
    def _witnessed(self, event: events.WitnessEvent, now: float) -> list[Effect]:
        is_stale = isinstance(event, events.HeadShown) and not self._is_current(event.session)
        return [] if is_stale else witness_effects.handle(self.witness, event)

    # Leases.

    @_on.register
    def _lease_granted(self, event: events.LeaseGranted, now: float) -> list[Effect]:
        grant = event.grant
        if not self._is_current(event.session) or grant.attempt_id in self._forgotten:
            return [effects.Note("a repeated or stale grant was ignored", grant.attempt_id)]
        known = self.held.get(grant.attempt_id)
        if known is not None:
            return self._granted_again(known, grant, now)
        if slots.is_beyond_all(self.capabilities.slots, len(self.held)):
            return [effects.Note("a grant beyond all bounds was ignored", grant.attempt_id)]
        held = Held(grant, lease_keeping.unconfirmed(now), now, now)
        refusal = self._refusal(grant)
        self.held[grant.attempt_id] = held
        if refusal is not None:
            return self._end(held, refusal)
        if grant.target:
            self._fences.put(grant.target, grant.fence, FENCES_MAX)
        return [effects.JournalIntent(grant, self.identity.boot_id), *self._evict(grant)]

    def _granted_again(self, held: Held, grant: Grant, now: float) -> list[Effect]:
        if grant.fence != held.grant.fence:
            note = f"granted again with fence {grant.fence}, held with {held.grant.fence}; ignored"
            return [effects.Note(note, grant.attempt_id)]
        if held.recorded:
            return [self._sessions.report(results=(held.sending(now),))]
        return []

    def _refusal(self, grant: Grant) -> Outcome | None:
        seen = self._fences.get(grant.target, 0)
        if grant.fence < seen:
            return refusing.of_stale_fence(grant, seen)
        if self.stopping:
            return refusing.of_stopping(grant)
        if self.capabilities.kinds_known and grant.kind not in self.capabilities.kinds:
            return refusing.of_kind(grant)
        unended = sum(not held.over for held in self.held.values())
        if slots.capacity(self.capabilities.slots, self._occupied(), unended) is slots.Capacity.FULL:
            return refusing.of_full(grant)
        return None

    def _evict(self, grant: Grant) -> list[Effect]:
        done: list[Effect] = []
        for attempt_id in grant.evict_attempt_ids:
            old = self.held.get(attempt_id)
            if old is not None and not old.over and attempt_id != grant.attempt_id:
                done += self._stop(old, StopReason.EVICTED)
        return done

    @_on.register
    def _lease_renewed(self, event: events.LeaseRenewed, now: float) -> list[Effect]:
        held = self.held.get(event.attempt_id)
        sent_at = self._sessions.sent_at(event.asked_in_sequence)
        if not self._is_current(event.session) or sent_at is None or held is None or held.over:
            return []
        if event.fence != held.grant.fence:
            return [effects.Note(f"renewal with fence {event.fence} ignored", event.attempt_id)]
        held.keeping = lease_keeping.renewed(held.keeping, sent_at, event.ttl_s)
        return [self._deadline(held)]

    def _deadline(self, held: Held) -> Effect:
        keeping = held.keeping
        ends_at = keeping.disconnected_at(self._sessions.disconnected_max_s)
        return effects.WriteDeadline(held.grant.attempt_id, keeping.deadline_at, ends_at)

    def _is_current(self, session: SessionId) -> bool:
        return self._sessions.is_current(session)

    # Attempts.

    @_on.register
    def _attempt_journalled(self, event: events.AttemptJournalled, now: float) -> list[Effect]:
        held = self.held.get(event.attempt_id)
        if held is None or held.over:
            return []
        held.journalled = True
        return self._start_waiting()

    def _occupied(self) -> int:
        return sum(held.occupying for held in self.held.values())

    def _start_waiting(self) -> list[Effect]:
        done: list[Effect] = []
        free = self.capabilities.slots - self._occupied() if self.capabilities.kinds_known else 0
        for held in self.held.values():
            if free > 0 and held.state is AttemptState.GRANTED and held.journalled:
                held.go(AttemptState.STARTING)
                done.append(effects.StartChild(held.grant))
                free -= 1
        return done

    @_on.register
    def _child_started(self, event: events.ChildStarted, now: float) -> list[Effect]:
        held = self.held.get(event.attempt_id)
        if held is None or held.state is not AttemptState.STARTING:
            return []
        held.go(AttemptState.RUNNING)
        held.started_at = held.moved_at = now
        return [self._deadline(held), *self._news(held)]

    @_on.register
    def _child_adopted(self, event: events.ChildAdopted, now: float) -> list[Effect]:
        held = self.held.get(event.attempt_id)
        if held is None or held.state is not AttemptState.STARTING:
            return []
        held.go(AttemptState.RUNNING)
        held.started_at, held.moved_at = event.started_at, now
        held.progress = event.progress
        # The deadline file keeps what the earlier incarnation was promised, no less and no more.
        return [effects.Note("adopted", event.attempt_id), *self._news(held)]

    def _news(self, held: Held) -> list[Effect]:
        """Tell that the child runs, and ask for the first renewal at once: only that permits destructive work."""
        if not self.connected:
            return []
        return [self._sessions.beat((held.summary(),), progress=(held.report(started=True),))]

    @_on.register
    def _child_progressed(self, event: events.ChildProgressed, now: float) -> list[Effect]:
        held = self.held.get(event.attempt_id)
        if held is None or held.state not in (AttemptState.RUNNING, AttemptState.STOPPING):
            return []
        if event.progress.watermark > held.progress.watermark:
            held.moved_at = now
        held.progress = event.progress
        if not self.connected:
            return []
        return [self._sessions.report(progress=(held.report(),))]

    @_on.register
    def _child_ended(self, event: events.ChildEnded, now: float) -> list[Effect]:
        held = self.held.get(event.attempt_id)
        if held is None or not held.occupying:
            return []
        outcome = outcome_of_end(held, event.outcome, event.use, event.detail)
        return [*self._end(held, outcome), *self._start_waiting()]

    def _end(self, held: Held, outcome: Outcome) -> list[Effect]:
        held.go(AttemptState.ENDED)
        held.outcome = outcome
        return [effects.RecordOutcome(held.grant, outcome)]

    @_on.register
    def _outcome_recorded(self, event: events.OutcomeRecorded, now: float) -> list[Effect]:
        held = self.held.get(event.attempt_id)
        if held is None or held.outcome is None:
            return []
        held.recorded = True
        if not self.connected:
            return []
        return [self._sessions.report(results=(held.sending(now),))]

    @_on.register
    def _result_acknowledged(self, event: events.ResultAcknowledged, now: float) -> list[Effect]:
        held = self.held.get(event.attempt_id)
        if held is None or not held.recorded:
            return []
        del self.held[event.attempt_id]
        self._forgotten.put(event.attempt_id, None, FORGOTTEN_MAX)
        return [effects.ForgetAttempt(event.attempt_id)]

    # Stopping.

    @_on.register
    def _cancel_asked(self, event: events.CancelAsked, now: float) -> list[Effect]:
        if not self._is_current(event.session):
            return []
        held = self.held.get(event.attempt_id)
        if held is None:
            return self._cancel_unknown(event)
        if held.over or event.fence < held.grant.fence:
            return []
        return self._stop(held, StopReason.CANCELLED, event.reason)

    def _cancel_unknown(self, event: events.CancelAsked) -> list[Effect]:
        """Nothing of that attempt runs here: say so, or the control plane would wait until a deadline."""
        if event.attempt_id in self._forgotten:
            return []
        failure = Failure("cancelled", "this agent holds no such attempt")
        outcome = Outcome(event.attempt_id, event.fence, OutcomeKind.CANCELLED, failure=failure)
        return [effects.SendReport(event.session, results=(outcome,))]

    def _stop(self, held: Held, reason: StopReason, detail: str = "") -> list[Effect]:
        if held.state is AttemptState.STOPPING:
            return []
        held.stop_reason, held.stop_detail = reason, detail
        if not held.occupying:
            return self._end(held, outcome_of_end(held, None, ResourceUse(), ""))
        held.go(AttemptState.STOPPING)
        at_once = reason is StopReason.EVICTED
        return [effects.StopChild(held.grant.attempt_id, reason.value, at_once)]

    # Upgrades.

    @_on.register
    def _upgrade(self, event: events.UpgradeEvent, now: float) -> list[Effect]:
        return self.upgrading.handle(event, now) + self._ticked(events.Ticked(), now)

    # Drain and resume.

    @_on.register
    def _drain_asked(self, event: events.DrainAsked, now: float) -> list[Effect]:
        self.draining = True
        return [effects.MarkDraining(True), effects.Note(f"draining: {event.reason}")]

    @_on.register
    def _resume_asked(self, event: events.ResumeAsked, now: float) -> list[Effect]:
        self.draining = False
        return [effects.MarkDraining(False), effects.Note("taking work again")]
