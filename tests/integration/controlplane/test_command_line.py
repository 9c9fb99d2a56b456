"""The `haulier` command against a real control plane, in processes of their own over real TLS, with one real agent."""

import io
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from controlplane.cli.main import main
from tests.kit.processes import program
from tests.kit.world import Timing, World

# The world finds its processes again by their pids, so it drops the handles that would warn about that.
pytestmark = pytest.mark.filterwarnings(r"ignore:subprocess \d+ is still running:ResourceWarning")

MANIFESTS = """\
apiVersion: haulier/v1
kind: Datastore
metadata: {{name: exports}}
spec: {{engine: csv, root: "{data}/exports"}}
---
apiVersion: haulier/v1
kind: Datastore
metadata: {{name: lake}}
spec: {{engine: parquet, root: "{data}/lake"}}
---
apiVersion: haulier/v1
kind: Dataset
metadata: {{name: carriers}}
spec:
  owner: network-planning
  datastore: exports
  object: carriers.csv
  columns:
    - {{name: code, type: text, required: true}}
    - {{name: seats, type: int64}}
---
apiVersion: haulier/v1
kind: Workflow
metadata: {{name: copy}}
spec:
  steps:
    - name: extract
      kind: extract
      params: {{source: "${{migration.source}}", staging: "${{migration.staging}}"}}
    - name: load
      kind: load
      needs: [extract]
      params: {{input: "${{steps.extract.output}}", destination: "${{migration.destination}}"}}
    - name: validate
      kind: validate
      needs: [load]
      params:
        source: "${{migration.source}}"
        extracted: "${{steps.extract.output}}"
        loaded: "${{steps.extract.output}}"
        destination: "${{migration.destination}}"
---
apiVersion: haulier/v1
kind: Migration
metadata: {{name: carriers-to-lake}}
spec: {{dataset: carriers, workflow: copy, to: {{datastore: lake, object: carriers}}, staging: lake}}
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


Haulier = Callable[..., Ended]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A control plane without agents."""
    made = World(tmp_path_factory.mktemp("world"), ["alpha"], Timing(lease_ttl_s=12, heartbeat_s=2))
    for place in ("exports", "lake"):
        (made.data / place).mkdir(parents=True)
    (made.data / "exports" / "carriers.csv").write_text("code,seats\nUA,55\nAA,\n")
    made.start_controlplane()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def haulier(world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Haulier:
    """Runs one command line, in this process: an interpreter for each would take most of the test's time."""

    def run(*arguments: str, stdin: str = "", profile: Path | None = None) -> Ended:
        monkeypatch.setenv("HAULIER_PROFILE", str(profile or world.profile))
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        capsys.readouterr()
        code = main(arguments)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        assert "\x1b" not in captured.out + captured.err
        return Ended(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="module")
def applied(world: World) -> str:
    """The name of a migration that was applied."""
    manifests = world.root / "manifests.yaml"
    manifests.write_text(MANIFESTS.format(data=world.data))
    assert "5 manifests in 1 file applied" in world.haulier("apply", str(manifests))
    return "carriers-to-lake"


def test_what_was_applied_is_listed_and_shown(applied: str, haulier: Haulier) -> None:
    assert [row["name"] for row in haulier("datastore", "list", "-o", "json").value["manifests"]] == ["exports", "lake"]
    assert haulier("dataset", "list").out.splitlines()[1].split()[:4] == [
        "carriers",
        "network-planning",
        "exports",
        "carriers.csv",
    ]
    assert "object: carriers.csv" in haulier("dataset", "get", "carriers").out
    assert "extract, load, validate" in haulier("workflow", "list").out
    missing = haulier("dataset", "get", "carrier")
    assert (missing.code, missing.out) == (4, "")


def test_wrong_manifests_are_named_by_line_and_field_and_nothing_is_kept(applied: str, haulier: Haulier) -> None:
    broken = MANIFESTS.format(data="/data").replace("datastore: exports", "datastore: exprots").replace("owner", "ownr")
    for verb in ("validate", "apply"):
        ended = haulier(verb, "-", stdin=broken.replace("carriers", "other"))
        assert ended.code == 1
        assert "<stdin>:15:" in ended.out
        assert "hint: " in ended.out
        assert " in 1 file" in ended.out.splitlines()[-1]
    assert len(haulier("dataset", "list", "-o", "json").value["manifests"]) == 1
    ended = haulier("validate", "-", stdin="kind: [")
    assert ended.code == 1
    assert ended.out.startswith("<stdin>:2:1: this is not YAML: ")


def test_a_migration_from_start_to_rollback(applied: str, world: World, haulier: Haulier) -> None:
    started = haulier("start", applied)
    assert started.code == 0
    again = haulier("start", applied)
    assert (again.code, again.out) == (0, "")
    assert "is running already" in again.err

    why = haulier("why", f"{applied}/extract", "-o", "json").value["steps"]
    assert why[0]["holds"][0]["code"] == "no_agent"
    assert "no_agent: " in haulier("why", applied).out
    assert haulier("logs", applied).code == 4

    world.join_agent("alpha", slots=1, labels={"zone": "test"})
    world.start_agent("alpha")
    followed = haulier("migration", "watch", applied)
    assert followed.code == 0, followed.err + haulier("migration", "get", applied).out
    assert "✓ succeeded 1 · 2 rows proven" in followed.out

    page = haulier("migration", "get", applied).out
    assert "validate re-read 2 rows at the destination" in page
    (summary,) = haulier("migration", "list", "-o", "json").value["migrations"]
    assert f"destination digest  {summary['verified_digest']}" in page
    detail = haulier("migration", "get", applied, "-o", "json").value
    assert [step["state"] for step in detail["steps"]] == ["succeeded"] * 3
    assert all(int(step["attempts"][0]["fence"]) > 1 << 32 for step in detail["steps"])
    assert haulier("logs", applied).code == 0

    refused = haulier("migration", "cancel", applied, "--reason", "too late")
    assert refused.code == 5
    # Somebody puts a file of their own in its place: a rollback leaves it alone until a person agrees to lose it.
    published = world.data / "lake" / "carriers"
    (theirs := published.with_suffix(".new")).write_bytes(b"somebody's own")
    theirs.replace(published)
    stopped = haulier("rollback", applied, "--reason", "a test", "--wait")
    assert stopped.code == 1
    page = haulier("migration", "get", applied).out
    assert "not what this migration published" in page
    assert "--discard-changes" in page
    assert published.read_bytes() == b"somebody's own"
    agreed = ("--discard-changes", "--reason", "nobody needs it")
    back = haulier("rollback", applied, *agreed, "--wait", "-o", "json")
    assert back.code == 0, back.err
    assert [migration["state"] for migration in back.value["migrations"]] == ["rolled_back"]
    assert not published.exists()

    events = [json.loads(line) for line in haulier("events", "-o", "json").out.splitlines()]
    types = [event["type"] for event in events]
    assert types.index("MigrationStarted") < types.index("MigrationSucceeded") < types.index("MigrationRolledBack")
    assert ["nobody needs it" in str(event) for event in events if event["type"] == "DiscardAgreed"] == [True]
    assert [event["position"] for event in events] == sorted({event["position"] for event in events})
    about = haulier("events", "--subject", summary["migration_id"], "--after", "1").out
    assert "MigrationSucceeded" in about


def test_agents_are_listed_drained_and_resumed(world: World, applied: str, haulier: Haulier) -> None:
    world.join_agent("alpha", slots=1, labels={"zone": "test"})
    assert "zone=test" in haulier("agent", "list").out
    drained = haulier("agent", "drain", "alpha", "--reason", "a test", "-o", "json")
    assert drained.value["agent"]["state"] == "draining"
    assert haulier("agent", "resume", "alpha", "-o", "json").value["agent"]["state"] == "serving"
    assert haulier("agent", "drain", "nobody", "--reason", "a test").code == 4


def test_the_control_plane_shows_its_loops(haulier: Haulier) -> None:
    status = haulier("status", "-o", "json").value
    assert "lease_reaper" in [loop["name"] for loop in status["loops"]]
    assert [loop["last_error"] for loop in status["loops"]] == [""] * len(status["loops"])
    assert "lease_reaper" in haulier("status").out


def test_join_tokens(haulier: Haulier) -> None:
    made = haulier("token", "create", "--agent", "bravo", "--ttl", "60")
    assert made.code == 0
    assert len(made.out.splitlines()) == 1
    assert made.out.strip() not in made.err
    assert haulier("token", "create", "--agent", "no such\nname").code == 2


def test_a_token_that_is_not_known_is_refused(world: World, haulier: Haulier, tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    profile.touch(mode=0o600)
    good = json.loads(world.profile.read_text())
    profile.write_text(json.dumps({**good, "token": good["token"][:-4] + "AAAA"}))
    ended = haulier("status", profile=profile)
    assert (ended.code, ended.out) == (7, "")
    assert "at: control plane" in ended.err
    assert good["token"][:-4] not in ended.err


def test_ten_thousand_datasets_are_applied_in_one_go(applied: str, haulier: Haulier, tmp_path: Path) -> None:
    text = "apiVersion: haulier/v1\nkind: Dataset\nmetadata: {{name: d{n}}}\nspec:\n"
    text += "  owner: team-{n}\n  datastore: lake\n  object: d{n}\n"
    for number in range(10_000):
        (tmp_path / f"{number}.yaml").write_text(text.format(n=number))
    (tmp_path / "77.yaml").write_text(text.format(n=77).replace("lake", "laek"))
    refused = haulier("apply", str(tmp_path))
    assert refused.code == 1
    assert refused.out.startswith(f"{tmp_path}/77.yaml:6:")
    assert 'did you mean "lake"?' in refused.out
    (tmp_path / "77.yaml").write_text(text.format(n=77))
    done = haulier("apply", str(tmp_path))
    assert done.code == 0, done.err
    assert "Dataset: 10,000 created" in done.out
    listed = haulier("dataset", "list", "-o", "json").value["manifests"]
    assert len(listed) == 10_001
    assert "10,000 unchanged" in haulier("apply", str(tmp_path)).out


def test_a_request_that_is_too_large_is_refused_here(haulier: Haulier, tmp_path: Path) -> None:
    (tmp_path / "big.yaml").write_bytes(b"#" * (64 << 20))
    ended = haulier("apply", str(tmp_path))
    assert ended.code == 2
    assert "larger than 32 MiB" in ended.err


def test_watching_goes_on_while_the_control_plane_restarts(world: World, applied: str, haulier: Haulier) -> None:
    """The events so far, then a kill; the stream is taken up again and shows what came after."""
    command = [*program("controlplane.cli.main"), "events", "--follow", "-o", "json"]
    environment = {**os.environ, "HAULIER_PROFILE": str(world.profile)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        try:
            assert process.stdout is not None
            first = json.loads(process.stdout.readline())
            world.kill("controlplane")
            world.start_controlplane()
            assert haulier("token", "create").code == 0
            positions = [first["position"]]
            for line in process.stdout:
                event = json.loads(line)
                positions.append(event["position"])
                if event["type"] == "JoinTokenCreated" and event["position"] == last_position(haulier):
                    break
            assert positions == list(range(first["position"], positions[-1] + 1))
        finally:
            process.kill()


def last_position(haulier: Haulier) -> int:
    tokens = [json.loads(line) for line in haulier("events", "-o", "json").out.splitlines()]
    return max(int(event["position"]) for event in tokens if event["type"] == "JoinTokenCreated")
