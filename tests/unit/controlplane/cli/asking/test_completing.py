"""What the shell offers at a name, and what is said of a name that was mistyped."""

from pathlib import Path

import pytest
from haulier.v1 import operator_pb2 as op

from controlplane.cli.main import build, main
from controlplane.cli.screen.exits import Exit
from tests.unit.controlplane.cli.conftest import Haulier
from tests.unit.controlplane.cli.far_side import FarSide


def listing(*migrations: op.MigrationSummary) -> op.ListMigrationsResponse:
    return op.ListMigrationsResponse(migrations=migrations)


def completed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What completion offers; it says nothing else, whatever goes wrong."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main([])
    captured = capsys.readouterr()
    assert (ended.value.code, captured.err) == (0, "")
    return captured.out.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("haulier mig", ["migration"]),
        ("haulier migration get pla", ["planes-a", "planes-b"]),
        ("haulier migration start fl", ["flights-new"]),
        ("haulier migration cancel ", ["planes-a", "flights"]),
        ("haulier migration retry ", ["flights"]),
        ("haulier migration rollback ", ["planes-a", "planes-b", "flights"]),
        ("haulier migration watch ", ["planes-a"]),
        ("haulier migration list --state fa", ["failed"]),
        ("haulier agent drain ", ["alpha", "charlie"]),
        ("haulier agent resume ", ["bravo"]),
        ("haulier agent cordon ", ["alpha", "bravo"]),
        ("haulier agent uncordon ", ["charlie"]),
        ("haulier dataset get pla", ["planes"]),
    ],
)
def test_the_shell_completes_commands_and_names(
    far: FarSide,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    offered: list[str],
) -> None:
    monkeypatch.setenv("HAULIER_PROFILE", str(far.write_profile(tmp_path / "p.json")))
    states = {"planes-a": "running", "planes-b": "succeeded", "flights": "failed"}
    far.says(
        "ListMigrations",
        lambda request: listing(
            *(
                op.MigrationSummary(name=n, state=state)
                for n, state in states.items()
                if not request.states or state in request.states
            )
        ),
    )
    agents = (("alpha", "serving", ""), ("bravo", "draining: disk", ""), ("charlie", "serving", "new disk"))
    views = [op.AgentView(name=name, state=state, cordon_reason=why) for name, state, why in agents]
    far.says("ListAgents", op.ListAgentsResponse(agents=views))
    manifests = {"Dataset": ("planes",), "Migration": ("flights", "flights-new")}
    far.says(
        "ListManifests",
        lambda request: op.ListManifestsResponse(
            manifests=[op.ManifestSummary(name=name) for name in manifests[request.kind]]
        ),
    )
    monkeypatch.setenv("_HAULIER_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    assert completed(capsys) == offered
    monkeypatch.setenv("HAULIER_PROFILE", "/nonexistent")
    assert completed(capsys) in ([], ["migration"], ["failed"]), "what is fixed needs no control plane"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("approvals", "list"), "Did you mean 'approval'"),
        (("migration", "lst"), "Did you mean 'list'"),
        (("migration", "list", "--state", "runing"), "did you mean running?"),
    ],
)
def test_a_near_miss_is_named(haulier: Haulier, arguments: tuple[str, ...], hint: str) -> None:
    """Nouns are singular everywhere: what was plural before says what it is called now."""
    ended = haulier(*arguments)
    assert ended.code == Exit.USAGE
    assert hint in ended.err


def test_nouns_are_singular() -> None:
    found = build().registered_groups
    assert {"migration", "approval", "operator", "token"} <= {group.name for group in found}
    assert not [group.name for group in found if str(group.name).endswith("s")]
