"""A real daemon at a real control plane whose certificates live for seconds: it renews them, and nobody notices."""

from pathlib import Path

from agentd.link import identity_files
from controlplane.service.access.identities import Certified
from tests.integration.controlplane.daemons import a_daemon, serial_of
from tests.integration.controlplane.plane import Key, Running, serving
from tests.kit.running import run, until

TTL_S = 12.0


async def shown_by(running: Running, serial: str) -> bool:
    """Whether a certificate has opened a session."""
    query = "SELECT seen_at FROM certificate WHERE serial = ?"
    rows = await running.plane.store.read(lambda tx: vars(tx)["connection"].execute(query, [serial]).fetchall())
    return bool(rows and rows[0][0] is not None)


def test_a_daemon_outlives_its_certificates(tmp_path: Path) -> None:
    async def body() -> None:
        plane, host = tmp_path / "plane", tmp_path / "host"
        host.mkdir()
        async with (
            serving(plane) as running,
            a_daemon(running, host) as state,
        ):
            await until(lambda: bool(running.plane.sessions.by_agent), "a session")
            (agent_id,) = running.plane.sessions.by_agent
            # From here on certificates are short; the first one was not, because a daemon may take long to start.
            running.plane.identities.ttl_s = TTL_S
            began, seen = running.plane.clock(), {serial_of(state)}
            running.plane.sessions.ask_to_renew(agent_id, "a test")

            def renewed_twice() -> bool:
                seen.add(serial_of(state))
                return len(seen) >= 4 and agent_id in running.plane.sessions.by_agent

            await until(renewed_twice, "three renewals", 60.0)
            assert running.plane.clock() - began > TTL_S  # the first short certificate has ended by now
            assert await shown_by(running, serial_of(state))
            assert running.plane.sessions.by_agent[agent_id].agent.incarnation == 1
            types = [event.type for event in await running.events(agent_id)]
            assert types.count("CertificateRenewed") >= 3
            assert "AgentLost" not in types
            assert not (state / identity_files.CANDIDATE).exists()
            assert {path.stat().st_mode & 0o077 for path in (state / "key.pem", state / "certificate.pem")} == {0}

    run(body(), 90.0)


def test_a_candidate_that_opens_nothing_is_dropped_and_tried_again(tmp_path: Path) -> None:
    async def body() -> None:
        plane, host = tmp_path / "plane", tmp_path / "host"
        host.mkdir()
        async with (
            serving(plane, agent_certificate_ttl_s=3600.0) as running,
            a_daemon(running, host) as state,
        ):
            await until(lambda: bool(running.plane.sessions.by_agent), "a session")
            (agent_id,) = running.plane.sessions.by_agent
            first = serial_of(state)
            identities, good = running.plane.identities, running.plane.identities.renew
            asked = []

            async def broken(agent_id: str, csr_pem: bytes) -> Certified:
                asked.append(csr_pem)
                # A certificate for somebody else's key.
                return await good(agent_id, Key().request())

            vars(identities)["renew"] = broken
            running.plane.sessions.ask_to_renew(agent_id, "a test")
            await until(lambda: bool(asked), "a request")
            await until(lambda: not (state / identity_files.CANDIDATE).exists(), "the candidate to be dropped")
            await until(lambda: agent_id in running.plane.sessions.by_agent, "the old identity's session")
            assert serial_of(state) == first
            vars(identities)["renew"] = good
            await until(lambda: serial_of(state) != first, "the next try", 30.0)
            await until(lambda: agent_id in running.plane.sessions.by_agent, "a session")
            assert await shown_by(running, serial_of(state))

    run(body(), 90.0)
