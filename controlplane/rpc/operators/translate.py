"""Contract ↔ core for operators."""

import contextlib
import json
from collections.abc import Iterable, Mapping

from google.protobuf.message import DecodeError
from haulier.v1 import agent_pb2, kinds_pb2
from haulier.v1 import operator_pb2 as pb

from controlplane.core.events import Event
from controlplane.core.model import Agent, Failure, Step
from controlplane.core.states import AGENT_BARRED
from controlplane.rpc.agents.translate import DIRECTIONS, sample_message
from controlplane.service.health.loop_health import LoopHealth
from controlplane.service.inventory.inventory import Applied, Change, Finding, Resource, SourceFile
from controlplane.service.migrations.clean_up import Leftovers, StillKept
from controlplane.service.migrations.queries import MigrationDetail, StepHolds, result_json
from controlplane.service.migrations.retrying import Taken
from controlplane.store.verbs.attempts import AttemptReport
from controlplane.store.verbs.migrations import MigrationSummary

_CHANGES = {
    Change.CREATED: pb.MANIFEST_CHANGE_CREATED,
    Change.UPDATED: pb.MANIFEST_CHANGE_UPDATED,
    Change.UNCHANGED: pb.MANIFEST_CHANGE_UNCHANGED,
    Change.DELETED: pb.MANIFEST_CHANGE_DELETED,
}


_SEVERITIES = {"error": pb.FINDING_SEVERITY_ERROR, "warning": pb.FINDING_SEVERITY_WARNING}


def files_of(files: Iterable[pb.ManifestFile]) -> list[SourceFile]:
    """Read files of manifests."""
    return [SourceFile(file.path, file.content) for file in files]


def finding(found: Finding) -> pb.Finding:
    """Write a finding."""
    return pb.Finding(
        path=found.path,
        line=found.line,
        column=found.column,
        field=found.field,
        message=found.message,
        hint=found.hint,
        severity=_SEVERITIES[found.severity],
    )


def outcomes(applied: Applied) -> list[pb.ManifestOutcome]:
    """Write what an apply did or would do."""
    written = []
    for kind, name, change in applied.outcomes:
        outcome = pb.ManifestOutcome(
            kind=kind, name=name, change=_CHANGES[change], note=applied.notes.get((kind, name), "")
        )
        for each in applied.fields.get((kind, name), ()):
            outcome.fields.add(field=each.field, before_json=each.before, after_json=each.after)
        written.append(outcome)
    return written


def manifest(resource: Resource, now: float) -> pb.ManifestSummary:
    """Write an applied manifest."""
    return pb.ManifestSummary(
        kind=resource.kind,
        name=resource.name,
        generation=resource.generation,
        spec_json=resource.spec,
        age_s=max(0.0, now - resource.applied_at),
    )


def migration(summary: MigrationSummary, now: float) -> pb.MigrationSummary:
    """Write a migration at a glance."""
    progress = summary.progress
    message = pb.MigrationSummary(
        migration_id=summary.id,
        name=summary.name,
        dataset=summary.dataset,
        workflow=summary.workflow,
        state=summary.shown,
        reason=summary.reason,
        reason_code=summary.reason_code,
        source=summary.source,
        destination=summary.destination,
        steps_done=summary.steps_done,
        steps_total=summary.steps_total,
        current_step=summary.current_step,
        elapsed_s=max(0.0, (now if summary.ended_at is None else summary.ended_at) - summary.created_at),
        iteration=summary.iteration,
        iterations=summary.iterations,
        labels=summary.labels,
        owner=summary.owner,
        created_at=summary.created_at,
        ended_at=summary.ended_at or 0.0,
        **({} if progress is None else progress._asdict()),
    )
    # Agents wrote these results: one that cannot be read must not hide every other migration.
    with contextlib.suppress(DecodeError):
        proof = kinds_pb2.ValidateResult.FromString(summary.results.get("validate", b""))
        message.verified_rows = proof.rows
        message.verified_digest = proof.destination_digest.hex()
        message.left_behind.extend(left_behind(proof))
    with contextlib.suppress(DecodeError):
        staged = kinds_pb2.ExtractResult.FromString(summary.results.get("extract", b"")).output
        message.staged_bytes = min(sum(part.size_bytes for part in staged.parts), 2**64 - 1)
    return message


def left_behind(proof: kinds_pb2.ValidateResult) -> list[str]:
    """Write what did not come along, a line a kind: "index: by_depot, by_day and 3 more"."""
    lines = []
    for each in proof.left_behind:
        known = kinds_pb2.DefinitionKind.DESCRIPTOR.values_by_number.get(each.kind)
        word = known.name.removeprefix("DEFINITION_KIND_").lower().replace("_", " ") if known else f"kind {each.kind}"
        more = f" and {each.count - len(each.names)} more" if each.count > len(each.names) else ""
        lines.append(f"{word}: {', '.join(each.names)}{more}")
    return lines


def detail(found: MigrationDetail, left: StillKept | None, now: float) -> pb.GetMigrationResponse:
    """Write a migration whole, with what it left behind once it has ended."""
    return pb.GetMigrationResponse(
        migration=migration(found.summary, now),
        steps=[_step(step, found, now) for step in found.steps],
        leftovers=None if left is None else _leftovers(left, now),
        iterations=[migration(each, now) for each in found.iterations],
    )


def _leftovers(left: StillKept, now: float) -> pb.LeftoversView:
    view = pb.LeftoversView(way_back=left.way_back or "")
    if left.staged_until is not None:
        view.staged_removed_in_s = max(0.0, left.staged_until - now)
    if left.former_until is not None:
        view.former_removed_in_s = max(0.0, left.former_until - now)
    return view


def leftovers_status(left: Leftovers, now: float) -> pb.LeftoversStatus:
    """Write what is kept in all."""
    return pb.LeftoversStatus(
        staged=left.staged,
        staged_next_in_s=max(0.0, (left.staged_next_at or now) - now),
        former=left.former,
        former_next_in_s=max(0.0, (left.former_next_at or now) - now),
        failed=left.failed,
    )


def taken(field: Taken) -> pb.ManifestDifference:
    """Write a field that a retry took."""
    return pb.ManifestDifference(manifest=field.manifest, field=field.field, old_json=field.old, new_json=field.new)


def _step(step: Step, found: MigrationDetail, now: float) -> pb.StepView:
    result = found.results.get(step.id)
    return pb.StepView(
        step_id=step.id,
        name=step.name,
        kind=step.kind,
        state=step.state,
        reason=step.reason,
        hint=step.hint,
        needs=found.needs.get(step.id, ()),
        attempts=[_attempt(report, now) for report in found.attempts.get(step.id, ())],
        result_json=result_json(step.kind, result) if result is not None else "",
    )


def _attempt(report: AttemptReport, now: float) -> pb.AttemptView:
    attempt = report.attempt
    view = pb.AttemptView(
        attempt_id=attempt.id,
        number=attempt.number,
        direction=DIRECTIONS[attempt.direction],
        state=attempt.state,
        agent=report.agent_name or attempt.agent_id,
        fence=attempt.fence,
        elapsed_s=max(0.0, (now if attempt.ended_at is None else attempt.ended_at) - attempt.granted_at),
        watermark=report.watermark,
        total=report.total,
        stage=report.stage,
        granted_at=attempt.granted_at,
        ended_at=attempt.ended_at or 0.0,
    )
    if report.failure is not None:
        view.failure.CopyFrom(_failure(report.failure))
    if report.use is not None:
        view.use.CopyFrom(agent_pb2.ResourceUse(**report.use._asdict()))
    return view


def _failure(failure: Failure) -> agent_pb2.AttemptFailure:
    return agent_pb2.AttemptFailure(
        code=failure.code,
        message=failure.message,
        hint=failure.hint,
        retryable=failure.retryable,
        unreachable=failure.unreachable,
    )


def end_of_output(report: AttemptReport) -> pb.TailLogsResponse:
    """Write how an attempt ended that prints no more."""
    message = pb.TailLogsResponse(state=report.attempt.state)
    if report.failure is not None:
        message.failure.CopyFrom(_failure(report.failure))
    return message


def holds(answers: Iterable[StepHolds], summary: pb.MigrationSummary) -> pb.WhyResponse:
    """Write what holds steps of a migration."""
    response = pb.WhyResponse(migration=summary)
    for answer in answers:
        view = response.steps.add(
            step_id=answer.step.id, name=f"{answer.migration}/{answer.step.name}", state=answer.step.state
        )
        for hold in answer.holds:
            view.holds.add(code=hold.code, message=hold.message, lifted_by=hold.lifted_by, lifts_in_s=hold.lifts_in_s)
    return response


def agent(known: Agent, sample: str, leases: int, now: float) -> pb.AgentView:
    """Write an agent."""
    cause = f": {known.liveness_cause}" if known.liveness_cause else ""
    return pb.AgentView(
        agent_id=known.id,
        name=known.name,
        state=f"{known.state}: {known.drain_reason}" if known.state in AGENT_BARRED else known.state,
        liveness=f"{known.liveness}{cause}",
        incarnation=known.incarnation,
        slots=known.slots,
        leases=leases,
        kinds=sorted(known.kinds),
        datastores=sorted(known.datastores),
        labels=known.labels,
        heard_ago_s=max(0.0, now - known.heard_at),
        version=known.version,
        sample=sample_message(sample),
        cordon_reason=known.cordon_reason,
    )


def event(position: int, fact: Event, names: Mapping[str, str]) -> pb.WatchEventsResponse:
    """Write one event; ``names`` holds, by id, the names of what it speaks of."""
    data = {
        name: value
        for name, value in (
            ("migration_id", fact.migration_id),
            ("attempt_id", fact.attempt_id),
            ("agent_id", fact.agent_id),
            ("fence", fact.fence),
            ("detail", fact.detail),
        )
        if value
    }
    return pb.WatchEventsResponse(
        position=position, at=fact.at, type=fact.type, subject=fact.subject, data_json=json.dumps(data), names=names
    )


def loop(known: LoopHealth, now: float) -> pb.LoopView:
    """Write a background loop."""
    return pb.LoopView(
        name=known.name,
        last_run_ago_s=-1.0 if known.last_run_at is None else max(0.0, now - known.last_run_at),
        duration_s=known.duration_s,
        last_error=known.last_error,
        passes=known.passes,
    )
