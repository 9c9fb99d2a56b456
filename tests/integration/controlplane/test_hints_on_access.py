"""The commands that messages offer about who may do what and which hosts belong, given as they are offered.

As in `test_hints.py`, on a Haulier where starting takes a second person, whose one host is let in, loses its disk, and
is sent away.
"""

import io
import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.cli.main import main
from tests.integration.controlplane.test_command_line import MANIFESTS, Ended
from tests.integration.controlplane.test_hints import MORE, Haulier, follow, offered
from tests.kit.processes import program, send, until
from tests.kit.world import Timing, World

# The world finds its processes again by their pids, so it drops the handles that would warn about that.
pytestmark = pytest.mark.filterwarnings(r"ignore:subprocess \d+ is still running:ResourceWarning")

BOB = "bob.json"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A control plane under the rule of two persons, with one agent."""
    made = World(tmp_path_factory.mktemp("access"), ["alpha"], Timing(lease_ttl_s=12, heartbeat_s=2))
    for place in ("exports", "lake"):
        (made.data / place).mkdir(parents=True)
    (made.data / "exports" / "carriers.csv").write_text("code,seats\nUA,55\nAA,\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HAULIER_CONTROLPLANE_TWO_PERSONS", "StartMigrations")
        made.start_controlplane()
    try:
        made.haulier("operator", "create", "bob", "--role", "approver", "--write", str(made.root / BOB))
        manifests = made.root / "manifests.yaml"
        manifests.write_text(MANIFESTS.format(data=made.data))
        made.haulier("apply", str(manifests))
        made.join_agent("alpha", slots=2, labels={})
        made.start_agent("alpha")
        made.wait_for_agents()
        yield made
    finally:
        made.stop()


@pytest.fixture
def haulier(world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Haulier:
    """Runs one command line in this process."""

    def run(*arguments: str, stdin: str = "", by: str = "") -> Ended:
        monkeypatch.setenv("HAULIER_PROFILE", str(world.root / by if by else world.profile))
        monkeypatch.setenv("COLUMNS", "2000")
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        capsys.readouterr()
        code = main(arguments)
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return run


def on_host(*arguments: str | Path, stdin: str = "") -> Ended:
    """Run `haulier-agentd` to its end."""
    done = subprocess.run(
        [*program("agentd"), *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "2000"},
        timeout=60,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def offered_on_host(said: Ended, begins: str) -> list[str]:
    """The one command of `haulier-agentd` that a text offers and that begins so."""
    found = set(re.findall(rf"haulier-agentd ({begins}\b[^`\n<,]*)", said.out + said.err))
    assert len(found) == 1, f"{begins!r} is offered once in: {said.out}{said.err}"
    return shlex.split(found.pop())


def agreed(haulier: Haulier, refused: Ended) -> None:
    """Let the second person give what a refusal offers."""
    assert refused.code != 0 or "not started" in refused.err
    decided = haulier(*offered(refused, "approval approve"), by=BOB)
    assert decided.code == 0, decided.err


def test_a_second_person_agrees_to_a_start(haulier: Haulier) -> None:
    start = ("start", "carriers-to-lake", "--wait")
    agreed(haulier, haulier(*start))
    assert haulier(*start).code == 0


def test_a_second_person_agrees_to_what_starts_by_itself(haulier: Haulier) -> None:
    text = MORE.replace("NAME", "by-itself").replace("OBJECT", "by-itself").replace("staging:", "start: auto, staging:")
    agreed(haulier, haulier("apply", "-", stdin=text))
    assert haulier("apply", "-", stdin=text).code == 0
    assert haulier("migration", "watch", "by-itself").code == 0


def test_who_holds_a_join_token_is_made_an_operator(world: World, haulier: Haulier) -> None:
    wrong = {**json.loads(world.profile.read_text()), "token": haulier("token", "create").out.strip()}
    (world.root / "carol.json").write_text(json.dumps(wrong))
    (world.root / "carol.json").chmod(0o600)
    refused = haulier("status", by="carol.json")
    assert refused.code != 0
    follow(haulier, refused, "operator create", "carol", "--role", "viewer", "--write", str(world.root / "new.json"))
    assert haulier("status", by="new.json").code == 0


def test_what_an_agent_saw_is_had_from_its_host(world: World, haulier: Haulier) -> None:
    seen = world.root / "seen.json"
    seen.write_text("not what an agent saw")
    refused = haulier("audit", "verify", "--witness", str(seen))
    assert refused.code != 0
    told = on_host(*offered_on_host(refused, "status"), "--state", world.root / "agents" / "alpha" / "state")
    assert told.code == 0
    seen.write_text(told.out)
    assert haulier("audit", "verify", "--witness", str(seen)).code == 0


def test_an_export_that_is_none_is_made_anew(world: World, haulier: Haulier) -> None:
    exported = world.root / "exported.jsonl"
    exported.write_text("nothing of the kind\n")
    refused = haulier("audit", "verify", "--export", str(exported))
    assert refused.code != 0
    exported.write_text(follow(haulier, refused, "audit export").out)
    assert haulier("audit", "verify", "--export", str(exported)).code == 0


def test_a_host_that_lost_its_disk_is_let_in_again(world: World, haulier: Haulier) -> None:
    """Every message on the way names the next command, until the host serves under its old name."""
    home = world.root / "agents" / "alpha"
    new = home / "new"
    new.mkdir(mode=0o700)
    unjoined = on_host("run", "--state", new, "--config", home / "agent.toml")
    join = offered_on_host(unjoined, "join TOKEN")
    assert join[:3] == ["join", "TOKEN", "--state"]

    def joined(token: str) -> Ended:
        return on_host(*(token if word == "TOKEN" else word for word in join), "--name", "alpha")

    # A token for anybody takes nobody's name.
    refused = joined(haulier("token", "create").out.strip())
    assert refused.code != 0
    own = follow(haulier, refused, "token create").out.strip()
    # Its old daemon still lives, and nobody takes a living agent's name.
    refused = joined(own)
    assert refused.code != 0
    revoked = follow(haulier, refused, "agent revoke")
    assert world.kill("alpha")
    made = follow(haulier, revoked, "token create")
    words = offered_on_host(made, "join --name alpha")
    assert words[-1] == "-"
    assert on_host(*words, "--state", new, stdin=made.out).code == 0
    (home / "state").rename(home / "lost")
    new.rename(home / "state")
    world.start_agent("alpha")
    world.wait_for_agents()


def test_an_agent_that_works_is_drained_before_it_is_sent_away(world: World, haulier: Haulier) -> None:
    """And a fleet of nobody says how a host is let in."""
    for name in ("long", "later"):
        assert haulier("apply", "-", stdin=MORE.replace("NAME", name).replace("OBJECT", name)).code == 0
        agreed(haulier, haulier("start", name))
    daemon = world.pid("alpha")
    assert daemon is not None
    send(daemon, signal.SIGSTOP)  # so that what it was granted does not end
    try:
        assert haulier("start", "long").code == 0
        until(lambda: '"leased"' in haulier("migration", "get", "long", "-o", "json").out, 30, "a lease")
        refused = haulier("agent", "decommission", "alpha", "--reason", "sold")
        assert refused.code != 0
        follow(haulier, refused, "agent drain alpha")
    finally:
        send(daemon, signal.SIGCONT)
    until(lambda: haulier("agent", "decommission", "alpha", "--reason", "sold").code == 0, 60, "its leases to end")
    assert world.kill("alpha")
    assert haulier("start", "later").code == 0
    made = follow(haulier, haulier("why", "later"), "token create")
    words = offered_on_host(made, "join")
    home = world.root / "agents" / "alpha"
    (home / "state").rename(home / "sold")
    assert on_host(*words, "--name", "alpha", "--state", home / "state", stdin=made.out).code == 0
    world.start_agent("alpha")
    for name in ("long", "later"):
        assert haulier("migration", "watch", name).code == 0
