from haulier.v1 import operator_pb2 as _operator_pb2
from haulier.v1 import release_pb2 as _release_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WaveView(_message.Message):
    __slots__ = ("wave", "hosts", "states")
    class StatesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    WAVE_FIELD_NUMBER: _ClassVar[int]
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    wave: int
    hosts: int
    states: _containers.ScalarMap[str, int]
    def __init__(self, wave: _Optional[int] = ..., hosts: _Optional[int] = ..., states: _Optional[_Mapping[str, int]] = ...) -> None: ...

class RolloutView(_message.Message):
    __slots__ = ("rollout_id", "fleet", "version", "state", "wave", "waves", "soak_left_s", "halt_code", "halt_cause", "halted_wave", "hosts", "asked", "in_flight_max", "elapsed_s", "created_by", "reason", "healthy_s", "trouble", "shares", "soak_s")
    ROLLOUT_ID_FIELD_NUMBER: _ClassVar[int]
    FLEET_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    WAVE_FIELD_NUMBER: _ClassVar[int]
    WAVES_FIELD_NUMBER: _ClassVar[int]
    SOAK_LEFT_S_FIELD_NUMBER: _ClassVar[int]
    HALT_CODE_FIELD_NUMBER: _ClassVar[int]
    HALT_CAUSE_FIELD_NUMBER: _ClassVar[int]
    HALTED_WAVE_FIELD_NUMBER: _ClassVar[int]
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    ASKED_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_MAX_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_S_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    HEALTHY_S_FIELD_NUMBER: _ClassVar[int]
    TROUBLE_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    SOAK_S_FIELD_NUMBER: _ClassVar[int]
    rollout_id: str
    fleet: str
    version: str
    state: str
    wave: int
    waves: _containers.RepeatedCompositeFieldContainer[WaveView]
    soak_left_s: float
    halt_code: str
    halt_cause: str
    halted_wave: int
    hosts: int
    asked: int
    in_flight_max: int
    elapsed_s: float
    created_by: str
    reason: str
    healthy_s: float
    trouble: str
    shares: _containers.RepeatedScalarFieldContainer[float]
    soak_s: float
    def __init__(self, rollout_id: _Optional[str] = ..., fleet: _Optional[str] = ..., version: _Optional[str] = ..., state: _Optional[str] = ..., wave: _Optional[int] = ..., waves: _Optional[_Iterable[_Union[WaveView, _Mapping]]] = ..., soak_left_s: _Optional[float] = ..., halt_code: _Optional[str] = ..., halt_cause: _Optional[str] = ..., halted_wave: _Optional[int] = ..., hosts: _Optional[int] = ..., asked: _Optional[int] = ..., in_flight_max: _Optional[int] = ..., elapsed_s: _Optional[float] = ..., created_by: _Optional[str] = ..., reason: _Optional[str] = ..., healthy_s: _Optional[float] = ..., trouble: _Optional[str] = ..., shares: _Optional[_Iterable[float]] = ..., soak_s: _Optional[float] = ...) -> None: ...

class RolloutHostView(_message.Message):
    __slots__ = ("name", "agent_id", "wave", "state", "from_version", "running_version", "cause_code", "cause", "groups", "steps_after", "failed_after")
    NAME_FIELD_NUMBER: _ClassVar[int]
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    WAVE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    FROM_VERSION_FIELD_NUMBER: _ClassVar[int]
    RUNNING_VERSION_FIELD_NUMBER: _ClassVar[int]
    CAUSE_CODE_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    STEPS_AFTER_FIELD_NUMBER: _ClassVar[int]
    FAILED_AFTER_FIELD_NUMBER: _ClassVar[int]
    name: str
    agent_id: str
    wave: int
    state: str
    from_version: str
    running_version: str
    cause_code: str
    cause: str
    groups: _containers.RepeatedScalarFieldContainer[str]
    steps_after: int
    failed_after: int
    def __init__(self, name: _Optional[str] = ..., agent_id: _Optional[str] = ..., wave: _Optional[int] = ..., state: _Optional[str] = ..., from_version: _Optional[str] = ..., running_version: _Optional[str] = ..., cause_code: _Optional[str] = ..., cause: _Optional[str] = ..., groups: _Optional[_Iterable[str]] = ..., steps_after: _Optional[int] = ..., failed_after: _Optional[int] = ...) -> None: ...

class CreateRolloutRequest(_message.Message):
    __slots__ = ("fleet", "version", "request_id", "propose", "supersede", "reason")
    FLEET_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PROPOSE_FIELD_NUMBER: _ClassVar[int]
    SUPERSEDE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    version: str
    request_id: str
    propose: bool
    supersede: bool
    reason: str
    def __init__(self, fleet: _Optional[str] = ..., version: _Optional[str] = ..., request_id: _Optional[str] = ..., propose: _Optional[bool] = ..., supersede: _Optional[bool] = ..., reason: _Optional[str] = ...) -> None: ...

class CreateRolloutResponse(_message.Message):
    __slots__ = ("rollout",)
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    rollout: RolloutView
    def __init__(self, rollout: _Optional[_Union[RolloutView, _Mapping]] = ...) -> None: ...

class GetRolloutRequest(_message.Message):
    __slots__ = ("rollout", "with_hosts")
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    WITH_HOSTS_FIELD_NUMBER: _ClassVar[int]
    rollout: str
    with_hosts: bool
    def __init__(self, rollout: _Optional[str] = ..., with_hosts: _Optional[bool] = ...) -> None: ...

class GetRolloutResponse(_message.Message):
    __slots__ = ("rollout", "hosts")
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    rollout: RolloutView
    hosts: _containers.RepeatedCompositeFieldContainer[RolloutHostView]
    def __init__(self, rollout: _Optional[_Union[RolloutView, _Mapping]] = ..., hosts: _Optional[_Iterable[_Union[RolloutHostView, _Mapping]]] = ...) -> None: ...

class ListRolloutsRequest(_message.Message):
    __slots__ = ("fleet", "page_size")
    FLEET_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    page_size: int
    def __init__(self, fleet: _Optional[str] = ..., page_size: _Optional[int] = ...) -> None: ...

class ListRolloutsResponse(_message.Message):
    __slots__ = ("rollouts",)
    ROLLOUTS_FIELD_NUMBER: _ClassVar[int]
    rollouts: _containers.RepeatedCompositeFieldContainer[RolloutView]
    def __init__(self, rollouts: _Optional[_Iterable[_Union[RolloutView, _Mapping]]] = ...) -> None: ...

class WatchRolloutRequest(_message.Message):
    __slots__ = ("rollout",)
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    rollout: str
    def __init__(self, rollout: _Optional[str] = ...) -> None: ...

class WatchRolloutResponse(_message.Message):
    __slots__ = ("rollout",)
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    rollout: RolloutView
    def __init__(self, rollout: _Optional[_Union[RolloutView, _Mapping]] = ...) -> None: ...

class StartRolloutRequest(_message.Message):
    __slots__ = ("rollout",)
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    rollout: str
    def __init__(self, rollout: _Optional[str] = ...) -> None: ...

class StartRolloutResponse(_message.Message):
    __slots__ = ("rollout",)
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    rollout: RolloutView
    def __init__(self, rollout: _Optional[_Union[RolloutView, _Mapping]] = ...) -> None: ...

class PauseRolloutRequest(_message.Message):
    __slots__ = ("rollout", "reason")
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    rollout: str
    reason: str
    def __init__(self, rollout: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class PauseRolloutResponse(_message.Message):
    __slots__ = ("rollout",)
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    rollout: RolloutView
    def __init__(self, rollout: _Optional[_Union[RolloutView, _Mapping]] = ...) -> None: ...

class ResumeRolloutRequest(_message.Message):
    __slots__ = ("rollout", "reason")
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    rollout: str
    reason: str
    def __init__(self, rollout: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ResumeRolloutResponse(_message.Message):
    __slots__ = ("rollout",)
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    rollout: RolloutView
    def __init__(self, rollout: _Optional[_Union[RolloutView, _Mapping]] = ...) -> None: ...

class CancelRolloutRequest(_message.Message):
    __slots__ = ("rollout", "reason")
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    rollout: str
    reason: str
    def __init__(self, rollout: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class CancelRolloutResponse(_message.Message):
    __slots__ = ("rollout",)
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    rollout: RolloutView
    def __init__(self, rollout: _Optional[_Union[RolloutView, _Mapping]] = ...) -> None: ...

class ReturnRolloutRequest(_message.Message):
    __slots__ = ("rollout", "reason")
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    rollout: str
    reason: str
    def __init__(self, rollout: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ReturnRolloutResponse(_message.Message):
    __slots__ = ("rollout",)
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    rollout: RolloutView
    def __init__(self, rollout: _Optional[_Union[RolloutView, _Mapping]] = ...) -> None: ...

class GetFleetStatusRequest(_message.Message):
    __slots__ = ("fleet",)
    FLEET_FIELD_NUMBER: _ClassVar[int]
    fleet: str
    def __init__(self, fleet: _Optional[str] = ...) -> None: ...

class FleetView(_message.Message):
    __slots__ = ("name", "desired_release", "desired_replicas", "agents", "ready", "on_release", "versions", "rollout", "problems")
    class VersionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESIRED_RELEASE_FIELD_NUMBER: _ClassVar[int]
    DESIRED_REPLICAS_FIELD_NUMBER: _ClassVar[int]
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    ON_RELEASE_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    name: str
    desired_release: str
    desired_replicas: int
    agents: int
    ready: int
    on_release: int
    versions: _containers.ScalarMap[str, int]
    rollout: RolloutView
    problems: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., desired_release: _Optional[str] = ..., desired_replicas: _Optional[int] = ..., agents: _Optional[int] = ..., ready: _Optional[int] = ..., on_release: _Optional[int] = ..., versions: _Optional[_Mapping[str, int]] = ..., rollout: _Optional[_Union[RolloutView, _Mapping]] = ..., problems: _Optional[_Iterable[str]] = ...) -> None: ...

class BacklogView(_message.Message):
    __slots__ = ("placement_class", "kind", "datastores", "labels", "ready", "running", "oldest_s")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PLACEMENT_CLASS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DATASTORES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    OLDEST_S_FIELD_NUMBER: _ClassVar[int]
    placement_class: str
    kind: str
    datastores: _containers.RepeatedScalarFieldContainer[str]
    labels: _containers.ScalarMap[str, str]
    ready: int
    running: int
    oldest_s: float
    def __init__(self, placement_class: _Optional[str] = ..., kind: _Optional[str] = ..., datastores: _Optional[_Iterable[str]] = ..., labels: _Optional[_Mapping[str, str]] = ..., ready: _Optional[int] = ..., running: _Optional[int] = ..., oldest_s: _Optional[float] = ...) -> None: ...

class GetFleetStatusResponse(_message.Message):
    __slots__ = ("fleets", "backlog")
    FLEETS_FIELD_NUMBER: _ClassVar[int]
    BACKLOG_FIELD_NUMBER: _ClassVar[int]
    fleets: _containers.RepeatedCompositeFieldContainer[FleetView]
    backlog: _containers.RepeatedCompositeFieldContainer[BacklogView]
    def __init__(self, fleets: _Optional[_Iterable[_Union[FleetView, _Mapping]]] = ..., backlog: _Optional[_Iterable[_Union[BacklogView, _Mapping]]] = ...) -> None: ...

class ListHostsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class HostView(_message.Message):
    __slots__ = ("name", "agent_id", "facts", "release", "labels", "cordon_reason", "liveness", "slots", "leases")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    CORDON_REASON_FIELD_NUMBER: _ClassVar[int]
    LIVENESS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    LEASES_FIELD_NUMBER: _ClassVar[int]
    name: str
    agent_id: str
    facts: _release_pb2.HostFacts
    release: _release_pb2.ReleaseStatus
    labels: _containers.ScalarMap[str, str]
    cordon_reason: str
    liveness: str
    slots: int
    leases: int
    def __init__(self, name: _Optional[str] = ..., agent_id: _Optional[str] = ..., facts: _Optional[_Union[_release_pb2.HostFacts, _Mapping]] = ..., release: _Optional[_Union[_release_pb2.ReleaseStatus, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., cordon_reason: _Optional[str] = ..., liveness: _Optional[str] = ..., slots: _Optional[int] = ..., leases: _Optional[int] = ...) -> None: ...

class ListHostsResponse(_message.Message):
    __slots__ = ("hosts",)
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    hosts: _containers.RepeatedCompositeFieldContainer[HostView]
    def __init__(self, hosts: _Optional[_Iterable[_Union[HostView, _Mapping]]] = ...) -> None: ...

class LabelAgentRequest(_message.Message):
    __slots__ = ("agent", "labels", "removed", "cleared")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    AGENT_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    CLEARED_FIELD_NUMBER: _ClassVar[int]
    agent: str
    labels: _containers.ScalarMap[str, str]
    removed: _containers.RepeatedScalarFieldContainer[str]
    cleared: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, agent: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., removed: _Optional[_Iterable[str]] = ..., cleared: _Optional[_Iterable[str]] = ...) -> None: ...

class LabelAgentResponse(_message.Message):
    __slots__ = ("agent",)
    AGENT_FIELD_NUMBER: _ClassVar[int]
    agent: _operator_pb2.AgentView
    def __init__(self, agent: _Optional[_Union[_operator_pb2.AgentView, _Mapping]] = ...) -> None: ...

class CordonAgentRequest(_message.Message):
    __slots__ = ("agent", "reason")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    agent: str
    reason: str
    def __init__(self, agent: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class CordonAgentResponse(_message.Message):
    __slots__ = ("agent",)
    AGENT_FIELD_NUMBER: _ClassVar[int]
    agent: _operator_pb2.AgentView
    def __init__(self, agent: _Optional[_Union[_operator_pb2.AgentView, _Mapping]] = ...) -> None: ...

class UncordonAgentRequest(_message.Message):
    __slots__ = ("agent",)
    AGENT_FIELD_NUMBER: _ClassVar[int]
    agent: str
    def __init__(self, agent: _Optional[str] = ...) -> None: ...

class UncordonAgentResponse(_message.Message):
    __slots__ = ("agent",)
    AGENT_FIELD_NUMBER: _ClassVar[int]
    agent: _operator_pb2.AgentView
    def __init__(self, agent: _Optional[_Union[_operator_pb2.AgentView, _Mapping]] = ...) -> None: ...

class DecommissionAgentRequest(_message.Message):
    __slots__ = ("agent", "reason", "force")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    agent: str
    reason: str
    force: bool
    def __init__(self, agent: _Optional[str] = ..., reason: _Optional[str] = ..., force: _Optional[bool] = ...) -> None: ...

class DecommissionAgentResponse(_message.Message):
    __slots__ = ("agent",)
    AGENT_FIELD_NUMBER: _ClassVar[int]
    agent: _operator_pb2.AgentView
    def __init__(self, agent: _Optional[_Union[_operator_pb2.AgentView, _Mapping]] = ...) -> None: ...
