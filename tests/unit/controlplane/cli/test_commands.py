"""Whole command lines against a control plane on the far side of real TLS: output, exit codes, what was asked."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from haulier.v1 import agent_pb2
from haulier.v1 import operator_pb2 as op

from controlplane.cli.screen.exits import Exit
from tests.unit.controlplane.cli.conftest import Haulier
from tests.unit.controlplane.cli.far_side import TOKEN, FarSide, Refusal

RUNNING = op.MigrationSummary(migration_id="mig_a", name="a", state="running", steps_total=2, current_step="load")
WELL = op.MigrationSummary(migration_id="mig_a", name="a", state="succeeded", verified_rows=3, verified_digest="ab")
BAD = op.MigrationSummary(migration_id="mig_b", name="b", state="failed", reason="no route to pg")
ROOT = Path(__file__).resolve().parents[4]


def listing(*migrations: op.MigrationSummary) -> op.ListMigrationsResponse:
    return op.ListMigrationsResponse(migrations=migrations)


def test_apply_sends_everything_in_one_request(haulier: Haulier, far: FarSide, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.yaml").write_text(f"name: d{number}")
    outcome = op.ManifestOutcome(kind="Dataset", name="d0", change=op.MANIFEST_CHANGE_CREATED)
    far.says("ApplyManifests", op.ApplyManifestsResponse(outcomes=[outcome]))
    ended = haulier("apply", str(tmp_path))
    assert ended.code == Exit.OK
    assert "1 manifest in 3 files applied" in ended.out
    (request,) = far.heard
    assert isinstance(request, op.ApplyManifestsRequest)
    assert [file.content for file in request.files] == [b"name: d0", b"name: d1", b"name: d2"]
    assert request.request_id


def test_apply_repeats_itself_under_the_same_request_id(haulier: Haulier, far: FarSide, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("x")
    answers: list[object] = [Refusal(grpc.StatusCode.UNAVAILABLE, "restarting"), op.ApplyManifestsResponse()]
    far.says("ApplyManifests", lambda _request: answers.pop(0))
    assert haulier("apply", str(tmp_path)).code == Exit.OK
    first, second = far.heard
    assert first == second


@pytest.mark.parametrize(("verb", "method"), [("apply", "ApplyManifests"), ("validate", "ValidateManifests")])
def test_findings_are_the_answer_and_exit_1(
    haulier: Haulier, far: FarSide, monkeypatch: pytest.MonkeyPatch, verb: str, method: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"kind: Datset")))
    finding = op.Finding(path="<stdin>", line=1, column=7, field="kind", message="no kind Datset", hint="Dataset?")
    answer = op.ApplyManifestsResponse if verb == "apply" else op.ValidateManifestsResponse
    far.says(method, answer(findings=[finding]))
    ended = haulier(verb, "-")
    assert ended.code == Exit.BAD_ANSWER
    assert ended.out.startswith("<stdin>:1:7: kind: no kind Datset\n    hint: Dataset?\n")
    assert ended.err == ""


def test_json_goes_to_standard_output_and_nothing_else_does(haulier: Haulier, far: FarSide, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("x")
    far.says("ApplyManifests", op.ApplyManifestsResponse(findings=[op.Finding(path="a", message="bad")]))
    ended = haulier("apply", str(tmp_path), "-o", "json")
    assert ended.code == Exit.BAD_ANSWER
    assert json.loads(ended.out)["findings"][0]["message"] == "bad"


MANIFEST = """\
apiVersion: haulier/v1
kind: Datastore
metadata: {name: lake}
spec: {engine: parquet, root: /data/lake}
"""


def test_validate_offline_needs_no_control_plane(
    haulier: Haulier, far: FarSide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAULIER_PROFILE", "/nonexistent")
    (tmp_path / "a.yaml").write_text(MANIFEST)
    ended = haulier("validate", "--offline", str(tmp_path))
    assert (ended.code, ended.err) == (Exit.OK, "")
    assert "Datastore  lake" in ended.out
    (tmp_path / "a.yaml").write_text(MANIFEST.replace("root:", "rot:"))
    ended = haulier("validate", "--offline", str(tmp_path), "-o", "json")
    assert ended.code == Exit.BAD_ANSWER
    finding = json.loads(ended.out)["findings"][0]
    assert (finding["path"], finding["line"]) == (str(tmp_path / "a.yaml"), 4)
    assert far.heard == []


def test_the_schema_of_manifests_is_printed(haulier: Haulier) -> None:
    assert "properties" in json.loads(haulier("schema", "Dataset").out)
    assert len(json.loads(haulier("schema").out)["oneOf"]) == 5
    ended = haulier("schema", "Datset")
    assert ended.code == Exit.USAGE
    assert "Dataset" in ended.err


JSON_COMMANDS = [
    ("ListManifests", ("dataset", "list"), op.ListManifestsResponse()),
    ("ListManifests", ("datastore", "list"), op.ListManifestsResponse()),
    ("GetManifest", ("workflow", "get", "w"), op.GetManifestResponse()),
    ("ListMigrations", ("migration", "list"), listing(RUNNING)),
    ("ListMigrations", ("migration", "watch"), listing(BAD)),
    ("GetMigration", ("migration", "get", "a"), op.GetMigrationResponse(migration=RUNNING)),
    ("StartMigrations", ("migration", "start", "a"), op.StartMigrationsResponse(started=[RUNNING])),
    ("CancelMigration", ("migration", "cancel", "a", "--reason", "x"), op.CancelMigrationResponse(migration=WELL)),
    ("RetryMigration", ("migration", "retry", "a"), op.RetryMigrationResponse(migration=WELL)),
    ("RollbackMigration", ("rollback", "a", "--reason", "x"), op.RollbackMigrationResponse(migration=WELL)),
    ("CleanUpMigrations", ("migration", "clean-up", "a"), op.CleanUpMigrationsResponse(cleaning=[WELL])),
    ("ListAgents", ("agent", "list"), op.ListAgentsResponse()),
    ("DrainAgent", ("agent", "drain", "h", "--reason", "x"), op.DrainAgentResponse()),
    ("ResumeAgent", ("agent", "resume", "h"), op.ResumeAgentResponse()),
    ("CreateJoinToken", ("token", "create"), op.CreateJoinTokenResponse(token="t")),
    ("GetStatus", ("status",), op.GetStatusResponse()),
    ("Why", ("why", "a"), op.WhyResponse()),
]


@pytest.mark.parametrize(("method", "arguments", "answer"), JSON_COMMANDS)
def test_every_answer_is_there_as_json_and_as_a_table(
    haulier: Haulier, far: FarSide, method: str, arguments: tuple[str, ...], answer: object
) -> None:
    far.says(method, answer)
    as_json = haulier(*arguments, "-o", "json")
    assert as_json.code == Exit.OK, as_json.err
    assert isinstance(json.loads(as_json.out), dict)
    for output in ("table", "wide"):
        as_table = haulier(*arguments, "-o", output)
        assert as_table.code == Exit.OK, as_table.err
        assert "\x1b" not in as_table.out + as_table.err


def test_starting_needs_names_or_all(haulier: Haulier) -> None:
    assert haulier("start").code == Exit.USAGE
    assert haulier("start", "a", "--all").code == Exit.USAGE


def test_start_all_when_all_were_started(haulier: Haulier, far: FarSide) -> None:
    far.says("StartMigrations", op.StartMigrationsResponse())
    ended = haulier("start", "--all")
    assert ended.code == Exit.OK
    assert "nothing to start" in ended.err


@pytest.mark.parametrize("flag", ["--wait", "--watch"])
def test_start_and_wait_is_well_only_if_all_ended_well(haulier: Haulier, far: FarSide, flag: str) -> None:
    far.says("StartMigrations", op.StartMigrationsResponse(started=[RUNNING], already_started=["b"]))
    far.says("ListMigrations", listing(WELL, BAD))
    ended = haulier("migration", "start", "a", "b", flag)
    assert ended.code == Exit.BAD_ANSWER
    assert "b: failed: no route to pg" in ended.err
    assert "✓ succeeded 1, ✗ failed 1" in ended.out
    far.says("StartMigrations", op.StartMigrationsResponse(started=[RUNNING]))
    assert haulier("migration", "start", "a", flag).code == Exit.OK


@pytest.mark.parametrize("output", ["table", "json"])
def test_start_and_wait_names_what_did_not_come_along(haulier: Haulier, far: FarSide, output: str) -> None:
    left = ["index: by_day", "policy: north_only"]
    proven = op.MigrationSummary(
        migration_id="mig_a", name="a", state="succeeded", verified_digest="ab" * 16, left_behind=left
    )
    far.says("StartMigrations", op.StartMigrationsResponse(started=[RUNNING]))
    far.says("ListMigrations", listing(proven))
    ended = haulier("migration", "start", "a", "--wait", "-o", output)
    assert ended.code == Exit.OK
    if output == "json":
        assert json.loads(ended.out)["migrations"][0]["left_behind"] == left
    else:
        assert "DID NOT COME ALONG" in ended.out
        assert "index: by_day · policy: north_only" in ended.out


def test_watch_follows_one_and_gives_the_end_as_json(haulier: Haulier, far: FarSide) -> None:
    chapters = [listing(RUNNING), listing(WELL)]
    far.says("ListMigrations", lambda _request: chapters.pop(0))
    ended = haulier("migration", "watch", "a", "-o", "json")
    assert ended.code == Exit.OK
    assert [migration["state"] for migration in json.loads(ended.out)["migrations"]] == ["succeeded"]


@pytest.mark.parametrize(
    ("arguments", "method", "answer", "end", "code"),
    [
        (("migration", "cancel"), "CancelMigration", op.CancelMigrationResponse, "cancelled", Exit.OK),
        (("migration", "cancel"), "CancelMigration", op.CancelMigrationResponse, "stuck", Exit.BAD_ANSWER),
        (("rollback",), "RollbackMigration", op.RollbackMigrationResponse, "rolled_back", Exit.OK),
        (("rollback",), "RollbackMigration", op.RollbackMigrationResponse, "succeeded", Exit.BAD_ANSWER),
    ],
)
def test_waiting_for_the_way_back(
    haulier: Haulier,
    far: FarSide,
    arguments: tuple[str, ...],
    method: str,
    answer: type[op.CancelMigrationResponse] | type[op.RollbackMigrationResponse],
    end: str,
    code: Exit,
) -> None:
    far.says(method, answer(migration=RUNNING))
    far.says("ListMigrations", listing(op.MigrationSummary(migration_id="mig_a", name="a", state=end)))
    assert haulier(*arguments, "a", "--reason", "a mistake", "--wait").code == code
    assert getattr(far.heard[0], "reason") == "a mistake"  # noqa: B009


def test_a_join_token_stands_alone_on_standard_output(haulier: Haulier, far: FarSide) -> None:
    far.says("CreateJoinToken", op.CreateJoinTokenResponse(token="join.me", ttl_s=60))
    ended = haulier("token", "create", "--agent", "host-a", "--ttl", "60")
    assert ended.out == "join.me\n"
    assert "valid for 1m" in ended.err
    assert far.heard == [op.CreateJoinTokenRequest(agent_name="host-a", ttl_s=60)]


def test_events_as_lines_and_as_json_lines(haulier: Haulier, far: FarSide) -> None:
    events = [op.WatchEventsResponse(position=position, type="StepReadied", subject="step_a") for position in (3, 4)]
    far.says("WatchEvents", events)
    ended = haulier("events", "--after", "2", "--subject", "step_a")
    assert len(ended.out.splitlines()) == 2
    assert far.heard == [op.WatchEventsRequest(after=2, subject="step_a")]
    ended = haulier("events", "-o", "json")
    assert [json.loads(line)["position"] for line in ended.out.splitlines()] == [3, 4]


MIGRATION = op.GetMigrationResponse(
    migration=RUNNING,
    steps=[
        op.StepView(name="extract", attempts=[op.AttemptView(attempt_id="att_1", number=1)]),
        op.StepView(name="load", attempts=[op.AttemptView(attempt_id=f"att_{n}", number=n) for n in (2, 3)]),
        op.StepView(name="validate"),
    ],
)


def test_events_are_asked_for_as_they_are_wanted(haulier: Haulier, far: FarSide) -> None:
    far.says("WatchEvents", [op.WatchEventsResponse(position=1, type="StepReadied", subject="step_1")])
    wanted = ("--subject", "a/load", "--tail", "5", "--since", "1h30m", "--type", "StepFailed", "--type", "StepStuck")
    assert haulier("events", *wanted).code == Exit.OK
    types = ["StepFailed", "StepStuck"]
    # What was printed is not asked for again, should the stream be taken up.
    assert far.heard == [op.WatchEventsRequest(subject="a/load", tail=5, since_ago_s=5400, types=types)]
    assert haulier("events", "--since", "2026-01-31T12:00:00Z").code == Exit.OK
    assert far.heard[-1] == op.WatchEventsRequest(since_at=1_769_860_800)
    ended = haulier("events", "--since", "yesterday")
    assert ended.code == Exit.USAGE
    assert "2026-01-31T12:00:00Z" in ended.err


def test_output_of_an_attempt_that_failed_ends_with_why(haulier: Haulier, far: FarSide) -> None:
    failure = agent_pb2.AttemptFailure(code="disk_full", message="no room at /srv", hint="make some")
    end = op.TailLogsResponse(state="failed", failure=failure)
    far.says("TailLogs", [op.TailLogsResponse(data=b"read 7 rows\n"), end])
    shown = haulier("logs", "att_1")
    assert shown.out == "read 7 rows\n✗ failed: [disk_full] no room at /srv\n  hint: make some\n"
    last = json.loads(haulier("logs", "att_1", "-o", "json").out.splitlines()[-1])
    assert (last["state"], last["failure"]["code"]) == ("failed", "disk_full")
    raw = haulier("logs", "att_1", "--raw")
    assert raw.out == "read 7 rows\n" and "no room" in raw.err
    far.says("TailLogs", [op.TailLogsResponse(state="succeeded")])
    assert "the attempt succeeded" in haulier("logs", "att_1").err


def test_applied_migrations_are_listed_before_they_are_started(haulier: Haulier, far: FarSide) -> None:
    spec = '{"dataset": "d", "workflow": "copy", "to": {"datastore": "lake", "object": "d"}}'
    manifest = op.ManifestSummary(kind="Migration", name="d-to-lake", generation=1, spec_json=spec)
    far.says("ListManifests", op.ListManifestsResponse(manifests=[manifest]))
    ended = haulier("migration", "list", "--applied")
    assert ended.out.splitlines()[1].split()[:5] == ["d-to-lake", "d", "copy", "lake", "d"]
    assert far.heard == [op.ListManifestsRequest(kind="Migration")]


def test_a_state_that_does_not_exist_is_named(haulier: Haulier, far: FarSide) -> None:
    ended = haulier("migration", "list", "--state", "sucess")
    assert ended.code == Exit.USAGE
    assert "sucess is not a state of a migration" in ended.err
    assert "succeeded" in ended.err
    assert not far.heard


def test_an_option_before_the_command_is_explained(haulier: Haulier) -> None:
    ended = haulier("-o", "json", "migration", "list")
    assert ended.code == Exit.USAGE
    assert "options come after the command" in ended.err


@pytest.mark.parametrize(
    ("subject", "attempt_id"), [("att_9", "att_9"), ("a", "att_3"), ("a/extract", "att_1"), ("a/load", "att_3")]
)
def test_logs_of_the_newest_attempt(haulier: Haulier, far: FarSide, subject: str, attempt_id: str) -> None:
    far.says("GetMigration", MIGRATION)
    far.says("TailLogs", [op.TailLogsResponse(data=b"hello\n")])
    ended = haulier("logs", subject)
    assert (ended.code, ended.out) == (Exit.OK, "hello\n")
    assert far.heard[-1] == op.TailLogsRequest(attempt_id=attempt_id)


@pytest.mark.parametrize(("subject", "what"), [("a/nope", "has no step nope"), ("a/validate", "no attempt was made")])
def test_logs_of_what_does_not_exist(haulier: Haulier, far: FarSide, subject: str, what: str) -> None:
    far.says("GetMigration", MIGRATION)
    ended = haulier("logs", subject)
    assert ended.code == Exit.NOT_FOUND
    assert what in ended.err


def test_logs_as_json(haulier: Haulier, far: FarSide) -> None:
    far.says("TailLogs", [op.TailLogsResponse(data=b"a\xff", dropped_bytes=3)])
    ended = haulier("logs", "att_1", "-o", "json")
    assert json.loads(ended.out) == {"text": "a\ufffd", "dropped_bytes": 3}


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("migration",),
        ("migration", "get"),
        ("migration", "cancel", "a"),
        ("migration", "list", "-o", "xml"),
        ("token", "create", "--ttl", "901"),
        ("token", "create", "--ttl", "soon"),
        ("apply",),
        ("events", "--after", "-1"),
        ("apply", "/nonexistent/path.yaml"),
    ],
)
def test_wrong_usage_is_2_and_names_the_help_or_the_path(haulier: Haulier, arguments: tuple[str, ...]) -> None:
    ended = haulier(*arguments)
    assert ended.code == Exit.USAGE
    assert ended.err or "Usage:" in ended.out


def test_a_near_miss_is_suggested(haulier: Haulier) -> None:
    assert "Did you mean 'migration'?" in haulier("migratoin").err


def test_what_is_not_found_is_4(haulier: Haulier, far: FarSide) -> None:
    far.says("GetMigration", Refusal(grpc.StatusCode.NOT_FOUND, "there is no migration x"))
    ended = haulier("migration", "get", "x")
    assert ended.code == Exit.NOT_FOUND
    assert ended.err.startswith("error: there is no migration x\n")


def test_interrupted_is_130(haulier: Haulier, far: FarSide, monkeypatch: pytest.MonkeyPatch) -> None:
    far.says("ListMigrations", listing(RUNNING))

    def interrupted(*_arguments: object, **_more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("controlplane.cli.migrations.watching.watch", interrupted)
    ended = haulier("migration", "watch")
    assert ended.code == Exit.INTERRUPTED
    assert "goes on" in ended.err


def test_the_help_documents_every_exit_code(haulier: Haulier) -> None:
    text = haulier("--help").out
    for code in Exit:
        assert f"\n  {int(code):>5}  " in text


def test_every_command_explains_itself(haulier: Haulier) -> None:
    top = haulier("--help").out
    assert "..." not in top.split("Commands:")[1], "a first sentence is too long for 80 columns"
    for noun in ("migration", "dataset", "datastore", "workflow", "agent", "token"):
        assert haulier(noun, "--help").code == Exit.OK


def program(*arguments: str, profile: Path) -> list[str]:
    return [sys.executable, "-m", "controlplane.cli.main", *arguments, "--profile", str(profile)]


ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "proto")])}


def test_a_reader_that_has_seen_enough_is_no_error(far: FarSide, tmp_path: Path) -> None:
    events = [op.WatchEventsResponse(position=n, type="StepReadied", subject="step_a" * 50) for n in range(2000)]
    far.says("WatchEvents", events)
    profile = far.write_profile(tmp_path / "p.json")
    with subprocess.Popen(
        program("events", profile=profile), env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(20) == Exit.OK


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_a_watch_without_a_traceback(
    far: FarSide, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    far.says("ListMigrations", listing(RUNNING))
    profile = far.write_profile(tmp_path / "p.json")
    with subprocess.Popen(
        # A shell that started the tests in the background has them, and all below them, ignore SIGINT.
        ["env", "--default-signal=INT", *program("migration", "watch", profile=profile)],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == b"a  running  0/2  load\n"
        process.send_signal(number)
        assert process.wait(20) == code
        assert b"Traceback" not in process.stderr.read()


def test_the_token_is_shown_nowhere(far: FarSide, tmp_path: Path) -> None:
    far.says("GetStatus", Refusal(grpc.StatusCode.INTERNAL, "broken"))
    profile = far.write_profile(tmp_path / "p.json")
    ended = subprocess.run(
        program("status", profile=profile),
        env={**ENVIRONMENT, "GRPC_VERBOSITY": "DEBUG"},
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert ended.returncode == Exit.INTERNAL
    assert TOKEN.encode() not in ended.stdout + ended.stderr


def test_help_needs_no_heavy_library() -> None:
    """What makes the program slow to start is imported by the commands that need it."""
    script = (
        "import sys; from controlplane.cli.main import main; main(['--help']);"
        "print(*sorted({'grpc', 'google.protobuf', 'yaml', 'rich', 'controlplane.manifests'} & set(sys.modules)),"
        " file=sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], env=ENVIRONMENT, capture_output=True, text=True, check=True, timeout=30
    )
    assert ended.stderr.strip() == ""


def test_ten_thousand_manifests_are_one_request(haulier: Haulier, far: FarSide, tmp_path: Path) -> None:
    body = (
        "apiVersion: haulier/v1\nkind: Dataset\nmetadata:\n  name: d{n}\nspec:\n  owner: team\n  columns: [a, b, c]\n"
    )
    for number in range(10_000):
        (tmp_path / f"{number}.yaml").write_text(body.format(n=number))
    far.says(
        "ApplyManifests",
        lambda request: op.ApplyManifestsResponse(
            outcomes=[
                op.ManifestOutcome(kind="Dataset", name=file.path, change=op.MANIFEST_CHANGE_CREATED)
                for file in request.files
            ]
        ),
    )
    ended = haulier("apply", str(tmp_path))
    assert ended.code == Exit.OK
    assert "Dataset: 10,000 created" in ended.out
    assert len(far.heard) == 1


def test_inspect_hands_everything_to_the_agents_program(
    haulier: Haulier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agentd = tmp_path / "haulier-agentd"
    agentd.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/heard\nexit 7\n')
    agentd.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    assert haulier("inspect", "csv", "--root", "/data", "--help", "-o", "json").code == 7
    assert (tmp_path / "heard").read_text() == "inspect csv --root /data --help -o json\n"


def test_inspect_without_the_agents_program(haulier: Haulier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    ended = haulier("inspect")
    assert ended.code == Exit.UNREACHABLE
    assert "not installed" in ended.err
