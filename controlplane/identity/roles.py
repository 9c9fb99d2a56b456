"""Who may call which method. What is not listed is refused, for everybody.

A test walks every method of the contract, so that a new one without a rule fails before it ships.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Role(StrEnum):
    """What a caller has proven to be."""

    ANONYMOUS = "anonymous"
    AGENT = "agent"
    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"


OPERATOR_ROLES = frozenset({Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.ADMIN})
# Roles that can be over the data of certain owners instead of over everything.
OWNER_ROLES = frozenset({Role.VIEWER, Role.OPERATOR})

# Who sees values of rows that a Dataset lets leave its host. Others see keys, names of columns and shapes.
SEEING_VALUES = frozenset({Role.OPERATOR, Role.ADMIN})

_NEWCOMERS = frozenset({Role.ANONYMOUS})
_AGENTS = frozenset({Role.AGENT})
_READING = OPERATOR_ROLES
_CHANGING = frozenset({Role.OPERATOR, Role.ADMIN})
_ADMINISTERING = frozenset({Role.ADMIN})
# Not the administrators: whoever hands out roles must not be able to agree with himself.
_APPROVING = frozenset({Role.APPROVER})
_EVERYBODY = frozenset(Role)

RULES: Mapping[str, frozenset[Role]] = MappingProxyType(
    {
        # The join token in the request is the proof; who has an identity already has no business here.
        "/haulier.v1.AgentService/Enroll": _NEWCOMERS,
        "/haulier.v1.AgentService/RenewCertificate": _AGENTS,
        "/haulier.v1.AgentService/Session": _AGENTS,
        "/haulier.v1.AgentService/Logs": _AGENTS,
        "/haulier.v1.OperatorService/ValidateManifests": _READING,
        "/haulier.v1.OperatorService/ListManifests": _READING,
        "/haulier.v1.OperatorService/GetManifest": _READING,
        "/haulier.v1.OperatorService/ListMigrations": _READING,
        "/haulier.v1.OperatorService/GetMigration": _READING,
        "/haulier.v1.OperatorService/Why": _READING,
        "/haulier.v1.OperatorService/ListAgents": _READING,
        "/haulier.v1.OperatorService/WatchEvents": _READING,
        "/haulier.v1.OperatorService/TailLogs": _READING,
        "/haulier.v1.OperatorService/GetStatus": _READING,
        "/haulier.v1.OperatorService/ApplyManifests": _CHANGING,
        "/haulier.v1.OperatorService/StartMigrations": _CHANGING,
        "/haulier.v1.OperatorService/CancelMigration": _CHANGING,
        "/haulier.v1.OperatorService/RetryMigration": _CHANGING,
        "/haulier.v1.OperatorService/RollbackMigration": _CHANGING,
        "/haulier.v1.OperatorService/CleanUpMigrations": _CHANGING,
        "/haulier.v1.OperatorService/AcceptMigration": _CHANGING,
        "/haulier.v1.OperatorService/AbandonMigration": _CHANGING,
        "/haulier.v1.OperatorService/DeleteManifest": _CHANGING,
        "/haulier.v1.OperatorService/DrainAgent": _ADMINISTERING,
        "/haulier.v1.OperatorService/ResumeAgent": _ADMINISTERING,
        "/haulier.v1.OperatorService/CreateJoinToken": _ADMINISTERING,
        "/haulier.v1.RepositoryService/Publish": _ADMINISTERING,
        "/haulier.v1.RepositoryService/ListReleases": _READING,
        "/haulier.v1.RepositoryService/FetchMetadata": _AGENTS,
        "/haulier.v1.RepositoryService/FetchArtefact": _AGENTS,
        "/haulier.v1.BlackBoxService/ReportBlackBox": _AGENTS,
        "/haulier.v1.BlackBoxService/GetBlackBox": _READING,
        "/haulier.v1.AccessService/RevokeAgent": _ADMINISTERING,
        "/haulier.v1.AccessService/CreateOperatorToken": _ADMINISTERING,
        "/haulier.v1.AccessService/ListOperatorTokens": _ADMINISTERING,
        "/haulier.v1.AccessService/RevokeOperatorToken": _ADMINISTERING,
        "/haulier.v1.AccessService/ListApprovals": _READING,
        "/haulier.v1.AccessService/GetApproval": _READING,
        "/haulier.v1.AccessService/DecideApproval": _APPROVING,
        "/haulier.v1.AccessService/GetAuthority": _READING,
        "/haulier.v1.AccessService/RotateAuthority": _ADMINISTERING,
        "/haulier.v1.AccessService/RetireAuthority": _ADMINISTERING,
        "/haulier.v1.FleetService/GetRollout": _READING,
        "/haulier.v1.FleetService/ListRollouts": _READING,
        "/haulier.v1.FleetService/WatchRollout": _READING,
        "/haulier.v1.FleetService/GetFleetStatus": _READING,
        "/haulier.v1.FleetService/ListHosts": _READING,
        # Stopping is everybody's who may change something; what changes hosts is the administrators'.
        "/haulier.v1.FleetService/PauseRollout": _CHANGING,
        "/haulier.v1.FleetService/CancelRollout": _CHANGING,
        "/haulier.v1.FleetService/CreateRollout": _ADMINISTERING,
        "/haulier.v1.FleetService/StartRollout": _ADMINISTERING,
        "/haulier.v1.FleetService/ResumeRollout": _ADMINISTERING,
        "/haulier.v1.FleetService/ReturnRollout": _ADMINISTERING,
        "/haulier.v1.FleetService/LabelAgent": _ADMINISTERING,
        "/haulier.v1.FleetService/CordonAgent": _ADMINISTERING,
        "/haulier.v1.FleetService/UncordonAgent": _ADMINISTERING,
        "/haulier.v1.FleetService/DecommissionAgent": _ADMINISTERING,
        # Probes carry no identity.
        "/haulier.v1.AuditService/GetAudit": _READING,
        "/haulier.v1.AuditService/StreamEntries": _READING,
        "/grpc.health.v1.Health/Check": _EVERYBODY,
        "/grpc.health.v1.Health/List": _EVERYBODY,
        "/grpc.health.v1.Health/Watch": _EVERYBODY,
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": _READING,
    }
)


# What a role over the data of owners may call, where its role may: the servicer checks and filters what these touch.
OWNER_METHODS = frozenset(
    f"/haulier.v1.OperatorService/{name}"
    for name in (
        "ValidateManifests",
        "ApplyManifests",
        "ListManifests",
        "GetManifest",
        "StartMigrations",
        "ListMigrations",
        "GetMigration",
        "CancelMigration",
        "RetryMigration",
        "RollbackMigration",
        "CleanUpMigrations",
        "AcceptMigration",
        "AbandonMigration",
        "DeleteManifest",
        "Why",
        "WatchEvents",
        "TailLogs",
    )
)


def may_call(role: Role, method: str) -> bool:
    """True when `role` may call `method`, given as gRPC names it: "/package.Service/Method"."""
    return role in RULES.get(method, frozenset())


def why_refused(role: Role, method: str) -> str:
    """What to tell a caller who may not."""
    short = method.rpartition("/")[2]
    allowed = [str(each) for each in Role if may_call(each, method)]
    if not allowed:
        return f"{short} has no authorisation rule, so nobody may call it"
    if allowed == [Role.ANONYMOUS]:
        return f"{short} is for callers without an identity; this caller is already known as {role}"
    return f"{short} needs the role {' or '.join(allowed)}; this caller is {role}"
