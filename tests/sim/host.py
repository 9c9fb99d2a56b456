"""One data host: a daemon that runs the real agent core, its journal on disk, and children that outlive it."""

import asyncio
import contextlib
import json
from collections import deque
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Any

import grpc
from haulier.v1 import agent_pb2 as pb

from agentd.core import effects, events
from agentd.core.agent import Agent
from agentd.core.grants import Capabilities, Failure, Grant, Identity, Outcome, OutcomeKind, ResourceUse
from agentd.core.release_state import HostFacts
from agentd.core.upgrade_requests import Upgrading
from agentd.link import signatures, translate
from agentd.link.outbox import Outbox
from tests.sim.child import Child
from tests.sim.disk import Disk, DiskFailed
from tests.sim.network import KEEPALIVE_S, Stream, Wire
from tests.sim.updater import FACTS, Updater
from tests.sim.virtual_time import Process

if TYPE_CHECKING:
    from tests.sim.world import World

DIAL_MAX_S = 10.0
STOP_GRACE_S = 5.0
KINDS_KNOWN_S = 1.5  # after the start of a daemon whose steps go on
_REFUSED = (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INVALID_ARGUMENT)


@dataclass(slots=True)
class AttemptDir:
    """What an attempt leaves on its host: it survives daemon and child, not a host that is gone."""

    grant: Grant
    child: Child | None = None
    buried: bool = False
    destroy_at: float = float("-inf")
    end_at: float | None = None
    outcome: Outcome | None = None


@dataclass
class Host:
    """A machine. Its clock has its own origin and rate; nobody else's instants mean anything here."""

    world: "World"
    name: str
    agent_id: str
    capabilities: Capabilities
    rng: Random
    clock_origin: float
    clock_rate: float
    leaves_head_out: bool = False  # as agents of the release before did, when they told of a started child
    updater: Updater | None = None
    wire: Wire = field(init=False)
    disk: Disk = field(init=False)
    boot: int = 1
    daemon: "Daemon | None" = None
    dirs: dict[str, AttemptDir] = field(default_factory=dict)
    started_ever: set[str] = field(default_factory=set)
    began_ever: set[str] = field(default_factory=set)
    paused: bool = False

    def __post_init__(self) -> None:
        self.wire = Wire(self.rng)
        self.disk = Disk(self.world)

    def clock(self) -> float:
        """CLOCK_BOOTTIME of this host."""
        return self.clock_origin + self.clock_rate * self.world.loop.time()

    def world_time(self, instant: float) -> float:
        """The world's instant at which this host's clock shows ``instant``."""
        return (instant - self.clock_origin) / self.clock_rate

    def boot_id(self) -> str:
        """Identity of this boot."""
        return f"{self.name}-boot-{self.boot}"

    def start_daemon(self) -> None:
        """Start the daemon if none runs."""
        if self.daemon is None and not self.paused and not (self.updater and self.updater.cannot_run):
            self.daemon = Daemon(self)
            self.daemon.start()

    def kill_daemon(self) -> None:
        """kill -9 of the daemon alone; children live on."""
        if self.daemon is not None:
            self.daemon.die()
            self.daemon = None

    def restart_daemon(self) -> None:
        """What the service manager does for the updater."""
        self.kill_daemon()
        self.start_daemon()

    def kill_children(self, attempt_id: str = "") -> None:
        """kill -9 of one child, or of all."""
        for key, each in list(self.dirs.items()):
            if each.child is not None and each.child.alive and attempt_id in ("", key):
                each.child.kill()

    def reboot(self) -> None:
        """Everything dies; what is on disk stays; the boot id changes."""
        self.kill_daemon()
        self.kill_children()
        self.boot += 1
        for each in self.dirs.values():
            each.child = None

    def pause(self, *, with_children: bool) -> None:
        """SIGSTOP: nothing here notices that time goes on."""
        self.paused = True
        if with_children:
            for each in self.living():
                each.stop()

    def resume(self) -> None:
        """SIGCONT: whatever was due happens now, late."""
        self.paused = False
        for each in self.living():
            each.carry_on()
        if self.daemon is not None:
            self.daemon.wake()

    def living(self) -> list[Child]:
        """Children that are alive, stopped or not."""
        return [each.child for each in self.dirs.values() if each.child is not None and each.child.alive]

    def reload(self, capabilities: Capabilities) -> None:
        """The host's configuration changed."""
        self.capabilities = capabilities
        if self.daemon is not None:
            self.daemon.post(events.ConfigReloaded(capabilities))


class Daemon:
    """One lifetime of the agent process: events → core → effects → events."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.world = host.world
        self.process = Process(f"daemon of {host.name}")
        self.alive = True
        contents = host.disk.journal.begin_incarnation()
        version, facts = "sim", HostFacts()
        if host.updater is not None:
            version, facts = host.updater.status.version, FACTS
        identity = Identity(contents.incarnation, version, host.boot_id(), facts, state_place=host.name)
        capabilities = host.capabilities
        if contents.attempts:
            self.world.mark("attempts recovered from the journal")
            # What goes on is told of at once; which step kinds can run here is found out meanwhile.
            capabilities = replace(capabilities, kinds=(), kinds_known=False)
            self.world.loop.call_later(KINDS_KNOWN_S, lambda: self.post(events.ConfigReloaded(host.capabilities)))
        upgrading = None if host.updater is None else Upgrading(host.updater.status, host.updater.wish)
        self.agent = Agent(
            identity, capabilities, contents.attempts, contents.fences, contents.draining, upgrading, contents.witnessed
        )
        self.started_at = host.clock()
        self._inbox: deque[events.Event] = deque()
        self._scheduled = False
        self._wake: asyncio.TimerHandle | None = None
        self._waiting: list[tuple[Any, events.Event | None]] = []
        self._writing = False
        self._stream: Stream | None = None
        self._outbox = Outbox()

    def start(self) -> None:
        """Begin as the real daemon does."""
        self.world.event("daemon started", self.host.name, self.agent.identity.incarnation)
        self.post(events.Started())

    def die(self) -> None:
        """Nothing more happens here; its stream ends as the kernel closes it."""
        self.world.event("daemon died", self.host.name)
        self.alive = False
        self.process.kill()
        if self._waiting and self.host.rng.random() < 0.5:
            # The write was under way: it may well have reached the disk, though nobody was told.
            with contextlib.suppress(DiskFailed):
                self.host.disk.write([entry for entry, _ in self._waiting])
                self.world.mark("daemon killed after its journal's commit, before it knew")
        self._waiting = []
        if self._stream is not None:
            self._stream.hang_up()

    # The loop.

    def post(self, event: events.Event) -> None:
        """Tell the core something."""
        if not self.alive:
            return
        self._inbox.append(event)
        self._schedule()

    def wake(self) -> None:
        """Look at what waits, after a pause."""
        self._schedule()
        self._arm()

    def _schedule(self) -> None:
        if not self._scheduled and self._inbox and not self.host.paused:
            self._scheduled = True
            self.world.loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        if not self.alive or self.host.paused or not self._inbox:
            return
        event = self._inbox.popleft()
        self.world.event("agent", self.host.name, event)
        for effect in self.agent.handle(event, self.host.clock()):
            self._carry_out(effect)
            if not self.alive:
                return
        self._schedule()
        if not self._inbox:
            self._arm()

    def _arm(self) -> None:
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        wake_at = self.agent.wake_at
        if wake_at is not None and self.alive and not self.host.paused:
            at = max(self.host.world_time(wake_at), self.world.loop.time()) + 1e-6
            self._wake = self.world.loop.call_at(at, self._tick)

    def _tick(self) -> None:
        self._wake = None
        if self.host.paused:
            return
        self.post(events.Ticked())

    def _carry_out(self, effect: effects.Effect) -> None:
        if self.host.updater is not None and self.host.updater.carry_out(self, effect):
            return
        match effect:
            case effects.SendReport():
                self.world.watch.told(self.host, effect)
                self._outbox.add(effect)
            case effects.OpenSession():
                self._open(effect)
            case effects.CloseSession():
                if self._stream is not None:
                    self._stream.hang_up()
                    self._ended(effect.session, None, effect.reason)
            case effects.JournalIntent(grant):
                self._write(effect, events.AttemptJournalled(grant.attempt_id))
            case effects.RecordOutcome(grant, _):
                self._write(effect, events.OutcomeRecorded(grant.attempt_id))
            case effects.MarkDraining() | effects.KeepHead():
                self._write(effect, None)
            case effects.ForgetAttempt(attempt_id):
                self.world.watch.forgotten(self.host, attempt_id)
                self._write(effect, None)
            case effects.StartChild(grant):
                self.world.watch.child_starts(self.host, grant)
                self._start_child(grant)
            case effects.AdoptChild(grant, may_begin):
                self.world.loop.call_later(self.host.rng.uniform(0.01, 0.1), self._adopt, grant, may_begin)
            case effects.StopChild(attempt_id, _, at_once):
                self._stop_child(attempt_id, at_once)
            case effects.WriteDeadline(attempt_id, deadline_at, disconnected_at):
                found = self.host.dirs.get(attempt_id)
                if found is not None:
                    self.world.watch.deadline_written(self.host, attempt_id, deadline_at)
                    found.destroy_at, found.end_at = deadline_at, disconnected_at
            case effects.CheckSignatures(shown):
                good = signatures.are_signed(json.loads(signatures.question(shown)))
                told = events.SignaturesChecked(shown, good)
                self.world.loop.call_later(self.host.rng.uniform(0.1, 2.0), self.post, told)
            case effects.Alarm(message):
                self.world.event("ALARM", self.host.name, message)
                self.world.watch.heads.alarmed(self.host, message)
            case effects.Note():
                pass
            case effects.Finish():
                self.world.mark("a daemon ended by itself")
                self.host.kill_daemon()
                self.world.loop.call_later(self.host.rng.uniform(0.5, 20.0), self.host.start_daemon)

    # The journal.

    def _write(self, entry: Any, then: events.Event | None) -> None:
        self._waiting.append((entry, then))
        if not self._writing:
            self._writing = True
            self.world.loop.call_later(self._fsync_s(), self._written)

    def _fsync_s(self) -> float:
        rng = self.host.rng
        return rng.uniform(0.0005, 0.005) if rng.random() < 0.95 else rng.uniform(0.05, 2.0)

    def _written(self) -> None:
        if not self.alive:
            return
        if self.host.paused:
            self.world.loop.call_later(1.0, self._written)
            return
        batch, self._waiting = self._waiting, []
        try:
            self.host.disk.write([entry for entry, _ in batch])
        except DiskFailed:
            self.world.mark("an agent's journal met a failing disk")
            # Nothing may be assumed about a failed write: the daemon ends, and its next life reads the file.
            self.host.kill_daemon()
            self.world.loop.call_later(self.host.rng.uniform(1.0, 10.0), self.host.start_daemon)
            return
        for _, then in batch:
            if then is not None:
                self.post(then)
        self._writing = bool(self._waiting)
        if self._writing:
            self.world.loop.call_later(self._fsync_s(), self._written)

    # Children.

    def _start_child(self, grant: Grant) -> None:
        self.host.dirs.setdefault(grant.attempt_id, AttemptDir(grant))
        self.world.loop.call_later(self._fork_s(), self._forked, grant)

    def _fork_s(self) -> float:
        """A runner host that is not warm loads everything first."""
        rng = self.host.rng
        return rng.uniform(0.005, 0.1) if rng.random() < 0.8 else rng.uniform(0.5, 10.0)

    def _forked(self, grant: Grant) -> None:
        files = self.host.dirs.get(grant.attempt_id)
        if files is None or files.buried:
            return
        if self.agent.identity.boot_id != self.host.boot_id():
            # What was to fork has died with the host: a fork that outlives its daemon does not outlive a boot.
            return
        if files.child is not None:
            # The runner host of an earlier daemon forked one late, and that one has the directory.
            self.world.mark("two daemons began one attempt, and one process had it")
            self.post(events.ChildStarted(grant.attempt_id))
            if not files.child.alive:
                self.post(events.ChildEnded(grant.attempt_id, files.outcome, ResourceUse()))
            return
        if not self.alive and self.host.rng.random() < 0.5:
            return  # the daemon died before the fork
        for attempt_id in grant.evict_attempt_ids:
            old = self.host.dirs.get(attempt_id)
            if old is not None and old.child is not None and old.child.alive:
                self.world.mark("a successor evicted a process on its host")
                old.child.kill()
        if self.host.rng.random() < self.world.faults.start_fails:
            failure = Failure("start_failed", "no process could be started", retryable=True)
            outcome = Outcome(grant.attempt_id, grant.fence, OutcomeKind.FAILED, failure=failure)
            self.post(events.ChildEnded(grant.attempt_id, outcome, ResourceUse()))
            return
        self.world.watch.child_begins(self.host, grant)
        files.child = Child(self.host, files)
        self.post(events.ChildStarted(grant.attempt_id))
        files.child.start()

    def _adopt(self, grant: Grant, may_begin: bool) -> None:
        if not self.alive:
            return
        files = self.host.dirs.setdefault(grant.attempt_id, AttemptDir(grant))
        child = files.child
        if child is None and may_begin:
            self.world.mark("an attempt that had not begun was begun by the next daemon")
            self._start_child(grant)
            return
        files.buried = True
        if child is not None and child.alive:
            self.world.mark("a living child was adopted")
            self.post(events.ChildAdopted(grant.attempt_id, child.started_at, child.progress))
            return
        self.world.mark("a child had ended while no daemon ran")
        self.post(events.ChildEnded(grant.attempt_id, files.outcome, ResourceUse(), "while no daemon ran"))

    def _stop_child(self, attempt_id: str, at_once: bool) -> None:
        if not self.alive:
            return  # what waits for the fork waits in the daemon; the next one is told again to stop the attempt
        files = self.host.dirs.get(attempt_id)
        if files is None or files.child is None or not files.child.alive:
            if files is not None and files.child is None:
                # Still being started: stopping waits for that.
                self.world.loop.call_later(0.2, self._stop_child, attempt_id, at_once)
            return
        if at_once:
            files.child.kill()
        else:
            files.child.ask_to_stop()
            self.world.loop.call_later(STOP_GRACE_S, self._kill_later, attempt_id)

    def _kill_later(self, attempt_id: str) -> None:
        files = self.host.dirs.get(attempt_id)
        if self.alive and files is not None and files.child is not None and files.child.alive:
            files.child.kill()

    # The session.

    def _open(self, effect: effects.OpenSession) -> None:
        session = effect.session
        hello = pb.SessionRequest(sequence=1, hello=translate.hello(effect))
        sent_at = self.host.clock()
        plane = self.world.plane
        self._outbox = Outbox()
        if plane is None or not plane.serving:
            self._end_later(session, self.host.wire.delay_s(), grpc.StatusCode.UNAVAILABLE, "connection refused")
            return
        opened: list[bool] = []

        def on_message(message: Any) -> None:
            if not opened:
                opened.append(True)
                self.post(translate.welcome(session, message))
                self.post(events.ReportSent(session, 1, sent_at))
                self.world.loop.spawn(self.process, self._send_reports(effect, stream), "reports")
            self.world.watch.arrives_at_agent(self.host, message, plane)
            if message.HasField("shown_head"):
                self.world.watch.heads.arrives(self.host, message.shown_head)
            for event in translate.said(session, message):
                assert not isinstance(event, translate.BadMessage), event
                self.post(event)

        def on_end(code: grpc.StatusCode | None, reason: str) -> None:
            self._ended(session, code, reason)

        stream = Stream(self.world, self.host.wire, plane, self.host.agent_id, on_message, on_end)
        self._stream = stream
        self.world.streams.append(stream)
        stream.send_up(hello)
        stream.start()
        self.world.loop.call_later(DIAL_MAX_S, self._check_welcome, stream, opened)
        self.world.loop.call_later(KEEPALIVE_S, self._check_alive, stream)

    async def _send_reports(self, effect: effects.OpenSession, stream: Stream) -> None:
        outbox = self._outbox
        while stream.client_open:
            await outbox.wait()
            if self.host.paused:
                over = self.world.loop.create_future()  # a stopped process sends nothing
                self.world.loop.call_later(self.host.rng.random() + 0.1, over.set_result, None)
                await over
                continue
            message = outbox.take()
            if self.host.leaves_head_out and message.progress:
                message.heartbeat.ClearField("witnessed")
                self.world.mark("a heartbeat left out what its agent has witnessed")
            self.post(events.ReportSent(effect.session, message.sequence, self.host.clock()))
            stream.send_up(message)
            outbox.sent()

    def _check_welcome(self, stream: Stream, opened: list[bool]) -> None:
        if not opened and stream.client_open and stream is self._stream:
            stream.hang_up()
            session = self.agent.session
            if session is not None:
                self._ended(session, grpc.StatusCode.DEADLINE_EXCEEDED, "no welcome in time")

    def _check_alive(self, stream: Stream) -> None:
        if stream.client_open and self.alive:
            wire = self.host.wire
            if wire.up_blocked or wire.down_blocked or not stream.plane.alive:
                self.world.mark("a half-open stream was given up by keepalive")
                stream.keepalive_failed()
            else:
                self.world.loop.call_later(KEEPALIVE_S, self._check_alive, stream)

    def _end_later(self, session: Any, delay_s: float, code: grpc.StatusCode, reason: str) -> None:
        self.world.loop.call_later(delay_s, self._ended, session, code, reason)

    def _ended(self, session: Any, code: grpc.StatusCode | None, reason: str) -> None:
        if code in _REFUSED:
            self.world.mark("a hello was refused")
        self.post(events.SessionClosed(session, reason, self.host.rng.random(), code in _REFUSED))
