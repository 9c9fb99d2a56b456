from haulier.v1 import agent_pb2 as _agent_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FindingSeverity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FINDING_SEVERITY_UNSPECIFIED: _ClassVar[FindingSeverity]
    FINDING_SEVERITY_ERROR: _ClassVar[FindingSeverity]
    FINDING_SEVERITY_WARNING: _ClassVar[FindingSeverity]

class ManifestChange(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MANIFEST_CHANGE_UNSPECIFIED: _ClassVar[ManifestChange]
    MANIFEST_CHANGE_CREATED: _ClassVar[ManifestChange]
    MANIFEST_CHANGE_UPDATED: _ClassVar[ManifestChange]
    MANIFEST_CHANGE_UNCHANGED: _ClassVar[ManifestChange]
    MANIFEST_CHANGE_DELETED: _ClassVar[ManifestChange]
FINDING_SEVERITY_UNSPECIFIED: FindingSeverity
FINDING_SEVERITY_ERROR: FindingSeverity
FINDING_SEVERITY_WARNING: FindingSeverity
MANIFEST_CHANGE_UNSPECIFIED: ManifestChange
MANIFEST_CHANGE_CREATED: ManifestChange
MANIFEST_CHANGE_UPDATED: ManifestChange
MANIFEST_CHANGE_UNCHANGED: ManifestChange
MANIFEST_CHANGE_DELETED: ManifestChange

class ManifestFile(_message.Message):
    __slots__ = ("path", "content")
    PATH_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    path: str
    content: bytes
    def __init__(self, path: _Optional[str] = ..., content: _Optional[bytes] = ...) -> None: ...

class Finding(_message.Message):
    __slots__ = ("path", "line", "column", "field", "message", "hint", "severity")
    PATH_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    path: str
    line: int
    column: int
    field: str
    message: str
    hint: str
    severity: FindingSeverity
    def __init__(self, path: _Optional[str] = ..., line: _Optional[int] = ..., column: _Optional[int] = ..., field: _Optional[str] = ..., message: _Optional[str] = ..., hint: _Optional[str] = ..., severity: _Optional[_Union[FindingSeverity, str]] = ...) -> None: ...

class FieldChange(_message.Message):
    __slots__ = ("field", "before_json", "after_json")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    BEFORE_JSON_FIELD_NUMBER: _ClassVar[int]
    AFTER_JSON_FIELD_NUMBER: _ClassVar[int]
    field: str
    before_json: str
    after_json: str
    def __init__(self, field: _Optional[str] = ..., before_json: _Optional[str] = ..., after_json: _Optional[str] = ...) -> None: ...

class ManifestOutcome(_message.Message):
    __slots__ = ("kind", "name", "change", "note", "fields")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    change: ManifestChange
    note: str
    fields: _containers.RepeatedCompositeFieldContainer[FieldChange]
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., change: _Optional[_Union[ManifestChange, str]] = ..., note: _Optional[str] = ..., fields: _Optional[_Iterable[_Union[FieldChange, _Mapping]]] = ...) -> None: ...

class ValidateManifestsRequest(_message.Message):
    __slots__ = ("files", "prune_labels")
    class PruneLabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    FILES_FIELD_NUMBER: _ClassVar[int]
    PRUNE_LABELS_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[ManifestFile]
    prune_labels: _containers.ScalarMap[str, str]
    def __init__(self, files: _Optional[_Iterable[_Union[ManifestFile, _Mapping]]] = ..., prune_labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ValidateManifestsResponse(_message.Message):
    __slots__ = ("findings", "outcomes", "warnings")
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    findings: _containers.RepeatedCompositeFieldContainer[Finding]
    outcomes: _containers.RepeatedCompositeFieldContainer[ManifestOutcome]
    warnings: _containers.RepeatedCompositeFieldContainer[Finding]
    def __init__(self, findings: _Optional[_Iterable[_Union[Finding, _Mapping]]] = ..., outcomes: _Optional[_Iterable[_Union[ManifestOutcome, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[Finding, _Mapping]]] = ...) -> None: ...

class ApplyManifestsRequest(_message.Message):
    __slots__ = ("files", "request_id", "prune_labels")
    class PruneLabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    FILES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PRUNE_LABELS_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[ManifestFile]
    request_id: str
    prune_labels: _containers.ScalarMap[str, str]
    def __init__(self, files: _Optional[_Iterable[_Union[ManifestFile, _Mapping]]] = ..., request_id: _Optional[str] = ..., prune_labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ApplyManifestsResponse(_message.Message):
    __slots__ = ("findings", "outcomes", "warnings", "approval_id", "waiting_for_approval", "approval_expires_in_s")
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_ID_FIELD_NUMBER: _ClassVar[int]
    WAITING_FOR_APPROVAL_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_EXPIRES_IN_S_FIELD_NUMBER: _ClassVar[int]
    findings: _containers.RepeatedCompositeFieldContainer[Finding]
    outcomes: _containers.RepeatedCompositeFieldContainer[ManifestOutcome]
    warnings: _containers.RepeatedCompositeFieldContainer[Finding]
    approval_id: str
    waiting_for_approval: _containers.RepeatedScalarFieldContainer[str]
    approval_expires_in_s: float
    def __init__(self, findings: _Optional[_Iterable[_Union[Finding, _Mapping]]] = ..., outcomes: _Optional[_Iterable[_Union[ManifestOutcome, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[Finding, _Mapping]]] = ..., approval_id: _Optional[str] = ..., waiting_for_approval: _Optional[_Iterable[str]] = ..., approval_expires_in_s: _Optional[float] = ...) -> None: ...

class ListManifestsRequest(_message.Message):
    __slots__ = ("kind", "page_size", "page_token")
    KIND_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    kind: str
    page_size: int
    page_token: str
    def __init__(self, kind: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ManifestSummary(_message.Message):
    __slots__ = ("kind", "name", "generation", "spec_json", "age_s")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    SPEC_JSON_FIELD_NUMBER: _ClassVar[int]
    AGE_S_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    generation: int
    spec_json: str
    age_s: float
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., generation: _Optional[int] = ..., spec_json: _Optional[str] = ..., age_s: _Optional[float] = ...) -> None: ...

class ListManifestsResponse(_message.Message):
    __slots__ = ("manifests", "next_page_token")
    MANIFESTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    manifests: _containers.RepeatedCompositeFieldContainer[ManifestSummary]
    next_page_token: str
    def __init__(self, manifests: _Optional[_Iterable[_Union[ManifestSummary, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetManifestRequest(_message.Message):
    __slots__ = ("kind", "name")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class GetManifestResponse(_message.Message):
    __slots__ = ("manifest", "metadata_json")
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    METADATA_JSON_FIELD_NUMBER: _ClassVar[int]
    manifest: ManifestSummary
    metadata_json: str
    def __init__(self, manifest: _Optional[_Union[ManifestSummary, _Mapping]] = ..., metadata_json: _Optional[str] = ...) -> None: ...

class DeleteManifestRequest(_message.Message):
    __slots__ = ("kind", "name")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class DeleteManifestResponse(_message.Message):
    __slots__ = ("manifest",)
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    manifest: ManifestSummary
    def __init__(self, manifest: _Optional[_Union[ManifestSummary, _Mapping]] = ...) -> None: ...

class MigrationSelection(_message.Message):
    __slots__ = ("names", "states", "labels", "owners", "every")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAMES_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    OWNERS_FIELD_NUMBER: _ClassVar[int]
    EVERY_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    states: _containers.RepeatedScalarFieldContainer[str]
    labels: _containers.ScalarMap[str, str]
    owners: _containers.RepeatedScalarFieldContainer[str]
    every: bool
    def __init__(self, names: _Optional[_Iterable[str]] = ..., states: _Optional[_Iterable[str]] = ..., labels: _Optional[_Mapping[str, str]] = ..., owners: _Optional[_Iterable[str]] = ..., every: _Optional[bool] = ...) -> None: ...

class SelectionOutcome(_message.Message):
    __slots__ = ("names", "left_out", "already", "not_approved", "plan_hash", "needs_approval")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    ALREADY_FIELD_NUMBER: _ClassVar[int]
    NOT_APPROVED_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    NEEDS_APPROVAL_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    left_out: _containers.RepeatedCompositeFieldContainer[HeldMigration]
    already: _containers.RepeatedScalarFieldContainer[str]
    not_approved: _containers.RepeatedScalarFieldContainer[str]
    plan_hash: str
    needs_approval: bool
    def __init__(self, names: _Optional[_Iterable[str]] = ..., left_out: _Optional[_Iterable[_Union[HeldMigration, _Mapping]]] = ..., already: _Optional[_Iterable[str]] = ..., not_approved: _Optional[_Iterable[str]] = ..., plan_hash: _Optional[str] = ..., needs_approval: _Optional[bool] = ...) -> None: ...

class StartMigrationsRequest(_message.Message):
    __slots__ = ("names", "request_id", "selection", "dry_run", "plan_hash")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    request_id: str
    selection: MigrationSelection
    dry_run: bool
    plan_hash: str
    def __init__(self, names: _Optional[_Iterable[str]] = ..., request_id: _Optional[str] = ..., selection: _Optional[_Union[MigrationSelection, _Mapping]] = ..., dry_run: _Optional[bool] = ..., plan_hash: _Optional[str] = ...) -> None: ...

class StartMigrationsResponse(_message.Message):
    __slots__ = ("started", "already_started", "held", "outcome", "warnings")
    STARTED_FIELD_NUMBER: _ClassVar[int]
    ALREADY_STARTED_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    started: _containers.RepeatedCompositeFieldContainer[MigrationSummary]
    already_started: _containers.RepeatedScalarFieldContainer[str]
    held: _containers.RepeatedCompositeFieldContainer[HeldMigration]
    outcome: SelectionOutcome
    warnings: _containers.RepeatedCompositeFieldContainer[Finding]
    def __init__(self, started: _Optional[_Iterable[_Union[MigrationSummary, _Mapping]]] = ..., already_started: _Optional[_Iterable[str]] = ..., held: _Optional[_Iterable[_Union[HeldMigration, _Mapping]]] = ..., outcome: _Optional[_Union[SelectionOutcome, _Mapping]] = ..., warnings: _Optional[_Iterable[_Union[Finding, _Mapping]]] = ...) -> None: ...

class HeldMigration(_message.Message):
    __slots__ = ("name", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class MigrationSummary(_message.Message):
    __slots__ = ("migration_id", "name", "dataset", "workflow", "state", "reason", "source", "destination", "steps_done", "steps_total", "current_step", "stage", "watermark", "total", "done_bytes", "elapsed_s", "verified_rows", "verified_digest", "staged_bytes", "left_behind", "iteration", "iterations", "labels", "owner", "created_at", "ended_at", "reason_code")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    MIGRATION_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    STEPS_DONE_FIELD_NUMBER: _ClassVar[int]
    STEPS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    CURRENT_STEP_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    DONE_BYTES_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_S_FIELD_NUMBER: _ClassVar[int]
    VERIFIED_ROWS_FIELD_NUMBER: _ClassVar[int]
    VERIFIED_DIGEST_FIELD_NUMBER: _ClassVar[int]
    STAGED_BYTES_FIELD_NUMBER: _ClassVar[int]
    LEFT_BEHIND_FIELD_NUMBER: _ClassVar[int]
    ITERATION_FIELD_NUMBER: _ClassVar[int]
    ITERATIONS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    REASON_CODE_FIELD_NUMBER: _ClassVar[int]
    migration_id: str
    name: str
    dataset: str
    workflow: str
    state: str
    reason: str
    source: str
    destination: str
    steps_done: int
    steps_total: int
    current_step: str
    stage: str
    watermark: int
    total: int
    done_bytes: int
    elapsed_s: float
    verified_rows: int
    verified_digest: str
    staged_bytes: int
    left_behind: _containers.RepeatedScalarFieldContainer[str]
    iteration: int
    iterations: int
    labels: _containers.ScalarMap[str, str]
    owner: str
    created_at: float
    ended_at: float
    reason_code: str
    def __init__(self, migration_id: _Optional[str] = ..., name: _Optional[str] = ..., dataset: _Optional[str] = ..., workflow: _Optional[str] = ..., state: _Optional[str] = ..., reason: _Optional[str] = ..., source: _Optional[str] = ..., destination: _Optional[str] = ..., steps_done: _Optional[int] = ..., steps_total: _Optional[int] = ..., current_step: _Optional[str] = ..., stage: _Optional[str] = ..., watermark: _Optional[int] = ..., total: _Optional[int] = ..., done_bytes: _Optional[int] = ..., elapsed_s: _Optional[float] = ..., verified_rows: _Optional[int] = ..., verified_digest: _Optional[str] = ..., staged_bytes: _Optional[int] = ..., left_behind: _Optional[_Iterable[str]] = ..., iteration: _Optional[int] = ..., iterations: _Optional[int] = ..., labels: _Optional[_Mapping[str, str]] = ..., owner: _Optional[str] = ..., created_at: _Optional[float] = ..., ended_at: _Optional[float] = ..., reason_code: _Optional[str] = ...) -> None: ...

class ListMigrationsRequest(_message.Message):
    __slots__ = ("states", "page_size", "page_token", "every_iteration")
    STATES_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    EVERY_ITERATION_FIELD_NUMBER: _ClassVar[int]
    states: _containers.RepeatedScalarFieldContainer[str]
    page_size: int
    page_token: str
    every_iteration: bool
    def __init__(self, states: _Optional[_Iterable[str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., every_iteration: _Optional[bool] = ...) -> None: ...

class ListMigrationsResponse(_message.Message):
    __slots__ = ("migrations", "next_page_token")
    MIGRATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    migrations: _containers.RepeatedCompositeFieldContainer[MigrationSummary]
    next_page_token: str
    def __init__(self, migrations: _Optional[_Iterable[_Union[MigrationSummary, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetMigrationRequest(_message.Message):
    __slots__ = ("migration", "iteration")
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    ITERATION_FIELD_NUMBER: _ClassVar[int]
    migration: str
    iteration: int
    def __init__(self, migration: _Optional[str] = ..., iteration: _Optional[int] = ...) -> None: ...

class StepView(_message.Message):
    __slots__ = ("step_id", "name", "kind", "state", "reason", "hint", "needs", "attempts", "result_json")
    STEP_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    NEEDS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    RESULT_JSON_FIELD_NUMBER: _ClassVar[int]
    step_id: str
    name: str
    kind: str
    state: str
    reason: str
    hint: str
    needs: _containers.RepeatedScalarFieldContainer[str]
    attempts: _containers.RepeatedCompositeFieldContainer[AttemptView]
    result_json: str
    def __init__(self, step_id: _Optional[str] = ..., name: _Optional[str] = ..., kind: _Optional[str] = ..., state: _Optional[str] = ..., reason: _Optional[str] = ..., hint: _Optional[str] = ..., needs: _Optional[_Iterable[str]] = ..., attempts: _Optional[_Iterable[_Union[AttemptView, _Mapping]]] = ..., result_json: _Optional[str] = ...) -> None: ...

class AttemptView(_message.Message):
    __slots__ = ("attempt_id", "number", "direction", "state", "agent", "fence", "elapsed_s", "watermark", "total", "stage", "failure", "use", "granted_at", "ended_at")
    ATTEMPT_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_S_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    USE_FIELD_NUMBER: _ClassVar[int]
    GRANTED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    attempt_id: str
    number: int
    direction: _agent_pb2.Direction
    state: str
    agent: str
    fence: int
    elapsed_s: float
    watermark: int
    total: int
    stage: str
    failure: _agent_pb2.AttemptFailure
    use: _agent_pb2.ResourceUse
    granted_at: float
    ended_at: float
    def __init__(self, attempt_id: _Optional[str] = ..., number: _Optional[int] = ..., direction: _Optional[_Union[_agent_pb2.Direction, str]] = ..., state: _Optional[str] = ..., agent: _Optional[str] = ..., fence: _Optional[int] = ..., elapsed_s: _Optional[float] = ..., watermark: _Optional[int] = ..., total: _Optional[int] = ..., stage: _Optional[str] = ..., failure: _Optional[_Union[_agent_pb2.AttemptFailure, _Mapping]] = ..., use: _Optional[_Union[_agent_pb2.ResourceUse, _Mapping]] = ..., granted_at: _Optional[float] = ..., ended_at: _Optional[float] = ...) -> None: ...

class LeftoversView(_message.Message):
    __slots__ = ("staged_removed_in_s", "former_removed_in_s", "way_back")
    STAGED_REMOVED_IN_S_FIELD_NUMBER: _ClassVar[int]
    FORMER_REMOVED_IN_S_FIELD_NUMBER: _ClassVar[int]
    WAY_BACK_FIELD_NUMBER: _ClassVar[int]
    staged_removed_in_s: float
    former_removed_in_s: float
    way_back: str
    def __init__(self, staged_removed_in_s: _Optional[float] = ..., former_removed_in_s: _Optional[float] = ..., way_back: _Optional[str] = ...) -> None: ...

class GetMigrationResponse(_message.Message):
    __slots__ = ("migration", "steps", "leftovers", "iterations")
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    LEFTOVERS_FIELD_NUMBER: _ClassVar[int]
    ITERATIONS_FIELD_NUMBER: _ClassVar[int]
    migration: MigrationSummary
    steps: _containers.RepeatedCompositeFieldContainer[StepView]
    leftovers: LeftoversView
    iterations: _containers.RepeatedCompositeFieldContainer[MigrationSummary]
    def __init__(self, migration: _Optional[_Union[MigrationSummary, _Mapping]] = ..., steps: _Optional[_Iterable[_Union[StepView, _Mapping]]] = ..., leftovers: _Optional[_Union[LeftoversView, _Mapping]] = ..., iterations: _Optional[_Iterable[_Union[MigrationSummary, _Mapping]]] = ...) -> None: ...

class CancelMigrationRequest(_message.Message):
    __slots__ = ("migration", "reason", "selection", "dry_run", "plan_hash", "request_id")
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    migration: str
    reason: str
    selection: MigrationSelection
    dry_run: bool
    plan_hash: str
    request_id: str
    def __init__(self, migration: _Optional[str] = ..., reason: _Optional[str] = ..., selection: _Optional[_Union[MigrationSelection, _Mapping]] = ..., dry_run: _Optional[bool] = ..., plan_hash: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class CancelMigrationResponse(_message.Message):
    __slots__ = ("migration", "migrations", "outcome")
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    MIGRATIONS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    migration: MigrationSummary
    migrations: _containers.RepeatedCompositeFieldContainer[MigrationSummary]
    outcome: SelectionOutcome
    def __init__(self, migration: _Optional[_Union[MigrationSummary, _Mapping]] = ..., migrations: _Optional[_Iterable[_Union[MigrationSummary, _Mapping]]] = ..., outcome: _Optional[_Union[SelectionOutcome, _Mapping]] = ...) -> None: ...

class RetryMigrationRequest(_message.Message):
    __slots__ = ("migration", "selection", "dry_run", "plan_hash", "request_id")
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    migration: str
    selection: MigrationSelection
    dry_run: bool
    plan_hash: str
    request_id: str
    def __init__(self, migration: _Optional[str] = ..., selection: _Optional[_Union[MigrationSelection, _Mapping]] = ..., dry_run: _Optional[bool] = ..., plan_hash: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class RetryMigrationResponse(_message.Message):
    __slots__ = ("migration", "begins_again_because", "taken", "migrations", "outcome")
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    BEGINS_AGAIN_BECAUSE_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    MIGRATIONS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    migration: MigrationSummary
    begins_again_because: str
    taken: _containers.RepeatedCompositeFieldContainer[ManifestDifference]
    migrations: _containers.RepeatedCompositeFieldContainer[MigrationSummary]
    outcome: SelectionOutcome
    def __init__(self, migration: _Optional[_Union[MigrationSummary, _Mapping]] = ..., begins_again_because: _Optional[str] = ..., taken: _Optional[_Iterable[_Union[ManifestDifference, _Mapping]]] = ..., migrations: _Optional[_Iterable[_Union[MigrationSummary, _Mapping]]] = ..., outcome: _Optional[_Union[SelectionOutcome, _Mapping]] = ...) -> None: ...

class ManifestDifference(_message.Message):
    __slots__ = ("manifest", "field", "old_json", "new_json")
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    OLD_JSON_FIELD_NUMBER: _ClassVar[int]
    NEW_JSON_FIELD_NUMBER: _ClassVar[int]
    manifest: str
    field: str
    old_json: str
    new_json: str
    def __init__(self, manifest: _Optional[str] = ..., field: _Optional[str] = ..., old_json: _Optional[str] = ..., new_json: _Optional[str] = ...) -> None: ...

class RollbackMigrationRequest(_message.Message):
    __slots__ = ("migration", "reason", "selection", "dry_run", "plan_hash", "request_id", "discard_changes")
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    DISCARD_CHANGES_FIELD_NUMBER: _ClassVar[int]
    migration: str
    reason: str
    selection: MigrationSelection
    dry_run: bool
    plan_hash: str
    request_id: str
    discard_changes: bool
    def __init__(self, migration: _Optional[str] = ..., reason: _Optional[str] = ..., selection: _Optional[_Union[MigrationSelection, _Mapping]] = ..., dry_run: _Optional[bool] = ..., plan_hash: _Optional[str] = ..., request_id: _Optional[str] = ..., discard_changes: _Optional[bool] = ...) -> None: ...

class RollbackMigrationResponse(_message.Message):
    __slots__ = ("migration", "migrations", "outcome")
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    MIGRATIONS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    migration: MigrationSummary
    migrations: _containers.RepeatedCompositeFieldContainer[MigrationSummary]
    outcome: SelectionOutcome
    def __init__(self, migration: _Optional[_Union[MigrationSummary, _Mapping]] = ..., migrations: _Optional[_Iterable[_Union[MigrationSummary, _Mapping]]] = ..., outcome: _Optional[_Union[SelectionOutcome, _Mapping]] = ...) -> None: ...

class CleanUpMigrationsRequest(_message.Message):
    __slots__ = ("migrations", "all")
    MIGRATIONS_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    migrations: _containers.RepeatedScalarFieldContainer[str]
    all: bool
    def __init__(self, migrations: _Optional[_Iterable[str]] = ..., all: _Optional[bool] = ...) -> None: ...

class CleanUpMigrationsResponse(_message.Message):
    __slots__ = ("cleaning", "clean")
    CLEANING_FIELD_NUMBER: _ClassVar[int]
    CLEAN_FIELD_NUMBER: _ClassVar[int]
    cleaning: _containers.RepeatedCompositeFieldContainer[MigrationSummary]
    clean: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, cleaning: _Optional[_Iterable[_Union[MigrationSummary, _Mapping]]] = ..., clean: _Optional[_Iterable[str]] = ...) -> None: ...

class AcceptMigrationRequest(_message.Message):
    __slots__ = ("migration", "reason")
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    migration: str
    reason: str
    def __init__(self, migration: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class AcceptMigrationResponse(_message.Message):
    __slots__ = ("migration",)
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    migration: MigrationSummary
    def __init__(self, migration: _Optional[_Union[MigrationSummary, _Mapping]] = ...) -> None: ...

class AbandonMigrationRequest(_message.Message):
    __slots__ = ("migration", "reason")
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    migration: str
    reason: str
    def __init__(self, migration: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class AbandonMigrationResponse(_message.Message):
    __slots__ = ("migration",)
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    migration: MigrationSummary
    def __init__(self, migration: _Optional[_Union[MigrationSummary, _Mapping]] = ...) -> None: ...

class WhyRequest(_message.Message):
    __slots__ = ("subject",)
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    subject: str
    def __init__(self, subject: _Optional[str] = ...) -> None: ...

class Hold(_message.Message):
    __slots__ = ("code", "message", "lifted_by", "lifts_in_s")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    LIFTED_BY_FIELD_NUMBER: _ClassVar[int]
    LIFTS_IN_S_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    lifted_by: str
    lifts_in_s: float
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., lifted_by: _Optional[str] = ..., lifts_in_s: _Optional[float] = ...) -> None: ...

class WhyResponse(_message.Message):
    __slots__ = ("steps", "migration")
    STEPS_FIELD_NUMBER: _ClassVar[int]
    MIGRATION_FIELD_NUMBER: _ClassVar[int]
    steps: _containers.RepeatedCompositeFieldContainer[StepHolds]
    migration: MigrationSummary
    def __init__(self, steps: _Optional[_Iterable[_Union[StepHolds, _Mapping]]] = ..., migration: _Optional[_Union[MigrationSummary, _Mapping]] = ...) -> None: ...

class StepHolds(_message.Message):
    __slots__ = ("step_id", "name", "state", "holds")
    STEP_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    step_id: str
    name: str
    state: str
    holds: _containers.RepeatedCompositeFieldContainer[Hold]
    def __init__(self, step_id: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[str] = ..., holds: _Optional[_Iterable[_Union[Hold, _Mapping]]] = ...) -> None: ...

class ListAgentsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AgentView(_message.Message):
    __slots__ = ("agent_id", "name", "state", "liveness", "incarnation", "slots", "leases", "kinds", "datastores", "labels", "heard_ago_s", "version", "sample", "cordon_reason")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    LIVENESS_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    LEASES_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    DATASTORES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    HEARD_AGO_S_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_FIELD_NUMBER: _ClassVar[int]
    CORDON_REASON_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    name: str
    state: str
    liveness: str
    incarnation: int
    slots: int
    leases: int
    kinds: _containers.RepeatedScalarFieldContainer[str]
    datastores: _containers.RepeatedScalarFieldContainer[str]
    labels: _containers.ScalarMap[str, str]
    heard_ago_s: float
    version: str
    sample: _agent_pb2.HostSample
    cordon_reason: str
    def __init__(self, agent_id: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[str] = ..., liveness: _Optional[str] = ..., incarnation: _Optional[int] = ..., slots: _Optional[int] = ..., leases: _Optional[int] = ..., kinds: _Optional[_Iterable[str]] = ..., datastores: _Optional[_Iterable[str]] = ..., labels: _Optional[_Mapping[str, str]] = ..., heard_ago_s: _Optional[float] = ..., version: _Optional[str] = ..., sample: _Optional[_Union[_agent_pb2.HostSample, _Mapping]] = ..., cordon_reason: _Optional[str] = ...) -> None: ...

class ListAgentsResponse(_message.Message):
    __slots__ = ("agents",)
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    agents: _containers.RepeatedCompositeFieldContainer[AgentView]
    def __init__(self, agents: _Optional[_Iterable[_Union[AgentView, _Mapping]]] = ...) -> None: ...

class DrainAgentRequest(_message.Message):
    __slots__ = ("agent", "reason")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    agent: str
    reason: str
    def __init__(self, agent: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class DrainAgentResponse(_message.Message):
    __slots__ = ("agent",)
    AGENT_FIELD_NUMBER: _ClassVar[int]
    agent: AgentView
    def __init__(self, agent: _Optional[_Union[AgentView, _Mapping]] = ...) -> None: ...

class ResumeAgentRequest(_message.Message):
    __slots__ = ("agent",)
    AGENT_FIELD_NUMBER: _ClassVar[int]
    agent: str
    def __init__(self, agent: _Optional[str] = ...) -> None: ...

class ResumeAgentResponse(_message.Message):
    __slots__ = ("agent",)
    AGENT_FIELD_NUMBER: _ClassVar[int]
    agent: AgentView
    def __init__(self, agent: _Optional[_Union[AgentView, _Mapping]] = ...) -> None: ...

class CreateJoinTokenRequest(_message.Message):
    __slots__ = ("agent_name", "ttl_s")
    AGENT_NAME_FIELD_NUMBER: _ClassVar[int]
    TTL_S_FIELD_NUMBER: _ClassVar[int]
    agent_name: str
    ttl_s: float
    def __init__(self, agent_name: _Optional[str] = ..., ttl_s: _Optional[float] = ...) -> None: ...

class CreateJoinTokenResponse(_message.Message):
    __slots__ = ("token", "ttl_s")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    TTL_S_FIELD_NUMBER: _ClassVar[int]
    token: str
    ttl_s: float
    def __init__(self, token: _Optional[str] = ..., ttl_s: _Optional[float] = ...) -> None: ...

class WatchEventsRequest(_message.Message):
    __slots__ = ("after", "subject", "follow", "tail", "since_ago_s", "since_at", "types")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    TAIL_FIELD_NUMBER: _ClassVar[int]
    SINCE_AGO_S_FIELD_NUMBER: _ClassVar[int]
    SINCE_AT_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    after: int
    subject: str
    follow: bool
    tail: int
    since_ago_s: float
    since_at: float
    types: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, after: _Optional[int] = ..., subject: _Optional[str] = ..., follow: _Optional[bool] = ..., tail: _Optional[int] = ..., since_ago_s: _Optional[float] = ..., since_at: _Optional[float] = ..., types: _Optional[_Iterable[str]] = ...) -> None: ...

class WatchEventsResponse(_message.Message):
    __slots__ = ("position", "at", "type", "subject", "data_json", "names")
    class NamesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    POSITION_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    DATA_JSON_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    position: int
    at: float
    type: str
    subject: str
    data_json: str
    names: _containers.ScalarMap[str, str]
    def __init__(self, position: _Optional[int] = ..., at: _Optional[float] = ..., type: _Optional[str] = ..., subject: _Optional[str] = ..., data_json: _Optional[str] = ..., names: _Optional[_Mapping[str, str]] = ...) -> None: ...

class TailLogsRequest(_message.Message):
    __slots__ = ("attempt_id", "follow")
    ATTEMPT_ID_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    attempt_id: str
    follow: bool
    def __init__(self, attempt_id: _Optional[str] = ..., follow: _Optional[bool] = ...) -> None: ...

class TailLogsResponse(_message.Message):
    __slots__ = ("data", "dropped_bytes", "state", "failure")
    DATA_FIELD_NUMBER: _ClassVar[int]
    DROPPED_BYTES_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    dropped_bytes: int
    state: str
    failure: _agent_pb2.AttemptFailure
    def __init__(self, data: _Optional[bytes] = ..., dropped_bytes: _Optional[int] = ..., state: _Optional[str] = ..., failure: _Optional[_Union[_agent_pb2.AttemptFailure, _Mapping]] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LoopView(_message.Message):
    __slots__ = ("name", "last_run_ago_s", "duration_s", "last_error", "passes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LAST_RUN_AGO_S_FIELD_NUMBER: _ClassVar[int]
    DURATION_S_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    PASSES_FIELD_NUMBER: _ClassVar[int]
    name: str
    last_run_ago_s: float
    duration_s: float
    last_error: str
    passes: int
    def __init__(self, name: _Optional[str] = ..., last_run_ago_s: _Optional[float] = ..., duration_s: _Optional[float] = ..., last_error: _Optional[str] = ..., passes: _Optional[int] = ...) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("version", "store_generation", "loops", "migrations", "steps", "agents", "audit_troubles", "recent_successes", "recent_failures", "leftovers")
    class MigrationsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class StepsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class AgentsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STORE_GENERATION_FIELD_NUMBER: _ClassVar[int]
    LOOPS_FIELD_NUMBER: _ClassVar[int]
    MIGRATIONS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    AUDIT_TROUBLES_FIELD_NUMBER: _ClassVar[int]
    RECENT_SUCCESSES_FIELD_NUMBER: _ClassVar[int]
    RECENT_FAILURES_FIELD_NUMBER: _ClassVar[int]
    LEFTOVERS_FIELD_NUMBER: _ClassVar[int]
    version: str
    store_generation: int
    loops: _containers.RepeatedCompositeFieldContainer[LoopView]
    migrations: _containers.ScalarMap[str, int]
    steps: _containers.ScalarMap[str, int]
    agents: _containers.ScalarMap[str, int]
    audit_troubles: _containers.RepeatedScalarFieldContainer[str]
    recent_successes: int
    recent_failures: int
    leftovers: LeftoversStatus
    def __init__(self, version: _Optional[str] = ..., store_generation: _Optional[int] = ..., loops: _Optional[_Iterable[_Union[LoopView, _Mapping]]] = ..., migrations: _Optional[_Mapping[str, int]] = ..., steps: _Optional[_Mapping[str, int]] = ..., agents: _Optional[_Mapping[str, int]] = ..., audit_troubles: _Optional[_Iterable[str]] = ..., recent_successes: _Optional[int] = ..., recent_failures: _Optional[int] = ..., leftovers: _Optional[_Union[LeftoversStatus, _Mapping]] = ...) -> None: ...

class LeftoversStatus(_message.Message):
    __slots__ = ("staged", "staged_next_in_s", "former", "former_next_in_s", "failed")
    STAGED_FIELD_NUMBER: _ClassVar[int]
    STAGED_NEXT_IN_S_FIELD_NUMBER: _ClassVar[int]
    FORMER_FIELD_NUMBER: _ClassVar[int]
    FORMER_NEXT_IN_S_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    staged: int
    staged_next_in_s: float
    former: int
    former_next_in_s: float
    failed: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, staged: _Optional[int] = ..., staged_next_in_s: _Optional[float] = ..., former: _Optional[int] = ..., former_next_in_s: _Optional[float] = ..., failed: _Optional[_Iterable[str]] = ...) -> None: ...
