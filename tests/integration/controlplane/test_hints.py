"""The commands that the product's own messages offer, given as they are offered: each does what its message promised.

Every command is taken out of what the programs print in the state in which they print it; only `TEXT` and the like are
filled in. What is offered is `tests/repo/test_errors.py`'s to find, and that each is tried here or told why not.
"""

import io
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controlplane.cli.main import main
from tests.integration.controlplane.test_command_line import MANIFESTS, Ended
from tests.kit.world import Timing, World

# The world finds its processes again by their pids, so it drops the handles that would warn about that.
pytestmark = pytest.mark.filterwarnings(r"ignore:subprocess \d+ is still running:ResourceWarning")

# Commands that messages offer and that are not given here as offered, with the reason.
NOT_GIVEN = {
    "haulier": "its help",
    "haulier inspect": "runs `haulier-agentd inspect`: tests/unit/agentd/test_command_line.py",
    "haulier logs": "offered where a program failed: tests/system/test_bad_runs.py reads them there",
    "haulier migration watch": "offered to whoever interrupts a command; given here in other states",
    "haulier profile refresh": "tests/integration/controlplane/test_authority_change.py gives it after a rotation",
    "haulier release": "takes keys and a repository: tests/unit/controlplane/cli/releases/test_releases.py",
    "haulier rollout": "takes signed releases: tests/unit/controlplane/cli/rollouts/test_commands.py gives the verbs to"
    " a stand-in, and tests/system/test_rollouts.py makes the same calls to a real control plane",
    "haulier-agentd": "for hosts: test_hints_on_access.py joins and asks for the status as offered;"
    " tests/contract/executors/test_roots.py forgets a place as offered",
    "haulier-controlplane": "for the control plane's host: test_processes.py gives `init` and `serve` as offered,"
    " and test_backups.py restores",
    "haulier-updater": "for hosts: tests/integration/agentd/test_updater.py trusts a root",
}

MORE = """\
---
apiVersion: haulier/v1
kind: Migration
metadata: {name: NAME}
spec: {dataset: carriers, workflow: copy, to: {datastore: lake, object: OBJECT}, staging: lake}
"""
Haulier = Callable[..., Ended]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A control plane with one agent, a CSV file and a lake; nothing else was applied."""
    made = World(tmp_path_factory.mktemp("hints"), ["alpha"], Timing(lease_ttl_s=12, heartbeat_s=2))
    for place in ("exports", "lake"):
        (made.data / place).mkdir(parents=True)
    (made.data / "exports" / "carriers.csv").write_text("code,seats\nUA,55\nAA,\n")
    made.start_controlplane()
    try:
        manifests = made.root / "manifests.yaml"
        # Without the workflow: the one of that name that comes with Haulier does more.
        documents = MANIFESTS.format(data=made.data).split("---\n")
        manifests.write_text("---\n".join(each for each in documents if "kind: Workflow" not in each))
        made.haulier("apply", str(manifests))
        made.join_agent("alpha", slots=4, labels={})
        made.start_agent("alpha")
        made.wait_for_agents()
        yield made
    finally:
        made.stop()


@pytest.fixture
def haulier(world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Haulier:
    """Runs one command line in this process."""

    def run(*arguments: str, stdin: str = "") -> Ended:
        monkeypatch.setenv("HAULIER_PROFILE", str(world.profile))
        # Nothing is cut to the width of a terminal.
        monkeypatch.setenv("COLUMNS", "2000")
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        capsys.readouterr()
        code = main(arguments)
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return run


def offered(said: Ended, begins: str) -> list[str]:
    """The one command that a text offers and that begins so, as arguments of `haulier`."""
    whole = said.out + said.err
    text = " ".join(whole.split())
    every = re.findall(r"`haulier ([^`]+)`", text) + re.findall(r"^ *hint: haulier ([^`\n]+)$", whole, re.MULTILINE)
    found = {each for each in every if f"{each} ".startswith(f"{begins} ")}
    assert len(found) == 1, f"{begins!r} is offered once in: {text}"
    return [{"TEXT": "as the hint said", "…": "as the hint said"}.get(word, word) for word in shlex.split(found.pop())]


def follow(haulier: Haulier, said: Ended, begins: str, *more: str) -> Ended:
    """Give the command that a text offers, and see it succeed."""
    ended = haulier(*offered(said, begins), *more)
    assert ended.code == 0, ended.out + ended.err
    return ended


def state_of(haulier: Haulier, name: str) -> str:
    return str(haulier("migration", "get", name, "-o", "json").value["migration"]["state"])


def add(haulier: Haulier, name: str, to: str = "") -> str:
    """Apply another migration of the same rows."""
    text = MORE.replace("NAME", name).replace("OBJECT", to or name)
    assert haulier("apply", "-", stdin=text).code == 0
    return name


def failed(world: World, haulier: Haulier, name: str) -> Path:
    """Let a migration fail: somebody else's directory lies at its destination, which is returned."""
    add(haulier, name)
    foreign = world.data / "lake" / name
    foreign.mkdir()
    (foreign / "mine.txt").write_text("not Haulier's")
    said = haulier("start", name, "--wait")
    assert said.code != 0
    assert "failed" in follow(haulier, said, "migration get").out
    assert state_of(haulier, name) == "failed"
    return foreign


def clear(foreign: Path) -> None:
    (foreign / "mine.txt").unlink()
    foreign.rmdir()


def test_a_failed_migration_is_retried(world: World, haulier: Haulier) -> None:
    foreign = failed(world, haulier, "again")
    why = haulier("why", "again")
    clear(foreign)
    follow(haulier, why, "migration retry again", "--wait")
    assert state_of(haulier, "again") == "succeeded"


def test_a_failed_migration_is_rolled_back_as_why_says(world: World, haulier: Haulier) -> None:
    foreign = failed(world, haulier, "back")
    follow(haulier, haulier("why", "back"), "migration rollback back", "--wait")
    assert state_of(haulier, "back") == "rolled_back"
    assert (foreign / "mine.txt").read_text() == "not Haulier's"


def test_starting_a_failed_migration_offers_to_retry_and_to_cancel_it(world: World, haulier: Haulier) -> None:
    foreign = failed(world, haulier, "anew")
    refused = haulier("start", "anew")
    clear(foreign)
    assert "migration retry anew" in " ".join(offered(refused, "migration retry"))
    follow(haulier, refused, "migration cancel anew", "--wait")
    assert haulier("start", "anew", "--wait").code == 0


def test_a_migration_that_was_never_started_is_started(haulier: Haulier) -> None:
    add(haulier, "fresh")
    follow(haulier, haulier("migration", "get", "fresh"), "migration start fresh", "--wait")
    assert state_of(haulier, "fresh") == "succeeded"


def test_a_success_is_not_cancelled_but_rolled_back(haulier: Haulier) -> None:
    add(haulier, "done")
    assert haulier("start", "done", "--wait").code == 0
    refused = haulier("migration", "cancel", "done", "--reason", "too late")
    assert refused.code != 0
    follow(haulier, refused, "migration rollback done", "--wait")
    assert state_of(haulier, "done") == "rolled_back"


@pytest.mark.parametrize(("verb", "way_out"), [("drain", "agent resume alpha"), ("cordon", "agent uncordon alpha")])
def test_an_agent_that_takes_nothing_is_let_in_again(haulier: Haulier, verb: str, way_out: str) -> None:
    name = add(haulier, f"held-by-{verb}")
    assert haulier("agent", verb, "alpha", "--reason", "a test").code == 0
    try:
        assert haulier("start", name).code == 0
        why = haulier("why", name)
        follow(haulier, why, way_out)
        assert haulier("migration", "watch", name).code == 0
    finally:
        haulier(*way_out.split())


def test_what_needs_a_manifest_is_deleted_first(haulier: Haulier) -> None:
    text = MANIFESTS.format(data="/nowhere").split("---")[2].replace("name: carriers", "name: spare")
    assert haulier("apply", "-", stdin=text).code == 0
    needing = MORE.replace("NAME", "of-spare").replace("OBJECT", "spare").replace("dataset: carriers", "dataset: spare")
    assert haulier("apply", "-", stdin=needing).code == 0
    refused = haulier("delete", "dataset", "spare")
    assert refused.code != 0
    follow(haulier, refused, "delete migration of-spare")
    assert haulier("delete", "dataset", "spare").code == 0


def test_what_moves_is_cancelled_before_it_is_deleted(haulier: Haulier) -> None:
    add(haulier, "moving")
    assert haulier("agent", "drain", "alpha", "--reason", "a test").code == 0
    try:
        assert haulier("start", "moving").code == 0
        refused = haulier("delete", "migration", "moving")
        follow(haulier, refused, "migration cancel moving", "--wait")
        assert haulier("delete", "migration", "moving").code == 0
    finally:
        haulier("agent", "resume", "alpha")


def test_a_place_is_freed_by_ending_who_is_on_its_way_there(haulier: Haulier) -> None:
    add(haulier, "first", to="shared")
    add(haulier, "second", to="shared")
    assert haulier("agent", "drain", "alpha", "--reason", "a test").code == 0
    try:
        assert haulier("start", "first").code == 0
        refused = haulier("start", "second")
        assert refused.code != 0
        follow(haulier, refused, "migration cancel first", "--wait")
    finally:
        haulier("agent", "resume", "alpha")
    assert haulier("start", "second", "--wait").code == 0


def stuck(world: World, haulier: Haulier, name: str) -> tuple[Ended, Path, bytes]:
    """Let an undo get stuck: somebody wrote into what was published.

    Return what `get` says of it, the file that was written to, and what was published in it.
    """
    add(haulier, name)
    assert haulier("start", name, "--wait").code == 0
    (published,) = [each for each in (world.data / "lake").glob(f"{name}*") if each.name != "_haulier"]
    file = published if published.is_file() else next(published.rglob("*.parquet"))
    file.chmod(0o644)
    content = file.read_bytes()
    file.write_bytes(content + b"somebody's")
    assert haulier("rollback", name, "--reason", "a test", "--wait").code != 0
    assert state_of(haulier, name) == "stuck"
    return haulier("migration", "get", name), file, content


def test_a_stuck_undo_goes_on_once_all_is_as_it_was(world: World, haulier: Haulier) -> None:
    said, file, content = stuck(world, haulier, "mended")
    file.write_bytes(content)
    follow(haulier, said, "migration retry mended", "--wait")
    assert state_of(haulier, "mended") == "rolled_back"
    assert not file.exists()


def test_a_stuck_undo_gives_up_what_others_wrote_when_told_to(world: World, haulier: Haulier) -> None:
    said, file, _ = stuck(world, haulier, "given-up")
    follow(haulier, said, "migration rollback given-up", "--wait")
    assert state_of(haulier, "given-up") == "rolled_back"
    assert not file.exists()


def test_a_stuck_migration_is_accepted_as_the_refusal_says(world: World, haulier: Haulier) -> None:
    _, file, _ = stuck(world, haulier, "kept")
    refused = haulier("start", "kept")
    assert refused.code != 0
    assert offered(refused, "migration retry")[-1] == "kept"
    follow(haulier, refused, "migration accept kept")
    assert state_of(haulier, "kept") not in ("stuck", "failed")
    assert file.read_bytes().endswith(b"somebody's")


def test_who_published_over_another_is_rolled_back_first(haulier: Haulier) -> None:
    add(haulier, "below", to="both")
    add(haulier, "above", to="both")
    text = MORE.replace("NAME", "above").replace("OBJECT", "both, ifExists: replace")
    assert haulier("apply", "-", stdin=text).code == 0
    for name in ("below", "above"):
        assert haulier("start", name, "--wait").code == 0
    refused = haulier("rollback", "below", "--reason", "a test")
    assert refused.code != 0
    follow(haulier, refused, "migration rollback above", "--wait")
    assert haulier("rollback", "below", "--reason", "a test", "--wait").code == 0


@pytest.mark.parametrize(
    ("asked", "lists"),
    [
        (("dataset", "get", "nope"), "dataset list"),
        (("datastore", "get", "nope"), "datastore list"),
        (("workflow", "get", "nope"), "workflow list"),
        (("migration", "get", "nope"), "migration list"),
        (("migration", "retry", "nope"), "migration list"),
        (("agent", "drain", "nope", "--reason", "a test"), "agent list"),
        (("rollout", "get", "nope"), "rollout list"),
        (("approval", "show", "nope"), "approval list"),
        (("operator", "revoke", "nope", "--reason", "a test"), "operator list"),
    ],
)
def test_who_misses_a_name_is_shown_where_the_names_are(haulier: Haulier, asked: tuple[str, ...], lists: str) -> None:
    missing = haulier(*asked)
    assert missing.code != 0
    follow(haulier, missing, lists)


def test_a_step_without_an_attempt_points_to_why(haulier: Haulier) -> None:
    add(haulier, "silent")
    assert haulier("agent", "drain", "alpha", "--reason", "a test").code == 0
    try:
        assert haulier("start", "silent").code == 0
        said = follow(haulier, haulier("logs", "silent/extract"), "why")
        assert "agent alpha is draining" in said.out
        assert haulier("migration", "cancel", "silent", "--reason", "a test", "--wait").code == 0
    finally:
        haulier("agent", "resume", "alpha")


def test_a_change_of_the_authority_is_ended_before_the_next_one(haulier: Haulier) -> None:
    refused = haulier("authority", "retire", "--reason", "a test")
    assert refused.code != 0
    follow(haulier, refused, "authority rotate")
    refused = haulier("authority", "rotate", "--reason", "a test")
    assert refused.code != 0
    assert offered(refused, "authority retire")[-2:] == ["--reason", "as the hint said"]


def test_a_clean_up_that_failed_is_tried_anew(world: World, haulier: Haulier) -> None:
    add(haulier, "messy")
    assert haulier("start", "messy", "--wait").code == 0
    found = haulier("migration", "get", "messy", "-o", "json").value["migration"]["migration_id"]
    (staged,) = (each for each in (world.data / "lake").rglob("att_*") if found in each.parts)
    (staged / "mine.txt").write_text("not Haulier's")
    failed_one = haulier("migration", "clean-up", "messy", "--wait")
    assert failed_one.code != 0
    assert "mine.txt is nothing that a step has staged" in failed_one.err
    (staged / "mine.txt").unlink()
    follow(haulier, haulier("status"), "migration clean-up", "--wait")
    assert not staged.exists()


def test_a_prune_says_what_it_may_look_at(
    world: World, haulier: Haulier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labelled = MORE.replace("{name: NAME}", "{name: NAME, labels: {team: air}}").replace("OBJECT", "pruned")
    (tmp_path / "manifests").mkdir()
    for name in ("goes", "stays"):
        (tmp_path / "manifests" / f"{name}.yaml").write_text(labelled.replace("NAME", name))
    monkeypatch.chdir(tmp_path)
    assert haulier("apply", "manifests/").code == 0
    (tmp_path / "manifests" / "goes.yaml").unlink()
    refused = haulier("apply", "manifests/", "--prune")
    assert refused.code != 0
    follow(haulier, refused, "apply manifests/ --prune", "--yes")
    assert haulier("delete", "migration", "goes").code != 0, "it is gone"
    assert haulier("delete", "migration", "stays").code == 0
