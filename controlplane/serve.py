"""The composition root: the only file that knows every layer. Builds a control plane, runs it, stops it."""

import asyncio
import difflib
import json
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

from controlplane import durable
from controlplane.admin.backup import back_up
from controlplane.config import Config, ConfigError, host_port, reached_at
from controlplane.host.service_notices import feed_watchdog, notify
from controlplane.host.state_guard import StateGuard
from controlplane.host.state_layout import (
    ARCHIVE_DIR,
    BLACK_BOXES_DIR,
    IDENTITY_DIR,
    LISTENING_FILE,
    OUTPUTS_DIR,
    RELEASES_DIR,
    STORE_FILE,
)
from controlplane.identity.audit_key import AuditKey, head_is_signed
from controlplane.identity.authorities import Authorities
from controlplane.identity.roles import OPERATOR_ROLES, RULES
from controlplane.loops.agent_watcher import AgentWatcher
from controlplane.loops.audit_checker import AuditChecker
from controlplane.loops.audit_sealer import AuditSealer
from controlplane.loops.backup_keeper import BackupKeeper
from controlplane.loops.clean_up_planner import CleanUpPlanner
from controlplane.loops.dispatcher import Dispatcher
from controlplane.loops.driver import Driver, Loop
from controlplane.loops.health_teller import HealthTeller
from controlplane.loops.history_keeper import HistoryKeeper
from controlplane.loops.identity_renewer import IdentityRenewer
from controlplane.loops.lease_reaper import LeaseReaper
from controlplane.loops.rollout_pilot import RolloutPilot
from controlplane.loops.store_prober import StoreProber
from controlplane.loops.value_keeper import ValueKeeper
from controlplane.loops.workflow_advancer import WorkflowAdvancer
from controlplane.releases.repository import Repository
from controlplane.rpc.access.scoping import Scoping
from controlplane.rpc.access.servicer import AccessServicer, AccessServices
from controlplane.rpc.agents.black_box_servicer import BlackBoxServicer
from controlplane.rpc.agents.servicer import AgentServicer
from controlplane.rpc.audit.servicer import AuditServicer
from controlplane.rpc.http_probes import HttpProbes
from controlplane.rpc.interceptors import Gate, Guards
from controlplane.rpc.listening_identity import ListeningIdentity
from controlplane.rpc.operators.servicer import OperatorServicer, Services
from controlplane.rpc.rollouts.repository_servicer import FetchLimits, RepositoryServicer
from controlplane.rpc.rollouts.servicer import FleetServicer, FleetServices
from controlplane.rpc.server import Addresses, Listeners, Servicers
from controlplane.service.access.approvals import Approvals
from controlplane.service.access.authority_change import AuthorityChange
from controlplane.service.access.identities import Identities
from controlplane.service.access.joining import Joining
from controlplane.service.access.operators import Operators
from controlplane.service.access.ownership import Ownership
from controlplane.service.access.refusals import Refusals
from controlplane.service.agents.messages import SessionSettings
from controlplane.service.agents.sessions import Sessions
from controlplane.service.audit.checking import LogCheck
from controlplane.service.audit.log import AuditLog
from controlplane.service.audit.queries import Auditing
from controlplane.service.audit.retention import History
from controlplane.service.audit.witnessing import Witnesses
from controlplane.service.events.log_writer import Teller
from controlplane.service.health.loop_health import LoopHealth
from controlplane.service.health.metrics import Metrics
from controlplane.service.health.readiness import Readiness, WatchedLoop
from controlplane.service.health.store_proof import StoreProof
from controlplane.service.inventory.inventory import Inventory
from controlplane.service.migrations.clean_up import CleanUps
from controlplane.service.migrations.migrations import Migrations
from controlplane.service.migrations.queries import Queries
from controlplane.service.rollouts.black_boxes import BlackBoxes
from controlplane.service.rollouts.healthy_clock import HealthyClock
from controlplane.service.rollouts.hosts import Hosts
from controlplane.service.rollouts.release_log import ReleaseLog
from controlplane.service.rollouts.rollouts import Rollouts
from controlplane.service.rollouts.views import RolloutViews
from controlplane.service.signals import Signal
from controlplane.service.steps.outputs import Outputs
from controlplane.store.port import StoreFailed
from controlplane.store.sqlite.store import SqliteStore

_log = logging.getLogger("haulier.controlplane")


def software_version() -> str:
    """Return the installed version; "0" where the code runs from a bare tree."""
    try:
        return version("haulier")
    except PackageNotFoundError:
        return "0"


def steady_clock(not_before_at: float) -> Callable[[], float]:
    """Return a clock that never goes back: wall time read once, then the monotonic clock.

    It starts at ``not_before_at`` (the newest instant in the store) if the clock is behind that, so that a host whose
    date was set back cannot make ages negative.
    """
    anchor = max(time.time(), not_before_at) - time.clock_gettime(time.CLOCK_BOOTTIME)
    return lambda: anchor + time.clock_gettime(time.CLOCK_BOOTTIME)


class ControlPlane:
    """Everything that one process of the control plane holds."""

    def __init__(self, config: Config) -> None:
        """Open the state and bind the listeners. Raises the layers' own errors, each fit for a person."""
        self.config = config
        authorities = Authorities.load(config.state_dir / IDENTITY_DIR)
        audit_key = AuditKey.load(config.state_dir / IDENTITY_DIR)
        self._guard = StateGuard(config.state_dir)
        try:
            if not (config.state_dir / STORE_FILE).exists():
                raise StoreFailed(
                    f"{config.state_dir} has no store any more: `haulier-controlplane restore` puts a backup there"
                )
            self.store = SqliteStore(config.state_dir / STORE_FILE)
            try:
                self._build(authorities, audit_key)
            except BaseException:
                # Nobody has the control plane yet who could close it.
                self.store.close()
                raise
        except BaseException:
            # The same, for the state directory that no other process may use meanwhile.
            self._guard.release()
            raise

    def _build(self, authorities: Authorities, audit_key: AuditKey) -> None:
        """Put the layers together on an open store."""
        config, state = self.config, self.config.state_dir
        self.clock = steady_clock(self.store.newest_at())
        self.changed = Signal()
        self.sessions = Sessions(self.store, self.clock, _session_settings(config), self.changed)
        self.approvals = _approvals(self.store, self.clock, config)
        self.inventory = Inventory(self.store, self.clock, self.sessions, config.migrations_max, self.approvals)
        self.identities = Identities(
            self.store, self.clock, time.time, authorities, os.urandom, self.sessions, config.agent_certificate_ttl_s
        )
        self.joining = Joining(self.store, self.clock, self.identities, os.urandom)
        self.operators = Operators(self.store, self.clock, os.urandom)
        self.outputs = outputs = Outputs(self.store, state / OUTPUTS_DIR)
        self._build_releases()
        self._build_audit(audit_key)
        self._build_keepers()
        names = {config.advertised_host, socket.gethostname(), *config.extra_names}
        listening = ListeningIdentity(authorities, names, time.time, os.urandom)
        self._build_probes(listening)
        self.driver = Driver(self._loops(), self.clock)
        self.readiness.loops = [WatchedLoop(loop.health, loop.period_s) for loop in self.driver.loops]
        version, joining, identities = software_version(), self.joining, self.identities
        self.agent_servicer = AgentServicer(self.sessions, joining, identities, outputs, "", version, self.witnesses)
        services = Services(
            sessions=self.sessions,
            inventory=self.inventory,
            migrations=Migrations(self.store, self.clock, self.sessions, self.approvals),
            queries=Queries(self.store, self.clock, self.sessions),
            joining=self.joining,
            outputs=outputs,
            clean_ups=self.clean_ups,
            loops=[loop.health for loop in self.driver.loops],
            version=software_version(),
            audit_troubles=self.audit.troubles,
            counts=self.audit.counts,
        )
        self.operator_servicer = OperatorServicer(services)
        limits = FetchLimits(config.release_bytes_per_s_max, config.release_bytes_per_s_agent_max)
        self.fleet_servicer = self._fleet_servicer(services.queries)
        guards = self._build_access(services.queries)
        servicers = Servicers(
            self.agent_servicer,
            self.operator_servicer,
            self.access_servicer,
            RepositoryServicer(self.repository, ReleaseLog(self.store, self.clock), limits, time.time),
            self.fleet_servicer,
            AuditServicer(Auditing(self.store, self.audit, self.witnesses, self.log_check)),
            BlackBoxServicer(BlackBoxes(self.store, state / BLACK_BOXES_DIR)),
        )
        addresses = Addresses(config.agents_listen, config.public_listen, config.probes_listen)
        self.listeners = Listeners(
            addresses,
            listening,
            lambda by_certificate: Gate(guards, by_certificate=by_certificate),
            servicers,
        )
        self.agent_servicer.session_address = host_port(config.advertised_host, self.listeners.agents_port)
        self.access_servicer.public_address = host_port(config.advertised_host, self.listeners.public_port)
        self.operator_servicer.public_address = host_port(config.advertised_host, self.listeners.public_port)

    def _build_keepers(self) -> None:
        config = self.config
        terms = config.staged_kept_s, config.former_kept_s, config.history_kept_s
        self.clean_ups = CleanUps(self.store, self.clock, self.sessions, *terms, self.approvals)

    def _build_releases(self) -> None:
        self.repository = Repository(self.config.state_dir / RELEASES_DIR)
        if self.repository.broken:
            _log.error("no release is served: %s", self.repository.broken)
        healthy = HealthyClock(self.sessions.settings.late_s, self._brisk)
        find, version = self.repository.find, software_version()
        self.rollouts = Rollouts(self.store, self.clock, self.sessions, find, version, healthy)

    def _fleet_servicer(self, queries: Queries) -> FleetServicer:
        hosts = Hosts(self.store, self.clock, self.sessions, self.rollouts, self.identities)
        views = RolloutViews(self.store, self.clock, self.rollouts)
        return FleetServicer(FleetServices(self.sessions, self.rollouts, views, hosts, queries))

    def _build_audit(self, key: AuditKey) -> None:
        teller = Teller(self.store)
        self.audit = AuditLog(self.store, self.clock, key, head_is_signed, self.changed, teller=teller)
        self.log_check = LogCheck(self.store, self.audit, time.monotonic)
        self.witnesses = Witnesses(self.audit)

    def _build_probes(self, listening: ListeningIdentity) -> None:
        self.store_proof = StoreProof(self.store, self.clock, time.monotonic)
        troubles, state = self.audit.troubles, self.config.state_dir
        self.readiness = Readiness(self.clock, state, self.store_proof, troubles, listening.ends_in_s)
        metrics = Metrics(self.store, self.clock, self.readiness, self.store_proof, self.audit.counts, self.sessions)
        self.http_probes = HttpProbes(self.readiness, metrics)

    def _history(self) -> History:
        config, archive = self.config, self.config.state_dir / ARCHIVE_DIR
        kept_s, events_min = config.history_kept_s, config.archive_events_min
        return History(self.store, self.clock, self.audit, self.outputs, archive, kept_s, events_min)

    async def _tell_ready(self, is_ready: bool) -> None:
        await self.listeners.tell_ready(is_ready=is_ready)

    def _backup_keeper(self) -> BackupKeeper:
        config, store = self.config, self.config.state_dir / STORE_FILE
        every_s, kept = config.backup_every_s, config.backups_kept
        return BackupKeeper(config.backup_dir, every_s, kept, lambda file: back_up(store, None, file), time.time)

    def _build_access(self, queries: Queries) -> Guards:
        """Put together who may do what, and the servicer that changes it."""
        change = AuthorityChange(self.store, self.clock, self.identities, os.urandom)
        self.refusals = Refusals(self.store, self.clock, self.sessions)
        self.access_servicer = AccessServicer(
            AccessServices(self.identities, change, self.operators, self.approvals, queries)
        )
        scoping = Scoping(Ownership(self.store))
        return Guards(self.identities, self.operators, scoping, self.approvals, self.refusals)

    def _loops(self) -> list[Loop]:
        store, clock, sessions = self.store, self.clock, self.sessions
        return [
            Loop("lease_reaper", LeaseReaper(store, clock, sessions).run, 1.0),
            Loop("agent_watcher", AgentWatcher(store, clock, sessions).run, 1.0),
            Loop("dispatcher", Dispatcher(store, clock, sessions).run, 0.5),
            Loop("identity_renewer", IdentityRenewer(clock, sessions, self.identities).run, 1.0),
            Loop("workflow_advancer", WorkflowAdvancer(store, clock, sessions).run, 60.0),
            Loop("rollout_pilot", RolloutPilot(self.rollouts).run, 1.0),
            Loop("backup_keeper", self._backup_keeper().run, 60.0),
            Loop("clean_up_planner", CleanUpPlanner(self.clean_ups).run, 10.0),
            Loop("history_keeper", HistoryKeeper(self._history()).run, 30.0),
            Loop("value_keeper", ValueKeeper(store, clock).run, 60.0),
            Loop("store_prober", StoreProber(self.store_proof).run, 5.0),
            Loop("health_teller", HealthTeller(self.readiness, self._tell_ready).run, 1.0),
            Loop("audit_sealer", AuditSealer(self.audit).run, 1.0),
            Loop("audit_checker", AuditChecker(self.log_check).run, 1.0),
        ]

    def _brisk(self) -> list[LoopHealth]:
        """Return the loops that run every second or so: when they are late, heartbeats wait too.

        Not the one that asks: a look at very many hosts takes its time.
        """
        brisk = [loop.health for loop in self.driver.loops if loop.period_s <= 1.0]
        return [health for health in brisk if health.name != "rollout_pilot"]

    async def start(self) -> None:
        """Take over the state, start the loops, open the servicers. Raises ``StoreFailed``."""
        await self.sessions.start(await self.inventory.limits())
        await self.identities.start()
        self.driver.start()
        await self.listeners.start()
        self.readiness.listening = True
        if self.config.probes_http_listen:
            await self.http_probes.start(self.config.probes_http_listen)
        ports = {
            "http": self.http_probes.port,
            "agents": self.listeners.agents_port,
            "public": self.listeners.public_port,
            "probes": self.listeners.probes_port,
            "pid": os.getpid(),
        }
        where = {**ports, "http_host": reached_at(self.config.probes_http_listen)}
        # Written at each start: what a loss of power takes back is void by then.
        durable.replace(self.config.state_dir / LISTENING_FILE, json.dumps(where).encode("utf-8"), synced=False)
        _log.info("serving: %s", _places(self.config, ports))

    async def stop(self) -> None:
        """Close the servicers, finish what was asked, close the store. Raises ``StoreFailed`` after all of it."""
        self.readiness.listening = False
        self.agent_servicer.end_sessions()
        self.operator_servicer.end_streams()
        self.fleet_servicer.end_streams()
        await self.listeners.stop(self.config.stop_grace_s)
        await self.http_probes.stop()
        await self.driver.stop()
        try:
            await self.sessions.flush()
        finally:
            self.store.close()
            (self.config.state_dir / LISTENING_FILE).unlink(missing_ok=True)
            self._guard.release()


def _places(config: Config, ports: Mapping[str, int | None]) -> str:
    """Name every port that is open, with its address and what it is for."""
    listeners = {
        "agents": (config.agents_listen, "TLS, agents with certificates"),
        "public": (config.public_listen, "TLS, people and hosts that join"),
        "probes": (config.probes_listen, "gRPC health"),
        "http": (config.probes_http_listen, "HTTP probes and metrics"),
    }
    open_ones = [(name, listen.rpartition(":")[0], what) for name, (listen, what) in listeners.items() if listen]
    return "; ".join(f"{name} {host}:{ports[name]} ({what})" for name, host, what in open_ones)


def _session_settings(config: Config) -> SessionSettings:
    return SessionSettings(
        ttl_s=config.lease_ttl_s,
        heartbeat_s=config.heartbeat_s,
        heartbeat_grace_s=config.heartbeat_grace_s,
        lost_after_s=config.lost_after_s,
        lock_delay_s=config.lock_delay_s,
        disconnected_max_s=config.disconnected_max_s,
    )


def _approvals(store: SqliteStore, clock: Callable[[], float], config: Config) -> Approvals:
    _check_methods(config.two_persons)
    return Approvals(store, clock, config.two_persons, config.approval_ttl_s)


def _check_methods(chosen: Sequence[str]) -> None:
    """Refuse a rule of two persons over a method that there is not: it would hold nobody back."""
    known = sorted({method.rpartition("/")[2] for method, roles in RULES.items() if roles & OPERATOR_ROLES})
    for entry in chosen:
        name = entry.partition(":")[0]
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise ConfigError(f"two_persons: operators have no method {name}; {hint}")


async def serve(config: Config) -> None:
    """Run a control plane until SIGTERM or SIGINT."""
    plane = ControlPlane(config)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    try:
        await plane.start()
        notify("READY=1")
        feeding = asyncio.create_task(feed_watchdog(plane.driver.stuck))
        await stopping.wait()
        feeding.cancel()
        notify("STOPPING=1")
        _log.info("stopping")
    finally:
        await plane.stop()
