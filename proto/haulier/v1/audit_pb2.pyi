from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TreeHead(_message.Message):
    __slots__ = ("size", "root_hash", "signature", "key_id", "era")
    SIZE_FIELD_NUMBER: _ClassVar[int]
    ROOT_HASH_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    ERA_FIELD_NUMBER: _ClassVar[int]
    size: int
    root_hash: bytes
    signature: bytes
    key_id: str
    era: int
    def __init__(self, size: _Optional[int] = ..., root_hash: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., key_id: _Optional[str] = ..., era: _Optional[int] = ...) -> None: ...

class LogEra(_message.Message):
    __slots__ = ("era", "size", "root_hash", "generation", "reason", "signature", "public_key")
    ERA_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    ROOT_HASH_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    era: int
    size: int
    root_hash: bytes
    generation: int
    reason: str
    signature: bytes
    public_key: bytes
    def __init__(self, era: _Optional[int] = ..., size: _Optional[int] = ..., root_hash: _Optional[bytes] = ..., generation: _Optional[int] = ..., reason: _Optional[str] = ..., signature: _Optional[bytes] = ..., public_key: _Optional[bytes] = ...) -> None: ...

class ShownHead(_message.Message):
    __slots__ = ("head", "since_size", "consistency", "begun")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    SINCE_SIZE_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    BEGUN_FIELD_NUMBER: _ClassVar[int]
    head: TreeHead
    since_size: int
    consistency: _containers.RepeatedScalarFieldContainer[bytes]
    begun: LogEra
    def __init__(self, head: _Optional[_Union[TreeHead, _Mapping]] = ..., since_size: _Optional[int] = ..., consistency: _Optional[_Iterable[bytes]] = ..., begun: _Optional[_Union[LogEra, _Mapping]] = ...) -> None: ...

class AuditEntry(_message.Message):
    __slots__ = ("position", "at", "type", "subject", "migration_id", "attempt_id", "agent_id", "fence", "detail", "archived_leaf")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    MIGRATION_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    ARCHIVED_LEAF_FIELD_NUMBER: _ClassVar[int]
    position: int
    at: float
    type: str
    subject: str
    migration_id: str
    attempt_id: str
    agent_id: str
    fence: int
    detail: str
    archived_leaf: bytes
    def __init__(self, position: _Optional[int] = ..., at: _Optional[float] = ..., type: _Optional[str] = ..., subject: _Optional[str] = ..., migration_id: _Optional[str] = ..., attempt_id: _Optional[str] = ..., agent_id: _Optional[str] = ..., fence: _Optional[int] = ..., detail: _Optional[str] = ..., archived_leaf: _Optional[bytes] = ...) -> None: ...

class WitnessView(_message.Message):
    __slots__ = ("agent", "era", "size", "contradiction")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    ERA_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    CONTRADICTION_FIELD_NUMBER: _ClassVar[int]
    agent: str
    era: int
    size: int
    contradiction: str
    def __init__(self, agent: _Optional[str] = ..., era: _Optional[int] = ..., size: _Optional[int] = ..., contradiction: _Optional[str] = ...) -> None: ...

class GetAuditRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetAuditResponse(_message.Message):
    __slots__ = ("head", "public_key", "eras", "troubles", "witnesses", "checked_entries", "archived_position")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    ERAS_FIELD_NUMBER: _ClassVar[int]
    TROUBLES_FIELD_NUMBER: _ClassVar[int]
    WITNESSES_FIELD_NUMBER: _ClassVar[int]
    CHECKED_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    ARCHIVED_POSITION_FIELD_NUMBER: _ClassVar[int]
    head: TreeHead
    public_key: bytes
    eras: _containers.RepeatedCompositeFieldContainer[LogEra]
    troubles: _containers.RepeatedScalarFieldContainer[str]
    witnesses: _containers.RepeatedCompositeFieldContainer[WitnessView]
    checked_entries: int
    archived_position: int
    def __init__(self, head: _Optional[_Union[TreeHead, _Mapping]] = ..., public_key: _Optional[bytes] = ..., eras: _Optional[_Iterable[_Union[LogEra, _Mapping]]] = ..., troubles: _Optional[_Iterable[str]] = ..., witnesses: _Optional[_Iterable[_Union[WitnessView, _Mapping]]] = ..., checked_entries: _Optional[int] = ..., archived_position: _Optional[int] = ...) -> None: ...

class StreamEntriesRequest(_message.Message):
    __slots__ = ("after", "up_to")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    UP_TO_FIELD_NUMBER: _ClassVar[int]
    after: int
    up_to: int
    def __init__(self, after: _Optional[int] = ..., up_to: _Optional[int] = ...) -> None: ...

class StreamEntriesResponse(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[AuditEntry]
    def __init__(self, entries: _Optional[_Iterable[_Union[AuditEntry, _Mapping]]] = ...) -> None: ...
