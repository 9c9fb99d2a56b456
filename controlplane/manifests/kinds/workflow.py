"""The Workflow kind: a template of steps with their order, timeouts, retries and undo."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from controlplane.manifests.kinds.model import (
    Duration,
    Identifier,
    Line,
    Model,
    Name,
    Placement,
    StepName,
    Text,
    YesNo,
)

# One migration's steps are loaded and decided on together.
STEPS_MAX = 200


class Parameter(Model):
    """A declared input of a workflow."""

    default: Any = Field(default=None, description="Value when the migration gives none. Unset makes it required.")
    description: Text = Field(default="", description="What it is for.")


class Timeouts(Model):
    """Deadlines of a step; every one ends in a retry or a failure, never in silence."""

    queue: Duration = Field(default="1d", description="Longest wait from ready to leased.")
    start_to_finish: Duration = Field(default="6h", description="Longest run of one attempt.")
    progress: Duration = Field(default="5m", description="Longest time without progress.")


class Backoff(Model):
    """How the wait grows between attempts."""

    initial: Duration = Field(default="1s", description="Wait after the first failure.")
    factor: Annotated[float, Field(ge=1, le=10)] = Field(default=2.0, description="Growth with each failure.")
    max: Duration = Field(default="1m", description="Longest wait.")


class Retry(Model):
    """How often a step is tried. What could not be reached says nothing of the work, so it counts by time."""

    attempts: Annotated[int, Field(strict=True, ge=1, le=1000)] = Field(default=5, description="Attempts in all.")
    backoff: Backoff = Field(default=Backoff(), description="Wait between attempts.")
    unreachable_for: Duration = Field(
        default="15m",
        description="How long what the step needs may be unreachable before such attempts count.",
    )


class StepSpec(Model):
    """One step."""

    name: StepName = Field(description="Unique in the workflow.")
    kind: Name = Field(description="extract, transform, load, validate, run_program, or a kind that an agent adds.")
    needs: tuple[StepName, ...] = Field(default=(), description="Steps that must have succeeded before.")
    params: dict[Line, Any] = Field(default={}, description="Parameters of the kind; values may be ${…} references.")
    timeouts: Timeouts = Field(default=Timeouts(), description="Deadlines.")
    retry: Retry = Field(default=Retry(), description="Attempts and waits.")
    undo: Literal["auto", "none"] | None = Field(
        default=None,
        description="auto: its kind undoes it. Unset means auto before a pivot, and none from it on.",
    )
    pivot: YesNo = Field(default=False, description="True for the step after which there is only forward.")
    destructive: YesNo = Field(default=False, description="True when it destroys source data: only after the pivot.")
    placement: Placement = Field(default=Placement(), description="Where it may run.")


class WorkflowSpec(Model):
    """Steps and inputs."""

    parameters: dict[Identifier, Parameter] = Field(default={}, description="Declared inputs.")
    steps: Annotated[tuple[StepSpec, ...], Field(min_length=1, max_length=STEPS_MAX)] = Field(description="Steps.")
