from haulier.v1 import operator_pb2 as _operator_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RevokeAgentRequest(_message.Message):
    __slots__ = ("agent", "reason")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    agent: str
    reason: str
    def __init__(self, agent: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RevokeAgentResponse(_message.Message):
    __slots__ = ("agent",)
    AGENT_FIELD_NUMBER: _ClassVar[int]
    agent: _operator_pb2.AgentView
    def __init__(self, agent: _Optional[_Union[_operator_pb2.AgentView, _Mapping]] = ...) -> None: ...

class AuthorityView(_message.Message):
    __slots__ = ("fingerprint", "ends_in_s", "next_fingerprint", "bundle_pem", "waiting_agents")
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    ENDS_IN_S_FIELD_NUMBER: _ClassVar[int]
    NEXT_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_PEM_FIELD_NUMBER: _ClassVar[int]
    WAITING_AGENTS_FIELD_NUMBER: _ClassVar[int]
    fingerprint: str
    ends_in_s: float
    next_fingerprint: str
    bundle_pem: bytes
    waiting_agents: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, fingerprint: _Optional[str] = ..., ends_in_s: _Optional[float] = ..., next_fingerprint: _Optional[str] = ..., bundle_pem: _Optional[bytes] = ..., waiting_agents: _Optional[_Iterable[str]] = ...) -> None: ...

class GetAuthorityRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetAuthorityResponse(_message.Message):
    __slots__ = ("authority",)
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    authority: AuthorityView
    def __init__(self, authority: _Optional[_Union[AuthorityView, _Mapping]] = ...) -> None: ...

class RotateAuthorityRequest(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class RotateAuthorityResponse(_message.Message):
    __slots__ = ("authority",)
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    authority: AuthorityView
    def __init__(self, authority: _Optional[_Union[AuthorityView, _Mapping]] = ...) -> None: ...

class RetireAuthorityRequest(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class RetireAuthorityResponse(_message.Message):
    __slots__ = ("authority",)
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    authority: AuthorityView
    def __init__(self, authority: _Optional[_Union[AuthorityView, _Mapping]] = ...) -> None: ...
