"""How the control plane answers this host, found out beside any session: a bad release is told from bad weather by it.

A stream whose first message is not a hello is turned down by a control plane that is well, at once and by name.
"""

import time
from typing import Any

import grpc
from haulier.v1 import agent_pb2 as pb
from haulier.v1 import agent_pb2_grpc

from agentd.link import proxies
from agentd.link.identity_files import Enrolment, NotJoined

WAIT_S = 10.0
# Slower than this is an overloaded control plane, by which nobody can be judged.
WELL_S = 2.0
_NOT_US = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
_BUSY = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.ABORTED)


def of(enrolment: Enrolment) -> str:
    """One of answers, busy, away and expired."""
    began_at = time.monotonic()
    try:
        credentials = grpc.ssl_channel_credentials(*enrolment.pair())
    except NotJoined:
        return "expired"
    with grpc.secure_channel(enrolment.session_address, credentials, proxies.options(enrolment.proxy)) as channel:
        try:
            grpc.channel_ready_future(channel).result(WAIT_S)
        except grpc.FutureTimeoutError:
            return "away"
        code = _answer(channel)
    if code in _NOT_US:
        return "expired"
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        return "answers" if time.monotonic() - began_at <= WELL_S else "busy"
    return "busy" if code in _BUSY else "away"


def _answer(channel: Any) -> Any:
    """The code with which a session without hello ends."""
    stub = agent_pb2_grpc.AgentServiceStub(channel)
    try:
        for _ in stub.Session(iter([pb.SessionRequest(sequence=1)]), timeout=WAIT_S):
            pass
    except grpc.RpcError as error:
        return error.code()
    return None
