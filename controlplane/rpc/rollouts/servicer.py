"""The servicer for rollouts and what operators do with hosts. Every method: read the request, ask a service, answer."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
from haulier.v1 import fleet_pb2 as pb
from haulier.v1 import fleet_pb2_grpc, operator_pb2

from controlplane.core.hosts import Facts, Running
from controlplane.core.model import Agent
from controlplane.rpc.calls.callers import caller_name
from controlplane.rpc.operators.translate import agent as agent_view
from controlplane.rpc.rollouts import translate
from controlplane.service.agents.sessions import Sessions
from controlplane.service.migrations.queries import Queries
from controlplane.service.rollouts.hosts import Hosts
from controlplane.service.rollouts.rollouts import Rollouts
from controlplane.service.rollouts.views import AT_REST, RolloutViews

PAGE_MAX = 100
# A watcher hears of changes no faster than this, however many hosts move.
WATCH_PACE_S = 0.5
WATCH_LOOK_S = 2.0


@dataclass(frozen=True, slots=True)
class FleetServices:
    """What the servicer calls."""

    sessions: Sessions
    rollouts: Rollouts
    views: RolloutViews
    hosts: Hosts
    queries: Queries


class FleetServicer(fleet_pb2_grpc.FleetServiceServicer):
    """See ``haulier.v1.FleetService``; errors of the services become statuses in the interceptor."""

    def __init__(self, services: FleetServices) -> None:
        self._s = services
        self._ending = False

    def end_streams(self) -> None:
        """Let whoever watches a rollout go: the control plane stops."""
        self._ending = True
        self._s.sessions.changed.ring()

    async def CreateRollout(  # noqa: N802
        self, request: pb.CreateRolloutRequest, context: Any
    ) -> pb.CreateRolloutResponse:
        """Make a rollout."""
        await _require(context, "fleet", request.fleet)
        await _require(context, "request_id", request.request_id)
        made = await self._s.rollouts.create(
            request.fleet,
            request.version,
            request.request_id,
            start=not request.propose,
            supersede=request.supersede,
            reason=request.reason,
            by=caller_name(),
        )
        return pb.CreateRolloutResponse(rollout=await self._view(made))

    async def GetRollout(self, request: pb.GetRolloutRequest, context: Any) -> pb.GetRolloutResponse:  # noqa: N802
        """Show a rollout."""
        await _require(context, "rollout", request.rollout)
        response = pb.GetRolloutResponse(rollout=await self._view(request.rollout))
        if request.with_hosts:
            response.hosts.extend(map(translate.rollout_host, await self._s.views.hosts(request.rollout)))
        return response

    async def ListRollouts(  # noqa: N802
        self, request: pb.ListRolloutsRequest, context: Any
    ) -> pb.ListRolloutsResponse:
        """List rollouts."""
        limit = min(request.page_size or PAGE_MAX, PAGE_MAX)
        now = self._s.views.now()
        found = await self._s.views.summaries(request.fleet, limit)
        return pb.ListRolloutsResponse(rollouts=[translate.rollout(each, now) for each in found])

    async def WatchRollout(  # noqa: N802
        self, request: pb.WatchRolloutRequest, context: Any
    ) -> AsyncIterator[pb.WatchRolloutResponse]:
        """Stream a rollout until it is at rest."""
        await _require(context, "rollout", request.rollout)
        subject = (await self._s.views.summary(request.rollout)).rollout.id
        said = None
        with self._s.sessions.changed.watch() as watch:
            while True:
                summary = await self._s.views.summary(subject)
                view = translate.rollout(summary, self._s.views.now())
                if view != said:
                    yield pb.WatchRolloutResponse(rollout=view)
                    said = view
                if summary.rollout.state in AT_REST or self._ending:
                    return
                await asyncio.sleep(WATCH_PACE_S)
                await watch.rung(WATCH_LOOK_S)

    async def StartRollout(  # noqa: N802
        self, request: pb.StartRolloutRequest, context: Any
    ) -> pb.StartRolloutResponse:
        """Start a proposed rollout."""
        return pb.StartRolloutResponse(rollout=await self._steer(request.rollout, "RolloutStarted", "", context))

    async def PauseRollout(  # noqa: N802
        self, request: pb.PauseRolloutRequest, context: Any
    ) -> pb.PauseRolloutResponse:
        """Pause a rollout."""
        await _require(context, "reason", request.reason)
        view = await self._steer(request.rollout, "RolloutPaused", request.reason, context)
        return pb.PauseRolloutResponse(rollout=view)

    async def ResumeRollout(  # noqa: N802
        self, request: pb.ResumeRolloutRequest, context: Any
    ) -> pb.ResumeRolloutResponse:
        """Go on with a rollout."""
        view = await self._steer(request.rollout, "RolloutResumed", request.reason, context)
        return pb.ResumeRolloutResponse(rollout=view)

    async def CancelRollout(  # noqa: N802
        self, request: pb.CancelRolloutRequest, context: Any
    ) -> pb.CancelRolloutResponse:
        """Cancel a rollout."""
        await _require(context, "reason", request.reason)
        view = await self._steer(request.rollout, "RolloutCancelled", request.reason, context)
        return pb.CancelRolloutResponse(rollout=view)

    async def ReturnRollout(  # noqa: N802
        self, request: pb.ReturnRolloutRequest, context: Any
    ) -> pb.ReturnRolloutResponse:
        """Bring hosts back."""
        await _require(context, "reason", request.reason)
        view = await self._steer(request.rollout, "RolloutRollbackAsked", request.reason, context)
        return pb.ReturnRolloutResponse(rollout=view)

    async def GetFleetStatus(  # noqa: N802
        self, request: pb.GetFleetStatusRequest, context: Any
    ) -> pb.GetFleetStatusResponse:
        """Show fleets and the work that waits."""
        now = self._s.views.now()
        response = pb.GetFleetStatusResponse(backlog=translate.backlogs(await self._s.hosts.backlog(), now))
        for health in await self._s.hosts.health(request.fleet):
            newest = await self._s.views.of(health.rollout) if health.rollout is not None else None
            response.fleets.append(translate.fleet(health, newest, now))
        return response

    async def ListHosts(self, request: pb.ListHostsRequest, context: Any) -> pb.ListHostsResponse:  # noqa: N802
        """List hosts."""
        records = await self._s.hosts.records()
        response = pb.ListHostsResponse()
        for agent, _, leases in await self._s.queries.agents():
            record = records.get(agent.id)
            facts, known = (record.facts, record.running) if record is not None else (Facts(), Running())
            running = self._s.sessions.running(agent.id) or known
            response.hosts.append(translate.host(agent, facts, running, leases))
        return response

    async def LabelAgent(self, request: pb.LabelAgentRequest, context: Any) -> pb.LabelAgentResponse:  # noqa: N802
        """Label a host."""
        await _require(context, "agent", request.agent)
        agent = await self._s.hosts.label(
            request.agent, dict(request.labels), request.removed, request.cleared, by=caller_name()
        )
        return pb.LabelAgentResponse(agent=self._agent(agent))

    async def CordonAgent(self, request: pb.CordonAgentRequest, context: Any) -> pb.CordonAgentResponse:  # noqa: N802
        """Cordon a host."""
        await _require(context, "agent", request.agent)
        await _require(context, "reason", request.reason)
        agent = await self._s.hosts.cordon(request.agent, request.reason, by=caller_name())
        return pb.CordonAgentResponse(agent=self._agent(agent))

    async def UncordonAgent(  # noqa: N802
        self, request: pb.UncordonAgentRequest, context: Any
    ) -> pb.UncordonAgentResponse:
        """Give a cordoned host work again."""
        await _require(context, "agent", request.agent)
        agent = await self._s.hosts.cordon(request.agent, "", by=caller_name())
        return pb.UncordonAgentResponse(agent=self._agent(agent))

    async def DecommissionAgent(  # noqa: N802
        self, request: pb.DecommissionAgentRequest, context: Any
    ) -> pb.DecommissionAgentResponse:
        """Send a host away for good."""
        await _require(context, "agent", request.agent)
        await _require(context, "reason", request.reason)
        agent = await self._s.hosts.decommission(request.agent, request.reason, by=caller_name(), force=request.force)
        return pb.DecommissionAgentResponse(agent=self._agent(agent))

    async def _steer(self, subject: str, event: str, reason: str, context: Any) -> pb.RolloutView:
        await _require(context, "rollout", subject)
        return await self._view(await self._s.rollouts.steer(subject, event, reason, caller_name()))

    async def _view(self, subject: str) -> pb.RolloutView:
        return translate.rollout(await self._s.views.summary(subject), self._s.views.now())

    def _agent(self, agent: Agent) -> operator_pb2.AgentView:
        return agent_view(agent, "", self._s.sessions.held_by(agent.id), self._s.views.now())


async def _require(context: Any, field: str, value: str) -> None:
    """Refuse a request that lacks a required field."""
    if not value:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{field} is required")
