"""The certificate authority is replaced under a working fleet, and nobody is cut off."""

import asyncio
import hashlib
import json
import os
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
from haulier.v1 import access_pb2, operator_pb2

from agentd.link import identity_files
from agentd.link.join import join
from controlplane.host.state_layout import IDENTITY_DIR
from controlplane.identity.authorities import NEXT_FILE
from tests.integration.controlplane.daemons import ROOT, a_daemon, serial_of
from tests.integration.controlplane.plane import CALL_S, Running, refusal, serving
from tests.kit.running import run, until

ROTATE = access_pb2.RotateAuthorityRequest(reason="yearly")
RETIRE = access_pb2.RetireAuthorityRequest(reason="yearly")


async def ask(running: Running, method: str, request: Any) -> access_pb2.AuthorityView:
    call = getattr(running.access(), method)
    answer = await call(request, timeout=CALL_S, metadata=running.administrator)
    view: access_pb2.AuthorityView = answer.authority
    return view


async def state(running: Running) -> access_pb2.AuthorityView:
    return await ask(running, "GetAuthority", access_pb2.GetAuthorityRequest())


def fingerprints(bundle_pem: bytes) -> list[str]:
    end = "-----END CERTIFICATE-----"
    pems = [part + end for part in bundle_pem.decode().split(end) if part.strip()]
    return [hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.strip())).hexdigest() for pem in pems]


async def holders_gone(running: Running) -> None:
    for _ in range(200):
        if not (await state(running)).waiting_agents:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("some agents never renewed")


def test_a_working_fleet_changes_its_authority(tmp_path: Path) -> None:
    async def body() -> None:
        plane, host = tmp_path / "plane", tmp_path / "host"
        host.mkdir()
        async with serving(plane) as running, a_daemon(running, host) as home:
            await until(lambda: bool(running.plane.sessions.by_agent), "a session")
            (agent_id,) = running.plane.sessions.by_agent
            old = await state(running)
            assert fingerprints(old.bundle_pem) == [old.fingerprint]
            first = serial_of(home)
            begun = await ask(running, "RotateAuthority", ROTATE)
            assert fingerprints(begun.bundle_pem) == [old.fingerprint, begun.next_fingerprint]
            assert begun.waiting_agents == ["host-1"]
            await until(lambda: serial_of(home) != first, "a certificate of the next authority")
            await holders_gone(running)
            assert fingerprints(identity_files.load(home).pair()[0]) == [old.fingerprint, begun.next_fingerprint]
            # A newcomer in the middle: the token pins what the listener shows, the certificate is of the next one.
            await asyncio.to_thread(join, await running.join_token(), "host-2", tmp_path / "second")
            assert (await state(running)).waiting_agents == []
            ended = await ask(running, "RetireAuthority", RETIRE)
            assert (ended.fingerprint, ended.next_fingerprint) == (begun.next_fingerprint, "")
            assert not (plane / IDENTITY_DIR / NEXT_FILE).exists()
            # The daemon dials again under the new authority; who believes only the old one is not fooled.
            running.plane.sessions.by_agent[agent_id].end()
            await until(lambda: agent_id not in running.plane.sessions.by_agent, "the end of the stream")
            await until(lambda: agent_id in running.plane.sessions.by_agent, "a session under the new authority")
            call = running.operators().GetStatus(
                operator_pb2.GetStatusRequest(), timeout=CALL_S, metadata=running.administrator
            )
            assert (await refusal(call))[0] is grpc.StatusCode.UNAVAILABLE
            running.ca = ended.bundle_pem
            assert (await state(running)).fingerprint == ended.fingerprint
            types = [event.type for event in await running.events("authority")]
            assert types == ["AuthorityRotated", "AuthorityRetired"]

    run(body(), 90.0)


def test_a_restart_in_the_middle_changes_nothing(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            joined = await running.join()
            begun = await ask(running, "RotateAuthority", ROTATE)
        async with serving(tmp_path) as running:
            found = await state(running)
            assert (found.fingerprint, found.next_fingerprint) == (begun.fingerprint, begun.next_fingerprint)
            assert found.waiting_agents == ["host-1"]
            # Asked to renew as soon as it is back; the certificate that it has opens a session all the while.
            talk = await running.talk(joined)
            await talk.hear_until(lambda: "renew_identity" in talk.asks)
            newer = await running.join("host-2")
            await running.talk(newer)
            running.ca = found.bundle_pem
            await running.talk(newer)

    run(body())


def test_the_old_authority_stays_as_long_as_anybody_needs_it(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            code, why = await refusal(ask(running, "RetireAuthority", RETIRE))
            assert (code, "is not being changed" in why) == (grpc.StatusCode.FAILED_PRECONDITION, True)
            await running.join("away")
            await ask(running, "RotateAuthority", ROTATE)
            code, why = await refusal(ask(running, "RotateAuthority", ROTATE))
            assert (code, "is being changed already" in why) == (grpc.StatusCode.FAILED_PRECONDITION, True)
            code, why = await refusal(ask(running, "RetireAuthority", RETIRE))
            assert (code, "still needed by away:" in why) == (grpc.StatusCode.FAILED_PRECONDITION, True)
            request = access_pb2.RevokeAgentRequest(agent="away", reason="gone for good")
            await running.access().RevokeAgent(request, timeout=CALL_S, metadata=running.administrator)
            assert (await ask(running, "RetireAuthority", RETIRE)).next_fingerprint == ""

    run(body())


def test_profiles_survive_a_change(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path / "plane") as running:
            profile = tmp_path / "operator.json"
            document = {**running.profile, "address": running.public_address}
            profile.write_text(json.dumps(document))
            profile.chmod(0o600)
            other = tmp_path / "other.json"
            other.write_bytes(profile.read_bytes())
            other.chmod(0o600)

            async def haulier(*arguments: str, by: Path = profile) -> subprocess.CompletedProcess[str]:
                command = [sys.executable, "-m", "controlplane.cli.main", *arguments, "--profile", str(by)]
                environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}"}
                return await asyncio.to_thread(
                    subprocess.run, command, env=environment, capture_output=True, text=True, timeout=60
                )

            assert (await haulier("authority", "rotate", "--reason", "yearly")).returncode == 0
            refreshed = await haulier("profile", "refresh", by=other)
            assert (refreshed.returncode, "believes other authorities" in refreshed.stderr) == (0, True)
            assert profile.stat().st_mode & 0o077 == 0
            shown = await haulier("authority", "status")
            assert "needed by nobody" in shown.stdout
            assert (await haulier("authority", "retire", "--reason", "yearly")).returncode == 0
            for each in (profile, other):
                assert (await haulier("status", by=each)).returncode == 0
            assert "up to date" in (await haulier("profile", "refresh")).stderr

    run(body(), 90.0)
