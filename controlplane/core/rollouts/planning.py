"""What a rollout does next: which hosts are asked, when a wave is over, when the whole is halted.

A *look* takes the rollout's row, its hosts' rows and what the hosts say now, and returns what is to be written and
asked. Everything it wants is void when the row has another revision by then: pausing, cancelling and going back are
one guarded write of one row, and after it nothing carries on.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from controlplane.core.rollouts.drafting import may_now, why_not
from controlplane.core.rollouts.gates import closed_gate
from controlplane.core.rollouts.model import (
    HOST_TRANSITIONS,
    MOVING,
    PATIENT,
    UNSWITCHED,
    Host,
    HostEvent,
    HostState,
    Order,
    Rollout,
    RolloutChanges,
    RolloutHost,
    RolloutState,
    StepCounts,
    host_after,
    rollout_after,
)
from controlplane.core.states import InvalidTransition

R, H, E = RolloutState, HostState, HostEvent

# What a host's owner decided: counted, and no failure.
OWNERS_WILL = frozenset({"pinned", "opted_out"})
# A daemon that was started so often since it was kept does not stay up.
RESTARTS_MAX = 3
# Codes of hosts that did not go back begin so; until a person asks again they are left alone.
RETURN = "return_"
_UNDER_WAY = {"fetching": E.FETCHES, "staged": E.HAS_STAGED, "probation": E.ON_PROBATION, "held": E.HOLDS}
_EVENT_OF = {
    H.ASKED: "UpgradeAsked",
    H.RETURNING: "ReturnAsked",
    H.PROBATION: "UpgradeSwitched",
    H.UNDECIDED: "UpgradeUndecided",
    H.HELD: "UpgradeHeld",
    H.KEPT: "UpgradeKept",
    H.FAILED: "UpgradeFailed",
    H.CANCELLED: "UpgradeCancelled",
    H.RETURNED: "UpgradeReturned",
}
# What a host says, as an event with its cause's code and text.
Word = tuple[HostEvent | None, str, str]
NOTHING: Word = (None, "", "")


def look(rollout: Rollout, rows: Sequence[RolloutHost], hosts: Mapping[str, Host], now: float) -> RolloutChanges:
    """Take in what hosts say and decide what comes next. ``rollout.healthy_s`` is the present healthy second."""
    look = _Look(rollout, rows, hosts, now)
    look.observe()
    if rollout.state in (R.RUNNING, R.SUCCEEDED, R.ROLLING_BACK):
        look.judge()
    if look.rollout.state is R.RUNNING:
        look.move_on()
    if look.rollout.state in (R.RUNNING, R.SUCCEEDED):
        look.ask_forward()
    if look.rollout.state in (R.ROLLING_BACK, R.ROLLED_BACK):
        look.ask_back()
    look.say_again()
    return look.changes()


def steer(rollout: Rollout, rows: Sequence[RolloutHost], event: str, now: float, reason: str) -> RolloutChanges:
    """Decide what a person asked for: RolloutStarted, …Paused, …Resumed, …Cancelled or …RollbackAsked.

    A cancel, and going back, take back what was asked of hosts that have not switched. Raises ``InvalidTransition``.
    """
    if event == "RolloutResumed" and any(row.state in (H.RETURNING, H.RETURNED) for row in rows):
        raise InvalidTransition("a rollout that has begun to go back cannot go on")
    changes = RolloutChanges(_after(rollout, event, now, reason))
    changes.events.append((event, "", reason))
    if event == "RolloutStarted":
        changes.rollout = replace(changes.rollout, wave_healthy_s=rollout.healthy_s)
    elif event == "RolloutResumed" and rollout.state is R.HALTED:
        # A person has looked at what halted it: those failures, and what gates had counted, halt it no more.
        failures = sum(1 for row in rows if row.state is H.FAILED)
        changes.rollout = replace(
            changes.rollout,
            forgiven=failures,
            halt_code="",
            halt_cause="",
            halted_wave=None,
            wave_healthy_s=rollout.healthy_s,
        )
        for row in rows:
            if row.after.ended:
                changes.hosts.append((row.state, row._replace(after=StepCounts())))
            elif row.state in PATIENT:
                changes.hosts.append((row.state, row._replace(since_healthy_s=rollout.healthy_s)))
    elif event in ("RolloutCancelled", "RolloutRollbackAsked"):
        for row in rows:
            if row.state in UNSWITCHED:
                state = host_after(row.state, E.TAKEN_BACK, rollout.id)
                changes.hosts.append((row.state, row._replace(state=state, since_healthy_s=rollout.healthy_s)))
                changes.orders.append(Order(row.agent_id))
                changes.events.append((_EVENT_OF[H.CANCELLED], row.agent_id, ""))
            elif event == "RolloutRollbackAsked" and row.cause_code.startswith(RETURN):
                state = host_after(row.state, E.FORGIVEN, rollout.id)
                changes.hosts.append((row.state, row._replace(state=state, cause_code="", cause="")))
    return changes


def _after(rollout: Rollout, event: str, now: float, reason: str) -> Rollout:
    state = rollout_after(rollout.state, event, rollout.id)
    ended = state in (R.CANCELLED, R.SUCCEEDED, R.ROLLED_BACK, R.HALTED)
    return replace(rollout, state=state, ended_at=now if ended else None, reason=reason)


class _Look:
    """One look; ``rows`` are replaced as it goes."""

    def __init__(self, rollout: Rollout, rows: Sequence[RolloutHost], hosts: Mapping[str, Host], now: float) -> None:
        self.began = rollout
        self.rollout = rollout
        self.before = {row.agent_id: row for row in rows}
        self.rows = dict(self.before)
        self.hosts = hosts
        self.now = now
        self.healthy_s = rollout.healthy_s
        self.policy = rollout.policy
        self.orders: list[Order] = []
        self.events: list[tuple[str, str, str]] = []

    # ---- What hosts say

    def observe(self) -> None:
        """Bring every row that was asked to where its host says it is, or to a failure when it says nothing."""
        for row in self.before.values():
            if row.asked_at is None:
                continue
            host = self._connected(row)
            if host is None:
                if row.away_healthy_s is None:
                    self._put(row._replace(away_healthy_s=self.healthy_s))
            else:
                heard = row if row.away_healthy_s is None else self._put(row._replace(away_healthy_s=None))
                self._hear(heard, host)
            self._wait(self.rows[row.agent_id])

    def _hear(self, row: RolloutHost, host: Host) -> None:
        event, code, cause = self._returning_word(row, host) if row.state is H.RETURNING else self._word(host)
        # What a host says at another time than it should changes nothing.
        if event is not None and (row.state, event) in HOST_TRANSITIONS:
            self._move(row, event, code, cause, incarnation=host.incarnation if event is E.KEEPS else None)

    def _word(self, host: Host) -> Word:
        """What a host says of the release that is wanted of it."""
        says, wanted = host.running, self._wanted(host)
        if says.digest == wanted and says.state == "kept":
            return E.KEEPS, "", ""
        if says.rollout_id != self.rollout.id or says.wanted_digest != wanted:
            return NOTHING if says.digest == wanted else (E.WENT_BACK, "gone_back", f"it runs {says.version} again")
        if says.state == "refused" and says.cause_code in OWNERS_WILL:
            return E.OWNER_DECLINES, says.cause_code, says.cause
        if says.state in ("rolled_back", "refused"):
            return E.FAILS, says.cause_code or says.state, says.cause
        if says.state == "held" and says.digest == wanted:
            return E.CANNOT_DECIDE, says.cause_code, says.cause
        return _UNDER_WAY.get(says.state), says.cause_code, says.cause

    def _returning_word(self, row: RolloutHost, host: Host) -> Word:
        """What a host says that was asked to go back."""
        says = host.running
        if says.digest == row.from_digest and says.state not in ("fetching", "staged", "probation"):
            return E.RETURNS, row.cause_code, row.cause
        if says.state == "refused" and says.wanted_digest == row.from_digest:
            return E.CANNOT_RETURN, RETURN + (says.cause_code or "refused"), f"it did not go back: {says.cause}"
        return NOTHING

    def _wait(self, row: RolloutHost) -> None:
        """Fail a host that takes longer than it may; one that is held may take as long as it needs."""
        policy, spent_s = self.policy, self.healthy_s - row.since_healthy_s
        away_s = 0.0 if row.away_healthy_s is None else self.healthy_s - row.away_healthy_s
        moving = row.state in MOVING - PATIENT
        soaking = row.state is H.KEPT and spent_s <= policy.soak_s + policy.missing_after_s
        prefix = RETURN if row.state is H.RETURNING else ""
        longest_s = policy.upgrade_max_s
        if row.state in (H.PROBATION, H.RETURNING):
            longest_s = policy.probation_s + policy.missing_after_s
        if away_s > policy.missing_after_s and (moving or soaking):
            told = f"it was {row.state} and then not heard for {policy.missing_after_s:g} s"
            self._move(row, E.MISSING, prefix + "missing", told)
        elif moving and spent_s > longest_s:
            self._move(row, E.OVERDUE, prefix + "overdue", f"it was {row.state} for longer than {longest_s:g} s")

    # ---- What that means for all

    def judge(self) -> None:
        """Halt when too many hosts failed or a gate is closed, and go back where the policy says so."""
        going_back = self.rollout.state is R.ROLLING_BACK
        if not going_back:
            for row in list(self.rows.values()):
                if row.state is H.KEPT and (ill := self._ill(row)) is not None:
                    self._move(row, E.ILL, *ill)
        cause = self._too_many(going_back)
        if cause is None and not going_back:
            cause = closed_gate(self.rows.values(), self.policy)
        if cause is None and self.rollout.state is R.RUNNING:
            cause = self._no_canary()
        if cause is None:
            return
        code, told = cause
        self._decide("RolloutHalted", f"{code}: {told}")
        if going_back:
            return  # why it went back at all is more important to remember
        self.rollout = replace(self.rollout, halt_code=code, halt_cause=told, halted_wave=self.rollout.wave)
        if self.began.state is R.RUNNING and self.policy.return_on_halt and code not in ("held", "no_canary"):
            back = steer(self.rollout, list(self.rows.values()), "RolloutRollbackAsked", self.now, told)
            self.rollout = back.rollout
            self.rows |= {row.agent_id: row for _, row in back.hosts}
            self.orders += back.orders
            self.events += back.events

    def _ill(self, row: RolloutHost) -> tuple[str, str] | None:
        host = self._connected(row)
        if host is None or row.asked_at is None:
            return None
        most, restarts = self.policy.memory_bytes_max, host.incarnation - row.incarnation
        if most and host.agent_rss_bytes > most:
            return "memory", f"its agent holds {host.agent_rss_bytes} bytes of memory, more than {most}"
        if self.healthy_s - row.since_healthy_s <= self.policy.soak_s and restarts >= RESTARTS_MAX:
            return "restarting", f"its agent was started {restarts} times since it was kept"
        return None

    def _too_many(self, going_back: bool) -> tuple[str, str] | None:
        failed = [row for row in self.rows.values() if row.state is H.FAILED]
        if going_back:
            failed = [row for row in failed if row.cause_code.startswith(RETURN)]
        asked = sum(1 for row in self.rows.values() if row.asked_at is not None)
        new = len(failed) - (0 if going_back else self.rollout.forgiven)
        if new < self.policy.failures_max and new <= self.policy.failed_share_max * asked:
            return None
        newest = max(failed, key=lambda row: row.since_healthy_s)
        name = self.hosts[newest.agent_id].name if newest.agent_id in self.hosts else newest.agent_id
        codes = ", ".join(f"{count} {code}" for code, count in Counter(row.cause_code for row in failed).most_common())
        return "hosts_failed", f"{new} of {asked} hosts failed ({codes}); {name}: {newest.cause or newest.cause_code}"

    def _no_canary(self) -> tuple[str, str] | None:
        """Halt when canaries cannot tell anything for too long: the others must not be the ones to find out."""
        if self.rollout.wave > 0:
            return None
        canaries = [row for row in self.rows.values() if row.wave == 0]
        late = [row for row in canaries if self._is_set_aside(row)]
        if late:
            codes = ", ".join(sorted({row.cause_code for row in late}))
            return "held", f"{len(late)} of {len(canaries)} canaries are held: {codes}; {late[0].cause}"
        waits = canaries and not any(row.state in MOVING or self._has_shown(row) for row in canaries)
        if waits and self.healthy_s - self.rollout.wave_healthy_s > self.policy.held_max_s:
            why = Counter(why_not(self.hosts.get(row.agent_id), self.rollout) or "window" for row in canaries)
            told = ", ".join(f"{count} {code}" for code, count in why.most_common())
            if "window" not in why:
                return "no_canary", f"no canary could be asked for {self.policy.held_max_s:g} s: {told}"
        return None

    def _has_shown(self, row: RolloutHost) -> bool:
        """Whether a canary did well, or a person went on although it did not."""
        return row.state is H.KEPT or (row.state is H.FAILED and self.rollout.forgiven > 0)

    def _is_set_aside(self, row: RolloutHost) -> bool:
        return row.state in PATIENT and self.healthy_s - row.since_healthy_s > self.policy.held_max_s

    def move_on(self) -> None:
        """End the wave when all of it is done and it has soaked; begin the next one, or be done."""
        while not self._blocks_wave():
            reached = [row for row in self.rows.values() if row.wave == self.rollout.wave and row.asked_at is not None]
            if self.rollout.soak_healthy_s is None:
                self.rollout = replace(self.rollout, soak_healthy_s=self.healthy_s)
            assert self.rollout.soak_healthy_s is not None, "it was set just now"
            if reached and self.healthy_s - self.rollout.soak_healthy_s < self.policy.soak_s:
                return
            if self.rollout.wave >= len(self.policy.waves):
                self._decide("RolloutSucceeded", self._counts())
                return
            self.events.append(("WavePassed", "", f"wave {self.rollout.wave}: {self._counts()}"))
            self.rollout = replace(
                self.rollout, wave=self.rollout.wave + 1, wave_healthy_s=self.healthy_s, soak_healthy_s=None
            )

    def _blocks_wave(self) -> bool:
        if self.rollout.wave == 0:
            canaries = [row for row in self.rows.values() if row.wave == 0]
            if canaries and not any(self._has_shown(row) for row in canaries):
                return True
        return any(
            row.wave <= self.rollout.wave
            and (
                (row.state in MOVING and not self._is_set_aside(row))
                # Not asked yet, and nothing but its turn or its window is missing. Who is away joins late.
                or self._able(row) is not None
            )
            for row in self.rows.values()
        )

    # ---- What hosts are asked

    def ask_forward(self) -> None:
        """Ask the hosts whose turn it is, as many as may be in flight."""
        room = self._room()
        for row in list(self.rows.values()):
            host = self._able(row)
            if row.wave > self.rollout.wave or host is None:
                continue
            wanted = self._wanted(host)
            if host.running.digest == wanted and host.running.state == "kept":
                self._move(row, E.KEEPS, "already", incarnation=host.incarnation)
                continue
            other = host.running.state in _UNDER_WAY and host.running.rollout_id not in ("", self.rollout.id)
            if room <= 0 or other or not may_now(host, self.policy, self.now):
                continue
            room -= 1
            asked = row._replace(
                wave=self.rollout.wave,
                asked_at=self.now,
                from_version=host.running.version,
                from_digest=host.running.digest,
            )
            self._move(asked, E.ASKED, "", f"from {host.running.version} to {self.rollout.version}")
            self._order(row.agent_id)

    def ask_back(self) -> None:
        """Ask the hosts that run the release to go back, in trouble first; over when none of those heard runs it."""
        on_it = [row for row in self.rows.values() if row.asked_at is not None and self._runs_it(row)]
        on_it.sort(key=lambda row: (row.state is H.KEPT, -row.wave))
        room = self._room()
        for row in on_it:
            if row.state is H.RETURNING or row.cause_code.startswith(RETURN):
                continue
            if not row.from_digest:
                self._move(row, E.NOTHING_TO_RETURN_TO, RETURN + "impossible", "it had no release before")
            elif room > 0:
                room -= 1
                self._move(row, E.ASKED_BACK, row.cause_code, row.cause)
                self._order(row.agent_id)
        left = [row for row in self.rows.values() if row.state in MOVING - PATIENT]
        left += [row for row in on_it if not self.rows[row.agent_id].cause_code.startswith(RETURN)]
        if self.rollout.state is R.ROLLING_BACK and not left:
            self._decide("RolloutRolledBack", self._counts())

    def say_again(self) -> None:
        """Repeat what a host that is heard does not act upon: the words may have been lost with a stream or with us."""
        said = {order.agent_id for order in self.orders}
        for row in self.rows.values():
            host = self._connected(row)
            if host is None or host.told or row.agent_id in said:
                continue
            ours = host.running.rollout_id == self.rollout.id
            unheard = row.state is H.ASKED and self.rollout.state in (R.RUNNING, R.SUCCEEDED)
            undone = row.state is H.CANCELLED and ours and host.running.state in ("fetching", "staged", "held")
            if unheard or undone or row.state is H.RETURNING:
                self._order(row.agent_id)

    # ---- Small things

    def changes(self) -> RolloutChanges:
        """Return what is new since the look began."""
        moved = [
            (self.before[row.agent_id].state, row) for row in self.rows.values() if row is not self.before[row.agent_id]
        ]
        return RolloutChanges(self.rollout, moved, self.orders, self.events)

    def _order(self, agent_id: str) -> None:
        row, host = self.rows[agent_id], self.hosts[agent_id]
        artefact = self.rollout.artefact_for(host.architecture)
        if row.state is H.CANCELLED or artefact is None:
            self.orders.append(Order(agent_id))
        elif row.state is H.RETURNING:
            # It has that release still and fetches nothing; the path is what it would be in signed metadata.
            path = f"haulier-agentd-{row.from_version}-{host.architecture}.tar.zst"
            self.orders.append(Order(agent_id, row.from_version, row.from_digest, path))
        else:
            self.orders.append(Order(agent_id, self.rollout.version, artefact.digest, artefact.target_path))

    def _room(self) -> int:
        moving = sum(1 for row in self.rows.values() if row.state in MOVING and not self._is_set_aside(row))
        return self.policy.in_flight_max - moving

    def _able(self, row: RolloutHost) -> Host | None:
        """Return the host of a row that waits and may be asked, its window aside."""
        host = self.hosts.get(row.agent_id)
        if row.state is not H.WAITING or host is None or why_not(host, self.rollout):
            return None
        refused = row.cause_code in OWNERS_WILL and host.running.state == "refused"
        return None if refused else host

    def _connected(self, row: RolloutHost) -> Host | None:
        host = self.hosts.get(row.agent_id)
        return host if host is not None and host.connected else None

    def _wanted(self, host: Host) -> str:
        artefact = self.rollout.artefact_for(host.architecture)
        return artefact.digest if artefact is not None else ""

    def _runs_it(self, row: RolloutHost) -> bool:
        host = self._connected(row)
        return host is not None and host.running.digest == self._wanted(host)

    def _put(self, row: RolloutHost) -> RolloutHost:
        self.rows[row.agent_id] = row
        return row

    def _move(
        self, row: RolloutHost, event: HostEvent, code: str = "", cause: str = "", *, incarnation: int | None = None
    ) -> None:
        """Bring a row along the table; nothing happens where it is there already."""
        state = host_after(row.state, event, self.rollout.id)
        if row.state is state and self.before[row.agent_id].state is state:
            return
        moved = row._replace(state=state, since_healthy_s=self.healthy_s, cause_code=code, cause=cause)
        self._put(moved if incarnation is None else moved._replace(incarnation=incarnation))
        if state in _EVENT_OF:
            self.events.append(
                (_EVENT_OF[state], row.agent_id, f"{code}: {cause}" if code and cause else cause or code)
            )

    def _decide(self, event: str, detail: str) -> None:
        self.rollout = _after(self.rollout, event, self.now, detail)
        self.events.append((event, "", detail))

    def _counts(self) -> str:
        counts = Counter(str(row.state) for row in self.rows.values())
        return ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
