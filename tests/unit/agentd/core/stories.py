"""Builders for the core's tests: an agent with a clock of its own and short ways to tell it things."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from agentd.core import effects, events
from agentd.core.agent import Agent
from agentd.core.effects import Effect
from agentd.core.events import Event
from agentd.core.grants import (
    Capabilities,
    Grant,
    Identity,
    Outcome,
    OutcomeKind,
    Progress,
    Recovered,
    ResourceUse,
    SessionId,
)

E = TypeVar("E")

GRANT = Grant(
    attempt_id="att_1",
    step_id="step_1",
    migration_id="mig_1",
    step_name="load",
    kind="load",
    number=1,
    fence=7,
    target="orders",
    ttl_s=60.0,
)
CAPABILITIES = Capabilities(("extract", "load"), ("*",), (("zone", "b"),), slots=2)
SUCCEEDED = Outcome("att_1", 7, OutcomeKind.SUCCEEDED, b"done", use=ResourceUse(wall_s=1.0))


def grant(attempt_id: str = "att_1", **fields: Any) -> Grant:
    """A grant of its own target unless told otherwise."""
    return replace(GRANT, **({"attempt_id": attempt_id, "target": f"target of {attempt_id}"} | fields))


class Told:
    """An agent that is told a story; remembers the clock and the last effects."""

    def __init__(
        self,
        recovered: Iterable[Recovered] = (),
        fences: Mapping[str, int] | None = None,
        capabilities: Capabilities = CAPABILITIES,
        draining: bool = False,
        incarnation: int = 3,
    ) -> None:
        self.agent = Agent(Identity(incarnation, "0.1", "boot"), capabilities, recovered, fences, draining)
        self.now = 1000.0
        self.sequence = 1
        self.done: list[Effect] = []

    def tell(self, event: Event, after_s: float = 0.0) -> list[Effect]:
        """Tell an event after some time."""
        self.now += after_s
        self.done = self.agent.handle(event, self.now)
        return self.done

    def started(self) -> "Told":
        """Start the agent."""
        self.tell(events.Started())
        return self

    def opened(self, heartbeat_s: float = 15.0, disconnected_max_s: float = 900.0) -> "Told":
        """Start the agent and open its session."""
        if self.agent.session is None:
            self.started()
        self.tell(events.SessionOpened(self.session, heartbeat_s, disconnected_max_s))
        return self

    @property
    def session(self) -> SessionId:
        """The session of now."""
        assert self.agent.session is not None
        return self.agent.session

    def granted(self, given: Grant = GRANT) -> list[Effect]:
        """Grant a lease."""
        return self.tell(events.LeaseGranted(self.session, given))

    def running(self, given: Grant = GRANT) -> "Told":
        """Grant a lease and let its child start."""
        self.granted(given)
        self.tell(events.AttemptJournalled(given.attempt_id))
        assert only(self.done, effects.StartChild).grant == given
        self.tell(events.ChildStarted(given.attempt_id))
        return self

    def ended(self, outcome: Outcome | None = SUCCEEDED, attempt_id: str = "att_1") -> Outcome:
        """Let a child end; returns what is recorded."""
        self.tell(events.ChildEnded(attempt_id, outcome, ResourceUse(wall_s=2.0)))
        return only(self.done, effects.RecordOutcome).outcome

    def sent(self, sent_at: float | None = None) -> int:
        """A message leaves; returns its sequence."""
        self.sequence += 1
        at = self.now if sent_at is None else sent_at
        self.tell(events.ReportSent(self.session, self.sequence, at))
        return self.sequence

    def renewed(self, sequence: int, fence: int = 7, ttl_s: float = 60.0, attempt_id: str = "att_1") -> list[Effect]:
        """A renewal arrives."""
        return self.tell(events.LeaseRenewed(self.session, attempt_id, fence, ttl_s, sequence))

    def closed(self, jitter: float = 0.0, refused: bool = False) -> list[Effect]:
        """The session ends."""
        return self.tell(events.SessionClosed(self.session, "broken", jitter, refused))


def only(done: Iterable[Effect], kind: type[E]) -> E:
    """The one effect of a sort."""
    (found,) = [each for each in done if isinstance(each, kind)]
    return found


def none_of(done: Iterable[Effect], kind: type[Any]) -> bool:
    """Whether no effect is of that sort."""
    return not any(isinstance(each, kind) for each in done)


PROGRESS = Progress(10, 100, 1000, "reading")
