"""Any requests, looks, reboots and owners' wishes, with crashes after any durable step: U1, U2, U3 hold."""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agentd.core import updater_rules
from agentd.core.release_state import (
    Before,
    Ending,
    Phase,
    Release,
    Request,
    SelfTest,
    UpdaterState,
    state_from_text,
    state_to_text,
)
from agentd.core.updater_rules import Contact, Evidence, NothingToGoBackTo, Unit

RELEASES = [Release(f"0.{number}.0", f"{number:064x}") for number in range(1, 6)]
PROBATION_S = 600.0
PASSED = SelfTest(True, cpu_s=1.0, wall_s=1.0, rss_bytes=10**8)
TESTS = [None, PASSED, SelfTest(False, ("migrate csv",)), SelfTest(False, ("migrate csv",), "disk_full", "full")]


class Host(RuleBasedStateMachine):
    """The disk of one host, and an updater that may die after each thing it does."""

    def __init__(self) -> None:
        super().__init__()
        self.text = state_to_text(UpdaterState(current=RELEASES[0]))
        self.current, self.previous = RELEASES[0], None
        self.whole = {RELEASES[0]}
        self.request: Request | None = None
        self.requests = 0
        self.running = RELEASES[0]
        self.now, self.boot = 1000.0, 1
        self.steps_left = 0

    # The disk.

    @property
    def state(self) -> UpdaterState:
        return state_from_text(self.text)

    def survives(self) -> bool:
        """Whether the updater lives to do the next thing."""
        self.steps_left -= 1
        return self.steps_left > 0

    def save(self, state: UpdaterState) -> bool:
        self.text = state_to_text(state)
        return self.survives()

    def point(self) -> bool:
        """Bring the links to what the state says, one after the other, as the updater does."""
        current, previous = updater_rules.links(self.state)
        assert current is not None
        order = ("previous", "current") if self.current == previous else ("current", "previous")
        for name in order:
            setattr(self, name, current if name == "current" else previous)
            if not self.survives():
                return False
        return True

    # The updater.

    def pass_(self, seen: Evidence) -> None:
        """One pass, until nothing moves or the updater dies."""
        for _ in range(6):
            state = self.state
            if state.phase is Phase.IDLE:
                state, wanted = updater_rules.consider(state, self.request)
                if not self.save(state) or not wanted or self.request is None:
                    return
                self.whole.add(self.request.release)
                if not self.save(updater_rules.staged(state, self.request)):
                    return
            elif state.phase is Phase.STAGED:
                state, wanted = updater_rules.consider(state, self.request)
                if not self.save(state) or not wanted:
                    return
                if state.phase is Phase.IDLE:
                    continue
                begun = updater_rules.switch_begun(state, Before(True, 10**8, PASSED), self.boot_id, self.now)
                if not self.save(begun):
                    return
            elif state.phase is Phase.SWITCHING:
                if not self.point():
                    return
                self.running = self.current
                if not self.save(updater_rules.restarted(state, self.boot_id, self.now)):
                    return
            elif state.phase is Phase.PROBATION:
                if not self.point():
                    return
                new = updater_rules.looked(state, seen, self.boot_id, self.now)
                if not self.save(new) or new.phase is Phase.PROBATION:
                    return
            elif not self.point():
                return
            else:
                self.running = self.current
                if not self.save(updater_rules.returned(state)):
                    return

    @property
    def boot_id(self) -> str:
        return f"boot-{self.boot}"

    # What happens.

    @rule(number=st.integers(0, 4))
    def ask(self, number: int) -> None:
        self.requests += 1
        release = RELEASES[number]
        self.request = Request(f"req_{self.requests}", "roll_1", release, "path", PROBATION_S)

    @rule()
    def take_back(self) -> None:
        self.request = None

    @rule(
        steps=st.integers(1, 14),
        waits_s=st.sampled_from([0.0, 1.0, 130.0, 700.0]),
        unit=st.sampled_from(Unit),
        answers=st.booleans(),
        connected=st.booleans(),
        tested=st.sampled_from(TESTS),
        contact=st.sampled_from([None, *Contact]),
        disk_full=st.booleans(),
        restarts=st.integers(0, 3),
    )
    def run(
        self,
        steps: int,
        waits_s: float,
        unit: Unit,
        answers: bool,
        connected: bool,
        tested: SelfTest | None,
        contact: Contact | None,
        disk_full: bool,
        restarts: int,
    ) -> None:
        self.now += waits_s
        self.steps_left = steps
        seen = Evidence(
            unit,
            self.running.digest if answers else "",
            incarnation=5 + restarts,
            up_s=waits_s,
            connected_s=100.0 if connected else 0.0,
            rss_bytes=10**8,
            disk_full=disk_full,
            contact=None if connected else contact,
            tested=tested,
        )
        self.pass_(seen)

    @rule(steps=st.integers(1, 10))
    def rescue(self, steps: int) -> None:
        self.steps_left = steps
        if self.save(updater_rules.rescued(self.state)):
            self.pass_(Evidence(Unit.FAILED))

    @rule()
    def reboot(self) -> None:
        self.boot += 1
        self.now = 3.0
        self.running = self.current

    @rule(steps=st.integers(1, 10))
    def owner_goes_back(self, steps: int) -> None:
        self.steps_left = steps
        try:
            state = updater_rules.back_asked(self.state)
        except NothingToGoBackTo:
            return
        if self.save(state):
            self.pass_(Evidence(Unit.RUNNING))

    @rule(pin=st.sampled_from(["", "0.1.0", "0.3.0"]), out=st.booleans())
    def owner_decides(self, pin: str, out: bool) -> None:
        self.text = state_to_text(replace(self.state, pin=pin, opted_out=out))

    @rule()
    def nobody_says_kept(self) -> None:
        """Left alone with a silent release, a host is back on one that was kept, and needs nobody for it."""
        before = self.state
        self.request = None
        silent = Evidence(Unit.RUNNING, rss_bytes=0)
        for _ in range(4):
            self.now += PROBATION_S
            self.steps_left = 100
            self.pass_(silent)
        assert self.state.phase is Phase.IDLE
        assert (self.current, self.previous) == updater_rules.links(self.state)
        if before.phase in (Phase.SWITCHING, Phase.PROBATION) and before.probation is not None:
            assert self.current == before.probation.back
            assert self.state.last is not None and self.state.last.ending is Ending.ROLLED_BACK

    # What holds after each of them.

    @invariant()
    def both_links_say_a_whole_release(self) -> None:
        assert self.current in self.whole
        assert self.previous is None or self.previous in self.whole

    @invariant()
    def old_or_new_and_nothing_else(self) -> None:
        state = self.state
        if state.phase in (Phase.IDLE, Phase.STAGED):
            assert (self.current, self.previous) == updater_rules.links(state)
        else:
            assert state.probation is not None and state.wanted is not None
            assert self.current in (state.probation.back, state.wanted.release)

    @invariant()
    def what_failed_is_not_what_is_kept(self) -> None:
        state = self.state
        if state.phase is Phase.IDLE and state.last is not None and state.last.ending is Ending.ROLLED_BACK:
            assert self.current.digest != state.last.digest


Host.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestHost = Host.TestCase
