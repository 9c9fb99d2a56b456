from haulier.v1 import audit_pb2 as _audit_pb2
from haulier.v1 import release_pb2 as _release_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AttemptOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ATTEMPT_OUTCOME_UNSPECIFIED: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_SUCCEEDED: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_FAILED: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_CANCELLED: _ClassVar[AttemptOutcome]
    ATTEMPT_OUTCOME_FENCED: _ClassVar[AttemptOutcome]

class Direction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DIRECTION_UNSPECIFIED: _ClassVar[Direction]
    DIRECTION_FORWARD: _ClassVar[Direction]
    DIRECTION_UNDO: _ClassVar[Direction]
ATTEMPT_OUTCOME_UNSPECIFIED: AttemptOutcome
ATTEMPT_OUTCOME_SUCCEEDED: AttemptOutcome
ATTEMPT_OUTCOME_FAILED: AttemptOutcome
ATTEMPT_OUTCOME_CANCELLED: AttemptOutcome
ATTEMPT_OUTCOME_FENCED: AttemptOutcome
DIRECTION_UNSPECIFIED: Direction
DIRECTION_FORWARD: Direction
DIRECTION_UNDO: Direction

class EnrollRequest(_message.Message):
    __slots__ = ("request_id", "token", "csr_pem", "agent_name")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    CSR_PEM_FIELD_NUMBER: _ClassVar[int]
    AGENT_NAME_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    token: str
    csr_pem: bytes
    agent_name: str
    def __init__(self, request_id: _Optional[str] = ..., token: _Optional[str] = ..., csr_pem: _Optional[bytes] = ..., agent_name: _Optional[str] = ...) -> None: ...

class EnrollResponse(_message.Message):
    __slots__ = ("agent_id", "certificate_pem", "ca_pem", "session_address", "certificate_ttl_s")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_PEM_FIELD_NUMBER: _ClassVar[int]
    CA_PEM_FIELD_NUMBER: _ClassVar[int]
    SESSION_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_TTL_S_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    certificate_pem: bytes
    ca_pem: bytes
    session_address: str
    certificate_ttl_s: float
    def __init__(self, agent_id: _Optional[str] = ..., certificate_pem: _Optional[bytes] = ..., ca_pem: _Optional[bytes] = ..., session_address: _Optional[str] = ..., certificate_ttl_s: _Optional[float] = ...) -> None: ...

class RenewCertificateRequest(_message.Message):
    __slots__ = ("csr_pem",)
    CSR_PEM_FIELD_NUMBER: _ClassVar[int]
    csr_pem: bytes
    def __init__(self, csr_pem: _Optional[bytes] = ...) -> None: ...

class RenewCertificateResponse(_message.Message):
    __slots__ = ("certificate_pem", "ca_pem", "certificate_ttl_s")
    CERTIFICATE_PEM_FIELD_NUMBER: _ClassVar[int]
    CA_PEM_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_TTL_S_FIELD_NUMBER: _ClassVar[int]
    certificate_pem: bytes
    ca_pem: bytes
    certificate_ttl_s: float
    def __init__(self, certificate_pem: _Optional[bytes] = ..., ca_pem: _Optional[bytes] = ..., certificate_ttl_s: _Optional[float] = ...) -> None: ...

class SessionRequest(_message.Message):
    __slots__ = ("sequence", "hello", "heartbeat", "progress", "results")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    hello: Hello
    heartbeat: Heartbeat
    progress: _containers.RepeatedCompositeFieldContainer[AttemptProgress]
    results: _containers.RepeatedCompositeFieldContainer[AttemptResult]
    def __init__(self, sequence: _Optional[int] = ..., hello: _Optional[_Union[Hello, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., progress: _Optional[_Iterable[_Union[AttemptProgress, _Mapping]]] = ..., results: _Optional[_Iterable[_Union[AttemptResult, _Mapping]]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("incarnation", "agent_version", "kinds", "datastores", "labels", "slots", "held", "boot_id", "draining", "facts", "release", "witnessed", "state_place")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    AGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    DATASTORES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    WITNESSED_FIELD_NUMBER: _ClassVar[int]
    STATE_PLACE_FIELD_NUMBER: _ClassVar[int]
    incarnation: int
    agent_version: str
    kinds: _containers.RepeatedScalarFieldContainer[str]
    datastores: _containers.RepeatedScalarFieldContainer[str]
    labels: _containers.ScalarMap[str, str]
    slots: int
    held: _containers.RepeatedCompositeFieldContainer[HeldAttempt]
    boot_id: str
    draining: bool
    facts: _release_pb2.HostFacts
    release: _release_pb2.ReleaseStatus
    witnessed: _audit_pb2.TreeHead
    state_place: str
    def __init__(self, incarnation: _Optional[int] = ..., agent_version: _Optional[str] = ..., kinds: _Optional[_Iterable[str]] = ..., datastores: _Optional[_Iterable[str]] = ..., labels: _Optional[_Mapping[str, str]] = ..., slots: _Optional[int] = ..., held: _Optional[_Iterable[_Union[HeldAttempt, _Mapping]]] = ..., boot_id: _Optional[str] = ..., draining: _Optional[bool] = ..., facts: _Optional[_Union[_release_pb2.HostFacts, _Mapping]] = ..., release: _Optional[_Union[_release_pb2.ReleaseStatus, _Mapping]] = ..., witnessed: _Optional[_Union[_audit_pb2.TreeHead, _Mapping]] = ..., state_place: _Optional[str] = ...) -> None: ...

class HeldAttempt(_message.Message):
    __slots__ = ("attempt_id", "fence", "watermark")
    ATTEMPT_ID_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_FIELD_NUMBER: _ClassVar[int]
    attempt_id: str
    fence: int
    watermark: int
    def __init__(self, attempt_id: _Optional[str] = ..., fence: _Optional[int] = ..., watermark: _Optional[int] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("held", "sample", "release", "witnessed")
    HELD_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    WITNESSED_FIELD_NUMBER: _ClassVar[int]
    held: _containers.RepeatedCompositeFieldContainer[HeldAttempt]
    sample: HostSample
    release: _release_pb2.ReleaseStatus
    witnessed: _audit_pb2.TreeHead
    def __init__(self, held: _Optional[_Iterable[_Union[HeldAttempt, _Mapping]]] = ..., sample: _Optional[_Union[HostSample, _Mapping]] = ..., release: _Optional[_Union[_release_pb2.ReleaseStatus, _Mapping]] = ..., witnessed: _Optional[_Union[_audit_pb2.TreeHead, _Mapping]] = ...) -> None: ...

class HostSample(_message.Message):
    __slots__ = ("cpu_fraction", "memory_used_bytes", "memory_total_bytes", "disk_free_bytes", "agent_rss_bytes", "agent_cpu_cores")
    CPU_FRACTION_FIELD_NUMBER: _ClassVar[int]
    MEMORY_USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    AGENT_RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    AGENT_CPU_CORES_FIELD_NUMBER: _ClassVar[int]
    cpu_fraction: float
    memory_used_bytes: int
    memory_total_bytes: int
    disk_free_bytes: int
    agent_rss_bytes: int
    agent_cpu_cores: float
    def __init__(self, cpu_fraction: _Optional[float] = ..., memory_used_bytes: _Optional[int] = ..., memory_total_bytes: _Optional[int] = ..., disk_free_bytes: _Optional[int] = ..., agent_rss_bytes: _Optional[int] = ..., agent_cpu_cores: _Optional[float] = ...) -> None: ...

class AttemptProgress(_message.Message):
    __slots__ = ("attempt_id", "fence", "watermark", "total", "done_bytes", "stage", "started")
    ATTEMPT_ID_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    DONE_BYTES_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    attempt_id: str
    fence: int
    watermark: int
    total: int
    done_bytes: int
    stage: str
    started: bool
    def __init__(self, attempt_id: _Optional[str] = ..., fence: _Optional[int] = ..., watermark: _Optional[int] = ..., total: _Optional[int] = ..., done_bytes: _Optional[int] = ..., stage: _Optional[str] = ..., started: _Optional[bool] = ...) -> None: ...

class AttemptResult(_message.Message):
    __slots__ = ("attempt_id", "fence", "outcome", "result", "failure", "use")
    ATTEMPT_ID_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    USE_FIELD_NUMBER: _ClassVar[int]
    attempt_id: str
    fence: int
    outcome: AttemptOutcome
    result: bytes
    failure: AttemptFailure
    use: ResourceUse
    def __init__(self, attempt_id: _Optional[str] = ..., fence: _Optional[int] = ..., outcome: _Optional[_Union[AttemptOutcome, str]] = ..., result: _Optional[bytes] = ..., failure: _Optional[_Union[AttemptFailure, _Mapping]] = ..., use: _Optional[_Union[ResourceUse, _Mapping]] = ...) -> None: ...

class AttemptFailure(_message.Message):
    __slots__ = ("code", "message", "hint", "retryable", "unreachable")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    UNREACHABLE_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    hint: str
    retryable: bool
    unreachable: bool
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., hint: _Optional[str] = ..., retryable: _Optional[bool] = ..., unreachable: _Optional[bool] = ...) -> None: ...

class ResourceUse(_message.Message):
    __slots__ = ("wall_s", "cpu_s", "rss_bytes_max", "read_bytes", "written_bytes", "memory_limit_bytes")
    WALL_S_FIELD_NUMBER: _ClassVar[int]
    CPU_S_FIELD_NUMBER: _ClassVar[int]
    RSS_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    READ_BYTES_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    wall_s: float
    cpu_s: float
    rss_bytes_max: int
    read_bytes: int
    written_bytes: int
    memory_limit_bytes: int
    def __init__(self, wall_s: _Optional[float] = ..., cpu_s: _Optional[float] = ..., rss_bytes_max: _Optional[int] = ..., read_bytes: _Optional[int] = ..., written_bytes: _Optional[int] = ..., memory_limit_bytes: _Optional[int] = ...) -> None: ...

class SessionResponse(_message.Message):
    __slots__ = ("welcome", "renewals", "acknowledged_attempt_ids", "grants", "directives", "shown_head")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    RENEWALS_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_ATTEMPT_IDS_FIELD_NUMBER: _ClassVar[int]
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    DIRECTIVES_FIELD_NUMBER: _ClassVar[int]
    SHOWN_HEAD_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    renewals: _containers.RepeatedCompositeFieldContainer[LeaseRenewal]
    acknowledged_attempt_ids: _containers.RepeatedScalarFieldContainer[str]
    grants: _containers.RepeatedCompositeFieldContainer[LeaseGrant]
    directives: _containers.RepeatedCompositeFieldContainer[Directive]
    shown_head: _audit_pb2.ShownHead
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., renewals: _Optional[_Iterable[_Union[LeaseRenewal, _Mapping]]] = ..., acknowledged_attempt_ids: _Optional[_Iterable[str]] = ..., grants: _Optional[_Iterable[_Union[LeaseGrant, _Mapping]]] = ..., directives: _Optional[_Iterable[_Union[Directive, _Mapping]]] = ..., shown_head: _Optional[_Union[_audit_pb2.ShownHead, _Mapping]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("agent_id", "heartbeat_s", "disconnected_max_s", "controlplane_version", "renew_in_s")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_S_FIELD_NUMBER: _ClassVar[int]
    DISCONNECTED_MAX_S_FIELD_NUMBER: _ClassVar[int]
    CONTROLPLANE_VERSION_FIELD_NUMBER: _ClassVar[int]
    RENEW_IN_S_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    heartbeat_s: float
    disconnected_max_s: float
    controlplane_version: str
    renew_in_s: float
    def __init__(self, agent_id: _Optional[str] = ..., heartbeat_s: _Optional[float] = ..., disconnected_max_s: _Optional[float] = ..., controlplane_version: _Optional[str] = ..., renew_in_s: _Optional[float] = ...) -> None: ...

class LeaseRenewal(_message.Message):
    __slots__ = ("attempt_id", "fence", "ttl_s", "asked_in_sequence")
    ATTEMPT_ID_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    TTL_S_FIELD_NUMBER: _ClassVar[int]
    ASKED_IN_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    attempt_id: str
    fence: int
    ttl_s: float
    asked_in_sequence: int
    def __init__(self, attempt_id: _Optional[str] = ..., fence: _Optional[int] = ..., ttl_s: _Optional[float] = ..., asked_in_sequence: _Optional[int] = ...) -> None: ...

class LeaseGrant(_message.Message):
    __slots__ = ("attempt_id", "step_id", "migration_id", "step_name", "kind", "number", "fence", "target", "direction", "params", "forward_result", "ttl_s", "start_to_finish_s", "progress_s", "evict_attempt_ids", "discard_changes")
    ATTEMPT_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_ID_FIELD_NUMBER: _ClassVar[int]
    MIGRATION_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    FORWARD_RESULT_FIELD_NUMBER: _ClassVar[int]
    TTL_S_FIELD_NUMBER: _ClassVar[int]
    START_TO_FINISH_S_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_S_FIELD_NUMBER: _ClassVar[int]
    EVICT_ATTEMPT_IDS_FIELD_NUMBER: _ClassVar[int]
    DISCARD_CHANGES_FIELD_NUMBER: _ClassVar[int]
    attempt_id: str
    step_id: str
    migration_id: str
    step_name: str
    kind: str
    number: int
    fence: int
    target: str
    direction: Direction
    params: bytes
    forward_result: bytes
    ttl_s: float
    start_to_finish_s: float
    progress_s: float
    evict_attempt_ids: _containers.RepeatedScalarFieldContainer[str]
    discard_changes: bool
    def __init__(self, attempt_id: _Optional[str] = ..., step_id: _Optional[str] = ..., migration_id: _Optional[str] = ..., step_name: _Optional[str] = ..., kind: _Optional[str] = ..., number: _Optional[int] = ..., fence: _Optional[int] = ..., target: _Optional[str] = ..., direction: _Optional[_Union[Direction, str]] = ..., params: _Optional[bytes] = ..., forward_result: _Optional[bytes] = ..., ttl_s: _Optional[float] = ..., start_to_finish_s: _Optional[float] = ..., progress_s: _Optional[float] = ..., evict_attempt_ids: _Optional[_Iterable[str]] = ..., discard_changes: _Optional[bool] = ...) -> None: ...

class Directive(_message.Message):
    __slots__ = ("cancel", "drain", "resume", "upgrade", "cancel_upgrade", "renew_identity")
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    UPGRADE_FIELD_NUMBER: _ClassVar[int]
    CANCEL_UPGRADE_FIELD_NUMBER: _ClassVar[int]
    RENEW_IDENTITY_FIELD_NUMBER: _ClassVar[int]
    cancel: CancelAttempt
    drain: Drain
    resume: Resume
    upgrade: _release_pb2.Upgrade
    cancel_upgrade: _release_pb2.CancelUpgrade
    renew_identity: RenewIdentity
    def __init__(self, cancel: _Optional[_Union[CancelAttempt, _Mapping]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ..., resume: _Optional[_Union[Resume, _Mapping]] = ..., upgrade: _Optional[_Union[_release_pb2.Upgrade, _Mapping]] = ..., cancel_upgrade: _Optional[_Union[_release_pb2.CancelUpgrade, _Mapping]] = ..., renew_identity: _Optional[_Union[RenewIdentity, _Mapping]] = ...) -> None: ...

class CancelAttempt(_message.Message):
    __slots__ = ("attempt_id", "fence", "reason")
    ATTEMPT_ID_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    attempt_id: str
    fence: int
    reason: str
    def __init__(self, attempt_id: _Optional[str] = ..., fence: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class Drain(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Resume(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RenewIdentity(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class LogsRequest(_message.Message):
    __slots__ = ("attempt_id", "offset", "data", "dropped_bytes", "last")
    ATTEMPT_ID_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    DROPPED_BYTES_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    attempt_id: str
    offset: int
    data: bytes
    dropped_bytes: int
    last: bool
    def __init__(self, attempt_id: _Optional[str] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ..., dropped_bytes: _Optional[int] = ..., last: _Optional[bool] = ...) -> None: ...

class LogsResponse(_message.Message):
    __slots__ = ("attempt_id", "stored_offset")
    ATTEMPT_ID_FIELD_NUMBER: _ClassVar[int]
    STORED_OFFSET_FIELD_NUMBER: _ClassVar[int]
    attempt_id: str
    stored_offset: int
    def __init__(self, attempt_id: _Optional[str] = ..., stored_offset: _Optional[int] = ...) -> None: ...
