"""The servicer for people's tools. Every method: read the request, ask a service, write the answer."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from haulier.v1 import operator_pb2 as pb
from haulier.v1 import operator_pb2_grpc

from controlplane.core.access import approvals as gating
from controlplane.core.migrations.deciding import ABANDON, ACCEPT
from controlplane.core.model import Agent
from controlplane.core.states import AgentState
from controlplane.rpc.calls.callers import CALLER, caller_name, sees_values
from controlplane.rpc.calls.requests import required
from controlplane.rpc.operators import selecting, translate
from controlplane.service.access.joining import Joining
from controlplane.service.agents.sessions import Sessions
from controlplane.service.errors import NotFound
from controlplane.service.events.counts import BAD_ENDS, GOOD_ENDS, EventCounts
from controlplane.service.health.loop_health import LoopHealth
from controlplane.service.inventory.inventory import Inventory
from controlplane.service.migrations.clean_up import CleanUps
from controlplane.service.migrations.migrations import Acted, Migrations
from controlplane.service.migrations.queries import Queries
from controlplane.service.steps.outputs import Outputs

PAGE_MAX = 1000
TAIL_MAX = 100_000
FOLLOW_LOOK_S = 1.0
LATE_OUTPUT_S = 2.0
OUTPUT_BYTES_AT_ONCE = 32 * 1024


@dataclass(frozen=True, slots=True)
class Services:
    """What the servicer calls."""

    sessions: Sessions
    inventory: Inventory
    migrations: Migrations
    queries: Queries
    joining: Joining
    outputs: Outputs
    clean_ups: CleanUps
    loops: Sequence[LoopHealth]
    version: str
    audit_troubles: Sequence[str] = ()
    counts: EventCounts = field(default_factory=EventCounts)


class OperatorServicer(operator_pb2_grpc.OperatorServiceServicer):
    """See ``haulier.v1.OperatorService``; the errors of the services become statuses in ``answers.answering``."""

    def __init__(self, services: Services) -> None:
        self._s = services
        self.public_address = ""  # where newcomers find this service; known once the port is bound
        self._ending = False

    def end_streams(self) -> None:
        """Let whoever follows events or output go after what there is: the control plane stops."""
        self._ending = True
        self._s.sessions.changed.ring()
        self._s.outputs.changed.ring()

    async def ValidateManifests(  # noqa: N802
        self, request: pb.ValidateManifestsRequest, context: Any
    ) -> pb.ValidateManifestsResponse:
        """Check manifests without keeping them."""
        applied = await self._s.inventory.validate(translate.files_of(request.files), dict(request.prune_labels))
        return pb.ValidateManifestsResponse(
            findings=map(translate.finding, applied.findings),
            outcomes=translate.outcomes(applied),
            warnings=map(translate.finding, applied.warnings),
        )

    async def ApplyManifests(  # noqa: N802
        self, request: pb.ApplyManifestsRequest, context: Any
    ) -> pb.ApplyManifestsResponse:
        """Keep all manifests or none."""
        await required(context, "request_id", request.request_id)
        applied = await self._s.inventory.apply(
            translate.files_of(request.files), request.request_id, caller_name(), dict(request.prune_labels)
        )
        asked = applied.asked
        return pb.ApplyManifestsResponse(
            findings=map(translate.finding, applied.findings),
            outcomes=translate.outcomes(applied),
            warnings=map(translate.finding, applied.warnings),
            approval_id=asked.approval.id if asked else "",
            waiting_for_approval=applied.waiting,
            approval_expires_in_s=asked.approval.expires_at - self._s.queries.now() if asked else 0.0,
        )

    async def ListManifests(  # noqa: N802
        self, request: pb.ListManifestsRequest, context: Any
    ) -> pb.ListManifestsResponse:
        """List applied manifests of a kind."""
        await required(context, "kind", request.kind)
        self._s.inventory.require_kind(request.kind)
        limit = _page(request.page_size)
        rows = await self._s.inventory.page(request.kind, request.page_token, limit + 1)
        now = self._s.queries.now()
        return pb.ListManifestsResponse(
            manifests=[translate.manifest(row, now) for row in rows[:limit]],
            next_page_token=rows[limit - 1].name if len(rows) > limit else "",
        )

    async def GetManifest(self, request: pb.GetManifestRequest, context: Any) -> pb.GetManifestResponse:  # noqa: N802
        """Show one manifest."""
        self._s.inventory.require_kind(request.kind)
        row = await self._s.inventory.get(request.kind, request.name)
        if row is None:
            raise await self._s.inventory.missing(request.kind, request.name)
        return pb.GetManifestResponse(
            manifest=translate.manifest(row, self._s.queries.now()), metadata_json=row.metadata
        )

    async def DeleteManifest(  # noqa: N802
        self, request: pb.DeleteManifestRequest, context: Any
    ) -> pb.DeleteManifestResponse:
        """Delete one manifest."""
        await required(context, "kind", request.kind)
        await required(context, "name", request.name)
        gone = await self._s.inventory.delete(request.kind, request.name, by=caller_name())
        return pb.DeleteManifestResponse(manifest=translate.manifest(gone, self._s.queries.now()))

    async def StartMigrations(  # noqa: N802
        self, request: pb.StartMigrationsRequest, context: Any
    ) -> pb.StartMigrationsResponse:
        """Start migrations."""
        await required(context, "request_id", request.request_id)
        acted = await self._s.migrations.act(selecting.call_of(gating.START, request))
        return pb.StartMigrationsResponse(
            started=await self._summaries(request, acted),
            already_started=acted.already,
            held=selecting.held(acted),
            outcome=selecting.outcome(acted),
            warnings=map(translate.finding, acted.warnings),
        )

    async def ListMigrations(  # noqa: N802
        self, request: pb.ListMigrationsRequest, context: Any
    ) -> pb.ListMigrationsResponse:
        """List migrations."""
        limit = _page(request.page_size)
        rows = await self._s.queries.migrations(
            request.states, request.page_token, limit + 1, every_iteration=request.every_iteration
        )
        now = self._s.queries.now()
        return pb.ListMigrationsResponse(
            migrations=[translate.migration(row, now) for row in rows[:limit]],
            next_page_token=rows[limit - 1].id if len(rows) > limit else "",
        )

    async def GetMigration(self, request: pb.GetMigrationRequest, context: Any) -> pb.GetMigrationResponse:  # noqa: N802
        """Show one migration."""
        found = await self._s.queries.migration(request.migration, request.iteration, values=sees_values())
        return translate.detail(found, await self._s.clean_ups.left_by(found.summary.id), self._s.queries.now())

    async def CancelMigration(  # noqa: N802
        self, request: pb.CancelMigrationRequest, context: Any
    ) -> pb.CancelMigrationResponse:
        """Stop migrations."""
        await required(context, "reason", request.reason)
        return pb.CancelMigrationResponse(**await self._act(gating.CANCEL, request, context))

    async def RetryMigration(  # noqa: N802
        self, request: pb.RetryMigrationRequest, context: Any
    ) -> pb.RetryMigrationResponse:
        """Let failed or stuck migrations go on."""
        return pb.RetryMigrationResponse(**await self._act(gating.RETRY, request, context))

    async def AcceptMigration(  # noqa: N802
        self, request: pb.AcceptMigrationRequest, context: Any
    ) -> pb.AcceptMigrationResponse:
        """End a migration: what is there is right."""
        await required(context, "reason", request.reason)
        ended = await self._s.migrations.decide(request.migration, ACCEPT, request.reason, caller_name())
        return pb.AcceptMigrationResponse(migration=await self._summary(ended))

    async def AbandonMigration(  # noqa: N802
        self, request: pb.AbandonMigrationRequest, context: Any
    ) -> pb.AbandonMigrationResponse:
        """End a migration: it is given up."""
        await required(context, "reason", request.reason)
        ended = await self._s.migrations.decide(request.migration, ABANDON, request.reason, caller_name())
        return pb.AbandonMigrationResponse(migration=await self._summary(ended))

    async def RollbackMigration(  # noqa: N802
        self, request: pb.RollbackMigrationRequest, context: Any
    ) -> pb.RollbackMigrationResponse:
        """Undo migrations."""
        await required(context, "reason", request.reason)
        return pb.RollbackMigrationResponse(**await self._act(gating.ROLLBACK, request, context))

    async def CleanUpMigrations(  # noqa: N802
        self, request: pb.CleanUpMigrationsRequest, context: Any
    ) -> pb.CleanUpMigrationsResponse:
        """Clean up after migrations."""
        if not request.all:
            await required(context, "migrations", " ".join(request.migrations))
        names = None if request.all else request.migrations
        asked = await self._s.clean_ups.ask(names, by=caller_name())
        return pb.CleanUpMigrationsResponse(
            cleaning=[await self._summary(migration_id) for migration_id in asked.migration_ids], clean=asked.clean
        )

    async def Why(self, request: pb.WhyRequest, context: Any) -> pb.WhyResponse:  # noqa: N802
        """Name what holds a step or migration."""
        await required(context, "subject", request.subject)
        queries = self._s.queries
        answers, row = await queries.why(request.subject), await queries.summary_of(request.subject)
        return translate.holds(answers, translate.migration(row, queries.now()))

    async def ListAgents(self, request: pb.ListAgentsRequest, context: Any) -> pb.ListAgentsResponse:  # noqa: N802
        """List agents."""
        now = self._s.queries.now()
        rows = await self._s.queries.agents()
        return pb.ListAgentsResponse(agents=[translate.agent(*row, now) for row in rows])

    async def DrainAgent(self, request: pb.DrainAgentRequest, context: Any) -> pb.DrainAgentResponse:  # noqa: N802
        """Drain an agent."""
        await required(context, "reason", request.reason)
        return pb.DrainAgentResponse(agent=await self._set(request.agent, AgentState.DRAINING, request.reason))

    async def ResumeAgent(self, request: pb.ResumeAgentRequest, context: Any) -> pb.ResumeAgentResponse:  # noqa: N802
        """Let an agent take work again."""
        return pb.ResumeAgentResponse(agent=await self._set(request.agent, AgentState.SERVING, ""))

    async def CreateJoinToken(  # noqa: N802
        self, request: pb.CreateJoinTokenRequest, context: Any
    ) -> pb.CreateJoinTokenResponse:
        """Make a join token."""
        token, ttl_s = await self._s.joining.create_token(
            request.agent_name, request.ttl_s, self.public_address, by=caller_name()
        )
        return pb.CreateJoinTokenResponse(token=token, ttl_s=ttl_s)

    async def WatchEvents(  # noqa: N802
        self, request: pb.WatchEventsRequest, context: Any
    ) -> AsyncIterator[pb.WatchEventsResponse]:
        """Stream events."""
        log = self._s.queries.event_reading()
        hints = not CALLER.get().owners
        wanted = await log.wanted(request.subject, request.types, request.since_ago_s, request.since_at, hints=hints)
        position = await log.begin(wanted, request.after)
        with self._s.sessions.changed.watch() as watch:
            if request.tail:
                newest = await log.newest(wanted, min(request.tail, TAIL_MAX))
                names = await log.names(newest)
                for position, fact in newest:
                    yield translate.event(position, fact, names[position])
                if not request.follow:
                    return
            while True:
                found, position, more = await log.after(position, wanted)
                names = await log.names(found)
                for at, fact in found:
                    yield translate.event(at, fact, names[at])
                if more:
                    continue
                if not request.follow or self._ending:
                    return
                await watch.rung(FOLLOW_LOOK_S)

    async def TailLogs(  # noqa: N802
        self, request: pb.TailLogsRequest, context: Any
    ) -> AsyncIterator[pb.TailLogsResponse]:
        """Stream an attempt's output."""
        outputs = self._s.outputs
        if not await outputs.known(request.attempt_id):
            raise NotFound(f"there is no attempt {request.attempt_id}: see `haulier migration get NAME`")
        position = 0
        clock = asyncio.get_running_loop().time
        gives_up_at: float | None = None
        with outputs.changed.watch() as watch:
            while True:
                over = self._ending or outputs.over(request.attempt_id)
                piece = await outputs.read(request.attempt_id, position, OUTPUT_BYTES_AT_ONCE)
                position = piece.position
                if piece.data:
                    yield pb.TailLogsResponse(data=piece.data, dropped_bytes=piece.dropped_bytes)
                    continue
                if not request.follow or over or (gives_up_at is not None and clock() >= gives_up_at):
                    ended = await self._s.queries.ended_attempt(request.attempt_id)
                    if ended is not None:
                        yield translate.end_of_output(ended)
                    return
                if gives_up_at is None and not await outputs.running(request.attempt_id):
                    # Its last piece may be on its way, or may never come: its agent is lost, or we were restarted.
                    gives_up_at = clock() + LATE_OUTPUT_S
                await watch.rung(FOLLOW_LOOK_S)

    async def GetStatus(self, request: pb.GetStatusRequest, context: Any) -> pb.GetStatusResponse:  # noqa: N802
        """Show the control plane."""
        counts = await self._s.queries.counts()
        now = self._s.queries.now()
        return pb.GetStatusResponse(
            version=self._s.version,
            store_generation=await self._s.queries.generation(),
            loops=[translate.loop(loop, now) for loop in self._s.loops],
            audit_troubles=self._s.audit_troubles,
            recent_successes=self._s.counts.lately(GOOD_ENDS, now),
            recent_failures=self._s.counts.lately(BAD_ENDS, now),
            leftovers=translate.leftovers_status(await self._s.clean_ups.leftovers(), now),
            **counts._asdict(),
        )

    async def _act(self, method: str, request: Any, context: Any) -> dict[str, Any]:
        """Do what is asked of one migration or of a selection; return the fields of the answer."""
        if not request.HasField("selection"):
            await required(context, "migration", request.migration)
        acted = await self._s.migrations.act(selecting.call_of(method, request))
        fields: dict[str, Any] = {"outcome": selecting.outcome(acted)}
        if request.HasField("selection"):
            fields["migrations"] = await self._summaries(request, acted)
        elif not request.dry_run:
            done = acted.migration_ids or [await self._s.migrations.id_of(request.migration)]
            fields["migration"] = await self._summary(done[0])
        if method == gating.RETRY:
            fields |= {"begins_again_because": acted.again, "taken": map(translate.taken, acted.taken)}
        return fields

    async def _summaries(self, request: Any, acted: Acted) -> list[pb.MigrationSummary]:
        # What a dry run would start is not there.
        return [] if request.dry_run else [await self._summary(migration_id) for migration_id in acted.migration_ids]

    async def _summary(self, migration_id: str) -> pb.MigrationSummary:
        return translate.migration(await self._s.queries.summary(migration_id), self._s.queries.now())

    async def _set(self, name: str, state: AgentState, reason: str) -> pb.AgentView:
        agent: Agent | None = await self._s.sessions.set_state(name, state, reason, by=caller_name())
        if agent is None:
            raise await self._s.queries.missing_agent(name)
        leases = self._s.sessions.held_by(agent.id)
        return translate.agent(agent, "", leases, self._s.queries.now())


def _page(asked: int) -> int:
    return min(asked or PAGE_MAX, PAGE_MAX)
