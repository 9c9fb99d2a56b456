"""Which gRPC status each error of a service becomes."""

import grpc

from controlplane.identity.peers import IdentityError
from controlplane.service.access.identities import TooMany
from controlplane.service.access.ownership import OutOfScope
from controlplane.service.errors import AwaitsApproval, Conflict, Damaged, NotFound, Precondition, StoreFailed

STATUS_OF: dict[type[Exception], grpc.StatusCode] = {
    NotFound: grpc.StatusCode.NOT_FOUND,
    Precondition: grpc.StatusCode.FAILED_PRECONDITION,
    AwaitsApproval: grpc.StatusCode.FAILED_PRECONDITION,
    IdentityError: grpc.StatusCode.INVALID_ARGUMENT,
    Conflict: grpc.StatusCode.ABORTED,
    StoreFailed: grpc.StatusCode.UNAVAILABLE,
    Damaged: grpc.StatusCode.DATA_LOSS,
    OutOfScope: grpc.StatusCode.PERMISSION_DENIED,
    TooMany: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
