from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReleaseState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RELEASE_STATE_UNSPECIFIED: _ClassVar[ReleaseState]
    RELEASE_STATE_KEPT: _ClassVar[ReleaseState]
    RELEASE_STATE_FETCHING: _ClassVar[ReleaseState]
    RELEASE_STATE_STAGED: _ClassVar[ReleaseState]
    RELEASE_STATE_PROBATION: _ClassVar[ReleaseState]
    RELEASE_STATE_ROLLED_BACK: _ClassVar[ReleaseState]
    RELEASE_STATE_HELD: _ClassVar[ReleaseState]
    RELEASE_STATE_REFUSED: _ClassVar[ReleaseState]
RELEASE_STATE_UNSPECIFIED: ReleaseState
RELEASE_STATE_KEPT: ReleaseState
RELEASE_STATE_FETCHING: ReleaseState
RELEASE_STATE_STAGED: ReleaseState
RELEASE_STATE_PROBATION: ReleaseState
RELEASE_STATE_ROLLED_BACK: ReleaseState
RELEASE_STATE_HELD: ReleaseState
RELEASE_STATE_REFUSED: ReleaseState

class HostFacts(_message.Message):
    __slots__ = ("os", "os_version", "architecture", "cores", "memory_bytes", "time_zone")
    OS_FIELD_NUMBER: _ClassVar[int]
    OS_VERSION_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    CORES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    os: str
    os_version: str
    architecture: str
    cores: int
    memory_bytes: int
    time_zone: str
    def __init__(self, os: _Optional[str] = ..., os_version: _Optional[str] = ..., architecture: _Optional[str] = ..., cores: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., time_zone: _Optional[str] = ...) -> None: ...

class ReleaseStatus(_message.Message):
    __slots__ = ("version", "digest", "previous_digest", "state", "rollout_id", "wanted_digest", "cause_code", "cause", "failed_digests", "pin", "opted_out", "fetched_bytes", "black_box_stored")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ROLLOUT_ID_FIELD_NUMBER: _ClassVar[int]
    WANTED_DIGEST_FIELD_NUMBER: _ClassVar[int]
    CAUSE_CODE_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    FAILED_DIGESTS_FIELD_NUMBER: _ClassVar[int]
    PIN_FIELD_NUMBER: _ClassVar[int]
    OPTED_OUT_FIELD_NUMBER: _ClassVar[int]
    FETCHED_BYTES_FIELD_NUMBER: _ClassVar[int]
    BLACK_BOX_STORED_FIELD_NUMBER: _ClassVar[int]
    version: str
    digest: str
    previous_digest: str
    state: ReleaseState
    rollout_id: str
    wanted_digest: str
    cause_code: str
    cause: str
    failed_digests: _containers.RepeatedScalarFieldContainer[str]
    pin: str
    opted_out: bool
    fetched_bytes: int
    black_box_stored: bool
    def __init__(self, version: _Optional[str] = ..., digest: _Optional[str] = ..., previous_digest: _Optional[str] = ..., state: _Optional[_Union[ReleaseState, str]] = ..., rollout_id: _Optional[str] = ..., wanted_digest: _Optional[str] = ..., cause_code: _Optional[str] = ..., cause: _Optional[str] = ..., failed_digests: _Optional[_Iterable[str]] = ..., pin: _Optional[str] = ..., opted_out: _Optional[bool] = ..., fetched_bytes: _Optional[int] = ..., black_box_stored: _Optional[bool] = ...) -> None: ...

class Upgrade(_message.Message):
    __slots__ = ("rollout_id", "version", "digest", "target_path", "probation_s", "bytes_per_s_max")
    ROLLOUT_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    TARGET_PATH_FIELD_NUMBER: _ClassVar[int]
    PROBATION_S_FIELD_NUMBER: _ClassVar[int]
    BYTES_PER_S_MAX_FIELD_NUMBER: _ClassVar[int]
    rollout_id: str
    version: str
    digest: str
    target_path: str
    probation_s: float
    bytes_per_s_max: int
    def __init__(self, rollout_id: _Optional[str] = ..., version: _Optional[str] = ..., digest: _Optional[str] = ..., target_path: _Optional[str] = ..., probation_s: _Optional[float] = ..., bytes_per_s_max: _Optional[int] = ...) -> None: ...

class CancelUpgrade(_message.Message):
    __slots__ = ("rollout_id", "reason")
    ROLLOUT_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    rollout_id: str
    reason: str
    def __init__(self, rollout_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...
