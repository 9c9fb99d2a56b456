"""Each attack on releases is refused for the right reason, changes nothing, and leaves the honest way open."""

from pathlib import Path

import pytest

from tests.attacks.catalogue import Attack
from tests.attacks.running import every, play
from tests.attacks.scene import Stage


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("stage") / "all")


@pytest.mark.parametrize(("where", "attack"), [pytest.param(w, a, id=f"{w}-{a.name}") for w, a in every()])
def test_an_attack_is_refused(stage: Stage, tmp_path: Path, where: str, attack: Attack) -> None:
    outcome = play(stage, where, attack, tmp_path / "scene")
    assert outcome.held, outcome


def test_every_kind_is_tried() -> None:
    kinds = {attack.kind for _, attack in every()}
    assert kinds >= {
        "arbitrary package", "replay", "freeze", "rollback of root", "rollback of timestamp", "rollback of snapshot",
        "rollback of targets", "mix-and-match", "fast-forward", "endless data", "stolen director key", "revoked key",
        "wrong threshold", "key compromise of online roles", "malicious archive",
    }  # fmt: skip
    names = [attack.name for where, attack in every() if where == "host"]
    assert len(names) == len(set(names)) > 80
