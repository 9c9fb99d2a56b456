"""A new identity for the running daemon: key and request from a child, the certificate from the control plane.

The daemon itself holds no library for certificates: the child makes the key, and TLS finds out whether what came back
fits it, when the candidate opens its first session.
"""

import asyncio
import os
import subprocess

import grpc
from haulier.v1 import agent_pb2 as pb
from haulier.v1 import agent_pb2_grpc

from agentd.installation.own_python import module_command, search_path
from agentd.link import identity_files
from agentd.link.client import channel_of
from agentd.link.identity_files import CA, CANDIDATE, CERTIFICATE, Enrolment, NotJoined

_CHILD_S_MAX = 60.0
_CALL_S_MAX = 15.0
_SAID_CHARACTERS_MAX = 300


class RenewalFailed(Exception):
    """There is no new identity; says why. The one in use is untouched."""


async def request(enrolled: Enrolment) -> None:
    """Lay a new identity beside the one in use. Raises RenewalFailed."""
    identity_files.drop_candidate(enrolled.state)
    candidate = enrolled.state / CANDIDATE
    try:
        csr_pem = await asyncio.to_thread(_request_of_a_child, enrolled)
        async with channel_of(enrolled) as channel:
            answer = await agent_pb2_grpc.AgentServiceStub(channel).RenewCertificate(
                pb.RenewCertificateRequest(csr_pem=csr_pem), timeout=_CALL_S_MAX
            )
        if not (answer.certificate_pem and answer.ca_pem):
            raise RenewalFailed("the control plane's answer holds no certificate")
        identity_files.save(candidate, CERTIFICATE, answer.certificate_pem)
        identity_files.save(candidate, CA, answer.ca_pem)
    except grpc.aio.AioRpcError as error:
        said = " ".join((error.details() or "").split())[:_SAID_CHARACTERS_MAX]
        raise RenewalFailed(f"{error.code().name.lower()}: {said}") from error
    except (OSError, NotJoined) as error:
        raise RenewalFailed(str(error)) from error


def _request_of_a_child(enrolled: Enrolment) -> bytes:
    """By subprocess, because that uses vfork: the event loop's own way is a fork, which grpc does not bear."""
    try:
        child = subprocess.run(
            [*module_command("agentd.link.keys"), str(enrolled.state / CANDIDATE), enrolled.name],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_CHILD_S_MAX,
            check=False,
            env={name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
            | {"PYTHONPATH": search_path()},
        )
    except subprocess.TimeoutExpired as error:
        raise RenewalFailed(f"no key was made within {_CHILD_S_MAX:g} s") from error
    if child.returncode != 0:
        said = " ".join(child.stderr.decode(errors="replace").split())[-_SAID_CHARACTERS_MAX:]
        raise RenewalFailed(f"no key was made: {said or f'exit code {child.returncode}'}")
    return child.stdout
