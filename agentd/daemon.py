"""Composition root of the agent and its one loop: events → core → effects → events."""

import asyncio
import contextlib
import json
import logging
import os
import random
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from agentd.config import reading as config_file
from agentd.config.reading import Config, ConfigBroken
from agentd.core import effects, events
from agentd.core.agent import Agent
from agentd.core.effects import Effect
from agentd.core.events import Event
from agentd.core.grants import Capabilities, HostSample, Identity
from agentd.installation.release_tree import own_digest, own_tree, own_version
from agentd.isolation import cgroups
from agentd.journal.batching import JournalWriter
from agentd.journal.encoding import head_to_text
from agentd.link import identity_files, proxies, renewal, signatures
from agentd.link.client import Link
from agentd.link.logs import LogShipper
from agentd.policy import reading
from agentd.policy.host_policy import Policy
from agentd.policy.kinds import KindRule
from agentd.policy.refusals import PolicyBroken
from agentd.processes.identity import boot_id, boottime
from agentd.runner.attempt_files import ATTEMPTS, ChildSettings, Deadlines
from agentd.runner.host_client import HostClient
from agentd.runner.runner import Runner
from agentd.sensors import facts
from agentd.sensors.host import HostSensor
from agentd.supervision import http_probes, status_socket, watch
from agentd.supervision.service_notices import notify, watchdog_every_s
from agentd.supervision.vital_signs import VitalSigns
from agentd.upgrading.requests import Carrier

log = logging.getLogger("haulier.agentd")

JOURNAL = "journal.db"
# Fault injection for tests: a child stops itself (SIGSTOP) at this point of its first attempt.
STOP_AT_VARIABLE = "HAULIER_STOP_AT"
# The service name under which probes ask for readiness.
PROBED = "haulier.v1.AgentService"
_FLUSH_S = 2.0
_QUIET_S = 0.5
# Output of an ended attempt gets so long to leave before its directory goes.
_OUTPUT_WAIT_S = 15.0


class Daemon:
    """One process lifetime of the agent."""

    def __init__(
        self, state: Path, config_path: Path, stop_at: str = "", host_command: Sequence[str] | None = None
    ) -> None:
        self._state = state
        self._config_path = config_path
        self._stop_at = stop_at
        self._config, self._policy = self._read_settings()
        self._enrolment = identity_files.load(state).through(self._config.proxy)
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._journal = JournalWriter()
        self._host = HostClient(state / ATTEMPTS, self._config.runner_idle_s, host_command)
        self._cgroups = cgroups.find(cgroups.name_for(state))
        self._cgroup()
        self._runner = Runner(state, self._host, self._settings, self._events.put_nowait, self._cgroups)
        self._logs = LogShipper()
        self._sensor = HostSensor(state)
        self._carrier = Carrier(state, self._enrolment, self._events.put_nowait, lambda: self._config)
        self._link = Link(self._enrolment, self._events.put_nowait, boottime, self._sample, self._logs.ship)
        self._vital_signs = VitalSigns(lambda: self._events.put_nowait(events.Ticked()), self._journal.writing_for_s)
        self._running: set[asyncio.Task[None]] = set()
        self._failure: Exception | None = None
        self._installed_kinds: Mapping[str, KindRule] | None = None
        self._agent: Agent

    # Start and end.

    async def run(self) -> None:
        """Run until the host stops the daemon. Raises JournalBusy, JournalBroken, JournalFailed,
        HostFailed."""
        contents = await self._journal.open(self._state / JOURNAL)
        # Not before: where nothing can be used, the one thing to be said is what is wrong.
        self._tell_settings()
        async with contextlib.AsyncExitStack() as closing:
            closing.push_async_callback(self._journal.close)
            closing.callback(self._cgroups.close)
            closing.push_async_callback(self._runner.close)
            if not contents.attempts:
                await self._learn_kinds()
            place = f"{self._state} ({contents.file})"
            identity = Identity(contents.incarnation, own_version(), boot_id(), facts.of_host(), place)
            self._agent = Agent(
                identity,
                self._capabilities(),
                contents.attempts,
                contents.fences,
                contents.draining,
                self._carrier.begin(own_version(), own_digest()),
                contents.witnessed,
            )
            closing.push_async_callback(self._carrier.close)
            await self._runner.forget_strangers({each.grant.attempt_id for each in contents.attempts})
            await self._open_listeners(closing)
            if contents.attempts:
                # Steps that go on are told of at once; what else could run here is told when the runner host, which
                # loads everything heavy, has said it.
                self._start(self._learn_kinds())
            log.info(
                "started agent=%s incarnation=%d attempts=%d kinds=%s",
                self._enrolment.agent_id,
                identity.incarnation,
                len(contents.attempts),
                ",".join(self._agent.capabilities.kinds),
            )
            await self._loop()
            notify(stopping="1")
            await self._link.shut(_FLUSH_S)
            await self._quiet()
        if self._failure is not None:
            raise self._failure
        log.info("stopped; %d attempts live on", len(self._agent.held))

    async def _learn_kinds(self) -> None:
        greeting = await self._host.kinds()
        for problem in greeting.problems:
            log.error("%s", problem)
        self._installed_kinds = greeting.kinds
        self._events.put_nowait(events.ConfigReloaded(self._capabilities()))

    async def _open_listeners(self, closing: contextlib.AsyncExitStack) -> None:
        server = await status_socket.serve(self._state, self._status)
        closing.callback(server.close)
        if self._config.probe_address:
            probe = await _open_probe(self._config.probe_address, self._is_ready)
            closing.push_async_callback(probe.stop, 0)
        if self._config.probe_http_address:
            pages = await http_probes.listen(self._config.probe_http_address, self._status)
            closing.callback(pages.close)
        watching = asyncio.create_task(self._watch_files())
        closing.callback(watching.cancel)
        for work in (self._carrier.watch(), self._carrier.report()):
            closing.callback(asyncio.create_task(work).cancel)
        watchdog_s = watchdog_every_s()
        if watchdog_s is not None:
            barking = asyncio.create_task(self._vital_signs.feed(watchdog_s))
            closing.callback(barking.cancel)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop_asked)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        notify(ready="1", status="connecting")

    def _is_ready(self) -> bool:
        return self._agent.connected and not self._agent.stopping

    def _stop_asked(self) -> None:
        log.info("asked to stop")
        self._events.put_nowait(events.StopAsked(self._config.drain_on_stop_s))

    async def _quiet(self) -> None:
        """Let what is nearly done finish, such as a write to the journal; what only waits for children is
        dropped."""
        if self._running:
            await asyncio.wait(self._running, timeout=_QUIET_S)
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    # The loop.

    async def _loop(self) -> None:
        self._events.put_nowait(events.Started())
        while not self._agent.finished and self._failure is None:
            event = await self._next_event()
            for effect in self._agent.handle(event, boottime()):
                self._carry_out(effect)
            if isinstance(event, events.SessionOpened | events.SessionClosed):
                self._tell_connection()
            self._vital_signs.handled()

    async def _next_event(self) -> Event:
        wake_at = self._agent.wake_at
        wait_s = None if wake_at is None else max(0.0, wake_at - boottime())
        try:
            return await asyncio.wait_for(self._events.get(), wait_s)
        except TimeoutError:
            return events.Ticked()

    def _tell_connection(self) -> None:
        if self._agent.connected:
            proxy = self._enrolment.proxy
            by = f" proxy={proxy}" if proxies.is_asked(proxy, self._enrolment.session_host) else ""
            log.info("session opened address=%s%s", self._enrolment.session_address, by)
        notify(status="connected" if self._agent.connected else "connecting")

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case effects.SendReport():
                self._link.send(effect)
            case effects.OpenSession():
                self._link.open(effect)
            case effects.CloseSession():
                self._link.close(effect)
            case effects.Note():
                log.info("%s%s", effect.message, f" attempt={effect.attempt_id}" if effect.attempt_id else "")
            case effects.Alarm(message):
                log.critical("%s", message)
            case effects.Finish():
                pass
            case (
                effects.RememberWish()
                | effects.ForgetWish()
                | effects.FetchRelease()
                | effects.StopFetching()
                | effects.AskUpdater()
            ):
                self._carrier.put(effect)
            case _:
                self._start(self._carried_out(effect))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception) and self._failure is None:
            # An effect that failed in a way nobody foresaw leaves the agent's picture of itself wrong: the
            # next
            # start reads it anew from the journal, and running children do not notice.
            self._failure = error
            self._events.put_nowait(events.Ticked())

    async def _carried_out(self, effect: Effect) -> None:
        match effect:
            case effects.JournalIntent(grant):
                await self._journal.write(effect)
                self._events.put_nowait(events.AttemptJournalled(grant.attempt_id))
            case effects.RecordOutcome(grant, outcome):
                self._logs.end(grant.attempt_id)
                await self._journal.write(effect)
                log.info(
                    "ended attempt=%s step=%s kind=%s outcome=%s code=%s",
                    grant.attempt_id,
                    grant.step_id,
                    grant.kind,
                    outcome.kind,
                    outcome.failure.code if outcome.failure else "",
                )
                self._events.put_nowait(events.OutcomeRecorded(grant.attempt_id))
            case effects.RequestIdentity():
                await self._renew(renewal.request(self._enrolment), events.CandidateReceived())
            case effects.KeepIdentity():
                await self._renew(asyncio.to_thread(identity_files.keep_candidate, self._state), None)
            case effects.DropCandidate():
                await asyncio.to_thread(identity_files.drop_candidate, self._state)
            case effects.MarkDraining() | effects.KeepHead():
                await self._journal.write(effect)
            case effects.CheckSignatures(shown):
                self._events.put_nowait(events.SignaturesChecked(shown, await signatures.are_good(shown)))
            case effects.ForgetAttempt(attempt_id):
                # Lost in a crash, the result would be told and acknowledged once more.
                self._journal.write_later(effect)
                await self._logs.left(attempt_id, _OUTPUT_WAIT_S)
                await self._runner.forget(attempt_id)
            case effects.StartChild(grant):
                await self._runner.start(grant)
                self._logs.follow(grant.attempt_id, self._runner.files_of(grant.attempt_id).stdout_path)
            case effects.AdoptChild(grant, may_begin):
                self._logs.follow(grant.attempt_id, self._runner.files_of(grant.attempt_id).stdout_path)
                await self._runner.adopt(grant, may_begin)
            case effects.StopChild(attempt_id, reason, at_once):
                await self._runner.stop(attempt_id, reason, at_once, self._config.stop_grace_s)
            case effects.WriteDeadline(attempt_id, deadline_at, disconnected_at):
                await self._runner.write_deadlines(attempt_id, Deadlines(deadline_at, disconnected_at))

    async def _renew(self, work: Coroutine[Any, Any, None], told: Event | None) -> None:
        """Do one thing for the identity; a failure is told, and the identity in use goes on."""
        try:
            await work
        except (renewal.RenewalFailed, OSError) as error:
            self._events.put_nowait(events.CandidateFailed(str(error), random.random()))
            return
        if told is not None:
            self._events.put_nowait(told)
        else:
            log.info("the identity was renewed")

    # The host's policy.

    def _settings(self) -> ChildSettings:
        # The host's own file, whatever it leaves to the release: each step asks it again.
        return ChildSettings(str(self._config.policy), self._config.environment, self._stop_at)

    def _read_settings(self) -> tuple[Config, Policy]:
        config = config_file.load(self._config_path, own_tree())
        policy = reading.load(config.policy, own_tree())
        logging.getLogger().setLevel(config.log_level.upper())
        return config, policy

    def _tell_settings(self) -> None:
        log.log(logging.WARNING if self._policy.is_missing else logging.INFO, "policy: %s", self._policy.origin)
        log.info("configuration: %s", self._config.origin(self._config_path))

    def _cgroup(self) -> None:
        self._cgroups.limits, self._cgroups.roots = self._policy.limits, self._policy.roots

    def _capabilities(self) -> Capabilities:
        return capabilities(self._config, self._policy, self._installed_kinds)

    async def _watch_files(self) -> None:
        async for _ in watch.changes(lambda: {self._config_path, self._config.policy}):
            self._reload()

    def _reload(self) -> None:
        """Take over what can change while steps run; a broken file changes nothing."""
        try:
            new, policy = self._read_settings()
        except (ConfigBroken, PolicyBroken) as error:
            log.error("not reloaded: %s", error)
            return
        at_start = ("probe_address", "probe_http_address", "runner_idle_s", "proxy")
        if any(getattr(new, key) != getattr(self._config, key) for key in at_start):
            log.warning("probe addresses, runner_idle_s and proxy take effect at the next start")
        self._config, self._policy = new, policy
        self._tell_settings()
        self._cgroup()
        log.info("reloaded")
        self._events.put_nowait(events.ConfigReloaded(self._capabilities()))

    # What others ask.

    def _sample(self) -> HostSample:
        pids = [] if self._host.pid is None else [self._host.pid]
        return self._sensor.sample([*pids, *self._runner.pids()])

    def _status(self) -> dict[str, Any]:
        agent = self._agent
        return {
            "agent_id": self._enrolment.agent_id,
            "name": self._enrolment.name,
            "session_address": self._enrolment.session_address,
            "proxy": str(self._enrolment.proxy or ""),
            "incarnation": agent.identity.incarnation,
            "version": agent.identity.agent_version,
            "release_digest": own_digest(),
            "pid": os.getpid(),
            "up_s": self._sensor.up_s(),
            "rss_bytes": self._sensor.own_rss_bytes(),
            "connected": agent.connected,
            "connected_s": agent.connected_s(boottime()),
            "heartbeat_s": agent.heartbeat_s,
            "draining": agent.draining,
            "stopping": agent.stopping,
            "slots": agent.capabilities.slots,
            "kinds": list(agent.capabilities.kinds),
            "runner_pid": self._host.pid,
            "journal_writing_s": self._journal.writing_for_s(),
            "release_state": agent.upgrading.status.state.value,
            "enforced": self._cgroups.told(),
            "settings": {"configuration": self._config.origin(self._config_path), "policy": self._policy.origin},
            "audit": {
                "witnessed": None if agent.witness.head is None else json.loads(head_to_text(agent.witness.head)),
                "trouble": agent.witness.trouble,
            },
            "held": [
                {
                    "attempt_id": held.grant.attempt_id,
                    "step": held.grant.step_name,
                    "kind": held.grant.kind,
                    "state": held.state.value,
                    "watermark": held.progress.watermark,
                    "total": held.progress.total,
                    "stage": held.progress.stage,
                }
                for held in agent.held.values()
            ],
        }


def capabilities(config: Config, policy: Policy, installed_kinds: Mapping[str, KindRule] | None) -> Capabilities:
    """What the host offers: installed step kinds (None: not known yet) under its policy, and its configuration."""
    kinds = policy.allowed_kinds(installed_kinds or {})
    known = installed_kinds is not None
    return Capabilities(kinds, policy.datastore_names, config.labels, config.slots, known)


class _Probe(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """The standard health service. Service "" answers for the daemon's loop, PROBED also needs a session."""

    def __init__(self, is_ready: Callable[[], bool]) -> None:
        self._is_ready = is_ready

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802 - named by the protocol
        if request.service not in ("", PROBED):
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no such service; known is {PROBED}")
        answer = health_pb2.HealthCheckResponse
        serving = request.service == "" or self._is_ready()
        return answer(status=answer.SERVING if serving else answer.NOT_SERVING)


async def _open_probe(address: str, is_ready: Callable[[], bool]) -> grpc.aio.Server:
    """Listen for probes on `address` (host:port on loopback, plain); raises http_probes.ProbeUnavailable."""
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(_Probe(is_ready), server)
    try:
        server.add_insecure_port(address)
    except RuntimeError as error:
        raise http_probes.ProbeUnavailable(f"probe.address {address} cannot be listened on: is it taken?") from error
    await server.start()
    return server


def run(state: Path, config_path: Path, stop_at: str, host_command: Sequence[str] | None = None) -> None:
    """Run a daemon to its end. Raises what `Daemon` and `Daemon.run` raise."""
    daemon_loop = _loop_factory()
    with asyncio.Runner(loop_factory=daemon_loop) as runner:
        runner.run(_run(state, config_path, stop_at, host_command))


async def _run(state: Path, config_path: Path, stop_at: str, host_command: Sequence[str] | None) -> None:
    await Daemon(state, config_path, stop_at, host_command).run()


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
