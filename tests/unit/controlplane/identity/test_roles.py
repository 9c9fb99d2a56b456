"""Every method of every service that is served, with every role: the whole matrix, written out a second time.

The table here is by hand on purpose: a slip in ``roles.py`` must disagree with something. The methods come
from the descriptors, so a new method without a rule, or a rule without a method, fails.
"""

import importlib
from pathlib import Path

import pytest
from google.protobuf.descriptor import FileDescriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from controlplane.identity.roles import RULES, Role, may_call, why_refused

ROOT = Path(__file__).parents[4]
# One letter a role that may: u(nknown), a(gent), v(iewer), o(perator), (a)p(prover), A(dmin).
MATRIX = {
    "haulier.v1.AccessService": {
        "RevokeAgent": "A",
        "CreateOperatorToken": "A",
        "ListOperatorTokens": "A",
        "RevokeOperatorToken": "A",
        "ListApprovals": "vopA",
        "GetApproval": "vopA",
        "DecideApproval": "p",
        "GetAuthority": "vopA",
        "RotateAuthority": "A",
        "RetireAuthority": "A",
    },
    "haulier.v1.AgentService": {"Enroll": "u", "RenewCertificate": "a", "Session": "a", "Logs": "a"},
    "haulier.v1.OperatorService": {
        "ValidateManifests": "vopA",
        "ApplyManifests": "oA",
        "ListManifests": "vopA",
        "GetManifest": "vopA",
        "DeleteManifest": "oA",
        "StartMigrations": "oA",
        "ListMigrations": "vopA",
        "GetMigration": "vopA",
        "CancelMigration": "oA",
        "RetryMigration": "oA",
        "RollbackMigration": "oA",
        "AcceptMigration": "oA",
        "AbandonMigration": "oA",
        "CleanUpMigrations": "oA",
        "Why": "vopA",
        "ListAgents": "vopA",
        "DrainAgent": "A",
        "ResumeAgent": "A",
        "CreateJoinToken": "A",
        "WatchEvents": "vopA",
        "TailLogs": "vopA",
        "GetStatus": "vopA",
    },
    "haulier.v1.RepositoryService": {
        "Publish": "A",
        "ListReleases": "vopA",
        "FetchMetadata": "a",
        "FetchArtefact": "a",
    },
    "haulier.v1.FleetService": {
        "CreateRollout": "A",
        "GetRollout": "vopA",
        "ListRollouts": "vopA",
        "WatchRollout": "vopA",
        "StartRollout": "A",
        "PauseRollout": "oA",
        "ResumeRollout": "A",
        "CancelRollout": "oA",
        "ReturnRollout": "A",
        "GetFleetStatus": "vopA",
        "ListHosts": "vopA",
        "LabelAgent": "A",
        "CordonAgent": "A",
        "UncordonAgent": "A",
        "DecommissionAgent": "A",
    },
    "haulier.v1.AuditService": {"GetAudit": "vopA", "StreamEntries": "vopA"},
    "haulier.v1.BlackBoxService": {"ReportBlackBox": "a", "GetBlackBox": "vopA"},
    "grpc.health.v1.Health": {"Check": "uavopA", "List": "uavopA", "Watch": "uavopA"},
    "grpc.reflection.v1alpha.ServerReflection": {"ServerReflectionInfo": "vopA"},
}
LETTERS = {
    Role.ANONYMOUS: "u",
    Role.AGENT: "a",
    Role.VIEWER: "v",
    Role.OPERATOR: "o",
    Role.APPROVER: "p",
    Role.ADMIN: "A",
}


def contract() -> list[FileDescriptor]:
    """Every file of the contract, also the one that somebody adds tomorrow."""
    names = sorted(path.stem for path in (ROOT / "proto/haulier/v1").glob("*_pb2.py"))
    return [importlib.import_module(f"haulier.v1.{name}").DESCRIPTOR for name in names]


def served() -> list[tuple[str, str]]:
    files: list[FileDescriptor] = [*contract(), health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR]
    return [
        (service.full_name, method.name)
        for file in files
        for service in file.services_by_name.values()
        for method in service.methods
    ]


def test_the_matrix_names_exactly_the_methods_that_are_served() -> None:
    assert {(service, method) for service, methods in MATRIX.items() for method in methods} == set(served())
    assert set(RULES) == {f"/{service}/{method}" for service, method in served()}
    assert set(LETTERS) == set(Role)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(("service", "method"), served())
def test_each_role_may_call_what_the_matrix_says(service: str, method: str, role: Role) -> None:
    assert may_call(role, f"/{service}/{method}") is (LETTERS[role] in MATRIX[service][method])


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("method", ["", "Why", "/haulier.v1.OperatorService/", "/haulier.v2.Operator/Why"])
def test_what_is_not_listed_is_refused(method: str, role: Role) -> None:
    assert not may_call(role, method)
    assert "no authorisation rule" in why_refused(role, method)


def test_a_refusal_names_the_roles_that_would_do() -> None:
    assert (
        why_refused(Role.VIEWER, "/haulier.v1.OperatorService/ApplyManifests")
        == "ApplyManifests needs the role operator or admin; this caller is viewer"
    )
    assert "without an identity" in why_refused(Role.AGENT, "/haulier.v1.AgentService/Enroll")
