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

class OperatorTokenView(_message.Message):
    __slots__ = ("token_id", "name", "role", "owners", "state", "ends_in_s", "created_ago_s", "created_by")
    TOKEN_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    OWNERS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ENDS_IN_S_FIELD_NUMBER: _ClassVar[int]
    CREATED_AGO_S_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    token_id: str
    name: str
    role: str
    owners: _containers.RepeatedScalarFieldContainer[str]
    state: str
    ends_in_s: float
    created_ago_s: float
    created_by: str
    def __init__(self, token_id: _Optional[str] = ..., name: _Optional[str] = ..., role: _Optional[str] = ..., owners: _Optional[_Iterable[str]] = ..., state: _Optional[str] = ..., ends_in_s: _Optional[float] = ..., created_ago_s: _Optional[float] = ..., created_by: _Optional[str] = ...) -> None: ...

class CreateOperatorTokenRequest(_message.Message):
    __slots__ = ("name", "role", "owners", "ttl_s")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    OWNERS_FIELD_NUMBER: _ClassVar[int]
    TTL_S_FIELD_NUMBER: _ClassVar[int]
    name: str
    role: str
    owners: _containers.RepeatedScalarFieldContainer[str]
    ttl_s: float
    def __init__(self, name: _Optional[str] = ..., role: _Optional[str] = ..., owners: _Optional[_Iterable[str]] = ..., ttl_s: _Optional[float] = ...) -> None: ...

class CreateOperatorTokenResponse(_message.Message):
    __slots__ = ("token", "kept", "public_address", "ca_pem")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    CA_PEM_FIELD_NUMBER: _ClassVar[int]
    token: str
    kept: OperatorTokenView
    public_address: str
    ca_pem: bytes
    def __init__(self, token: _Optional[str] = ..., kept: _Optional[_Union[OperatorTokenView, _Mapping]] = ..., public_address: _Optional[str] = ..., ca_pem: _Optional[bytes] = ...) -> None: ...

class ListOperatorTokensRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListOperatorTokensResponse(_message.Message):
    __slots__ = ("tokens",)
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    tokens: _containers.RepeatedCompositeFieldContainer[OperatorTokenView]
    def __init__(self, tokens: _Optional[_Iterable[_Union[OperatorTokenView, _Mapping]]] = ...) -> None: ...

class RevokeOperatorTokenRequest(_message.Message):
    __slots__ = ("token_id", "reason")
    TOKEN_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    token_id: str
    reason: str
    def __init__(self, token_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RevokeOperatorTokenResponse(_message.Message):
    __slots__ = ("kept",)
    KEPT_FIELD_NUMBER: _ClassVar[int]
    kept: OperatorTokenView
    def __init__(self, kept: _Optional[_Union[OperatorTokenView, _Mapping]] = ...) -> None: ...

class ApprovalView(_message.Message):
    __slots__ = ("approval_id", "method", "summary", "asked_by", "state", "asked_ago_s", "expires_in_s", "decided_by", "reason", "items", "plan_hash")
    APPROVAL_ID_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    ASKED_BY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ASKED_AGO_S_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_IN_S_FIELD_NUMBER: _ClassVar[int]
    DECIDED_BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    PLAN_HASH_FIELD_NUMBER: _ClassVar[int]
    approval_id: str
    method: str
    summary: str
    asked_by: str
    state: str
    asked_ago_s: float
    expires_in_s: float
    decided_by: str
    reason: str
    items: _containers.RepeatedCompositeFieldContainer[ApprovalItem]
    plan_hash: str
    def __init__(self, approval_id: _Optional[str] = ..., method: _Optional[str] = ..., summary: _Optional[str] = ..., asked_by: _Optional[str] = ..., state: _Optional[str] = ..., asked_ago_s: _Optional[float] = ..., expires_in_s: _Optional[float] = ..., decided_by: _Optional[str] = ..., reason: _Optional[str] = ..., items: _Optional[_Iterable[_Union[ApprovalItem, _Mapping]]] = ..., plan_hash: _Optional[str] = ...) -> None: ...

class ApprovalItem(_message.Message):
    __slots__ = ("name", "state")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: str
    def __init__(self, name: _Optional[str] = ..., state: _Optional[str] = ...) -> None: ...

class GetApprovalRequest(_message.Message):
    __slots__ = ("approval_id",)
    APPROVAL_ID_FIELD_NUMBER: _ClassVar[int]
    approval_id: str
    def __init__(self, approval_id: _Optional[str] = ...) -> None: ...

class GetApprovalResponse(_message.Message):
    __slots__ = ("approval",)
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    approval: ApprovalView
    def __init__(self, approval: _Optional[_Union[ApprovalView, _Mapping]] = ...) -> None: ...

class ListApprovalsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListApprovalsResponse(_message.Message):
    __slots__ = ("approvals",)
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    approvals: _containers.RepeatedCompositeFieldContainer[ApprovalView]
    def __init__(self, approvals: _Optional[_Iterable[_Union[ApprovalView, _Mapping]]] = ...) -> None: ...

class DecideApprovalRequest(_message.Message):
    __slots__ = ("approval_id", "agreed", "reason")
    APPROVAL_ID_FIELD_NUMBER: _ClassVar[int]
    AGREED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    approval_id: str
    agreed: bool
    reason: str
    def __init__(self, approval_id: _Optional[str] = ..., agreed: _Optional[bool] = ..., reason: _Optional[str] = ...) -> None: ...

class DecideApprovalResponse(_message.Message):
    __slots__ = ("approval",)
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    approval: ApprovalView
    def __init__(self, approval: _Optional[_Union[ApprovalView, _Mapping]] = ...) -> None: ...
