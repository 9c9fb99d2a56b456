"""After keys were stolen and used: what people do, and that every host comes back to the honest road by itself."""

from pathlib import Path
from typing import Any

import pytest

from agentd.updater.refusing import Refused
from tests.attacks.on_controlplane import Publisher
from tests.attacks.scene import NEWEST, Scene, Stage, later
from tests.kit.releases import wanted

SKY = 2**31


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("stage") / "all")


@pytest.fixture
def scene(stage: Stage, tmp_path: Path) -> Scene:
    return stage.scene(tmp_path / "scene")


def raised(signed: Any) -> None:
    signed.version = SKY


def fast_forward(scene: Scene, role: str) -> None:
    """Raise a role's version to the sky with its stolen key and those above it, and let the host take it."""
    scene.forged(role, raised, scene.stolen(role))
    if role == "targets":
        scene.rechain(scene.stolen("snapshot"), scene.stolen("timestamp"))
    elif role == "snapshot":
        scene.name_snapshot(scene.stolen("timestamp"))
    scene.serve()
    assert scene.take() == "", "it is truly signed, so a host believes it"


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_a_fast_forward_is_undone_by_revoking_the_key(scene: Scene, role: str) -> None:
    fast_forward(scene, role)
    # The honest timestamp has to be newer than the thief's, or the host would go on with what it has.
    scene.forge.desk(scene.now).refresh(scene.forge.online)
    assert scene.take_honestly() == "bad_version"
    desk = scene.forge.desk(scene.now)
    desk.revoke(desk.root().signed.roles[role].keyids[0], scene.forge.offline, scene.forge.online)
    assert scene.take_honestly() == ""
    # And what the thief goes on to sign is refused.
    scene.serve()
    assert scene.take() in ("bad_signature", "bad_version", "incomplete")


def test_a_host_that_was_away_follows_many_roots(scene: Scene) -> None:
    desk = scene.forge.desk(scene.now)
    for _ in range(5):
        desk.renew_root(scene.forge.offline, new_keys=True)
    desk.revoke(desk.root().signed.roles["targets"].keyids[0], scene.forge.offline, scene.forge.online)
    assert scene.take_honestly() == ""
    assert b'"version": 7' in (scene.host.trusted / "root.json").read_bytes()


def test_a_missing_root_in_the_chain_stops_there(scene: Scene) -> None:
    desk = scene.forge.desk(scene.now)
    for _ in range(3):
        desk.revoke(desk.root().signed.roles["timestamp"].keyids[0], scene.forge.offline, scene.forge.online)
    scene.host.fetch(scene.forge.repository, scene.built(NEWEST))
    (scene.host.incoming / "metadata" / "3.root.json").unlink()
    before = scene.host.state()
    assert scene.take() == "bad_signature"
    assert scene.host.state() == before


def test_an_ended_signature_holds_and_is_nobodys_fault(scene: Scene) -> None:
    scene.now = later(8)
    scene.serve()
    with pytest.raises(Refused) as refused:
        scene.host.verify(scene.wish, scene.now)
    assert refused.value.code == "metadata_expired" and refused.value.holds
    scene.forge.desk(scene.now).refresh(scene.forge.online)
    scene.host.fetch(scene.forge.repository, scene.built(NEWEST))
    assert scene.take() == ""


def test_a_signed_consent_lets_a_control_plane_go_back(scene: Scene) -> None:
    scene.wish = wanted(scene.built("0.1.0"))
    scene.serve(scene.built("0.1.0").path)
    assert scene.take() == "downgrade"
    desk = scene.forge.desk(scene.now)
    desk.allow_back("0.1.0", "0.1.9", scene.forge.offline)
    desk.refresh(scene.forge.online)
    scene.host.fetch(scene.forge.repository, scene.built("0.1.0"))
    assert scene.take() == "downgrade"
    desk.allow_back("0.1.0", "0.2.0", scene.forge.offline)
    desk.refresh(scene.forge.online)
    scene.host.fetch(scene.forge.repository, scene.built("0.1.0"))
    assert scene.take() == ""


def test_a_host_without_room_holds(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    true = os.statvfs(scene.home)
    full = os.statvfs_result((true.f_bsize, true.f_frsize, true.f_blocks, 0, 0, *tuple(true)[5:10]))
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    scene.serve()
    before = scene.host.state()
    with pytest.raises(Refused) as refused:
        scene.host.verify(scene.wish, scene.now)
    assert refused.value.code == "disk_full" and refused.value.holds
    assert scene.host.state() == before


def test_a_host_without_a_root_says_so(scene: Scene) -> None:
    (scene.host.trusted / "root.json").unlink()
    scene.serve()
    assert scene.take() == "no_trusted_root"


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_a_control_plane_too_comes_back_from_a_fast_forward(scene: Scene, role: str) -> None:
    publisher = Publisher(scene)
    publisher.honest()
    fast_forward(scene, role)
    assert publisher.attacked() == "", "it is truly signed, so a control plane believes it"
    desk = scene.forge.desk(scene.now)
    for _ in range(2):
        desk.refresh(scene.forge.online)
    scene.served = scene.forge.repository
    assert publisher.attacked() == "bad_version"
    desk.revoke(desk.root().signed.roles[role].keyids[0], scene.forge.offline, scene.forge.online)
    assert publisher.attacked() == ""
    scene.served = scene.hostile
    assert publisher.attacked() in ("bad_signature", "bad_version")
