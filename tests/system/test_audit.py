"""Whoever changes the audit log is noticed by the next heartbeat, whether the control plane runs meanwhile or not."""

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.processes import until
from tests.system.audit_scene import AGENT, HEARTBEAT_S, Attack, AuditScene, Burglar


@pytest.fixture(scope="module")
def scene() -> Iterator[AuditScene]:
    """A scene that has risen; each test begins with ``put_back``."""
    with tempfile.TemporaryDirectory(prefix="haulier-audit-") as root:
        found = AuditScene(Path(root))
        try:
            found.rise()
            yield found
        finally:
            found.world.close()


def rebuilt(burglar: Burglar) -> None:
    burglar.edit()
    burglar.rebuild()


def cut_and_rebuilt(burglar: Burglar) -> None:
    burglar.truncate()
    burglar.rebuild()


def forged_with_the_key(burglar: Burglar) -> None:
    burglar.edit()
    burglar.rebuild()
    burglar.sign()


# What the control plane has to say of an attack, as loudly as it can.
TAMPERED = r"CRITICAL haulier\.audit: THE AUDIT LOG IS NOT INTACT"

ATTACKS = {
    "edit": Burglar.edit,
    "delete": Burglar.delete,
    "reorder": Burglar.reorder,
    "truncate": Burglar.truncate,
    "pretend an archive": Burglar.pretend,
}
# Those who know how the log is made, and make a new one: only witnesses can tell.
FORGERIES = {
    "edit and rebuild": rebuilt,
    "cut and rebuild": cut_and_rebuilt,
    "edit, rebuild and sign with the stolen key": forged_with_the_key,
}


def attacked(scene: AuditScene, attack: Attack) -> None:
    scene.world.causes[:] = [TAMPERED]
    burglar = Burglar(scene.state)
    try:
        attack(burglar)
    finally:
        burglar.close()


def require_noticed(scene: AuditScene, began_at: float) -> None:
    """See that it is said everywhere, within a heartbeat of ``began_at`` and of the agent's coming."""
    until(lambda: "THE AUDIT LOG IS NOT INTACT" in scene.log("controlplane"), 30.0, "the control plane to notice")
    noticed = scene.events("AuditLogContradicted")
    assert noticed, "it is an event"
    connected = [event["at"] for event in scene.events("AgentConnected")]
    assert noticed[0]["at"] - max([began_at, *connected]) < HEARTBEAT_S
    verified = json.loads(scene.world.haulier("audit", "verify", "-o", "json", codes=(1,)))
    assert not verified["intact"] and verified["faults"]
    assert "the audit log" in scene.world.haulier("status")


@pytest.mark.parametrize("name", [*ATTACKS, *FORGERIES])
def test_an_attack_on_a_stopped_control_plane(scene: AuditScene, name: str) -> None:
    scene.put_back()
    attacked(scene, {**ATTACKS, **FORGERIES}[name])
    scene.start()
    require_noticed(scene, time.time())
    if name in FORGERIES:
        assert scene.events("WitnessContradicted")


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_on_a_running_control_plane(scene: AuditScene, name: str) -> None:
    scene.put_back()
    before = scene.entries()
    scene.start()
    scene.await_witness(before + 1)
    began_at = time.time()
    attacked(scene, ATTACKS[name])
    require_noticed(scene, began_at)


def test_an_older_copy_of_the_store(scene: AuditScene) -> None:
    scene.put_back()
    copied = scene.entries()
    old = scene.world.root / "old-store.db"
    for suffix in ("", "-wal"):
        source = Path(f"{scene.state}/store.db{suffix}")
        if source.exists():
            shutil.copy(source, f"{old}{suffix}")
    scene.start()
    before = scene.await_witness(copied + 1)
    scene.stop()
    for suffix in ("", "-wal", "-shm"):
        Path(f"{scene.state}/store.db{suffix}").unlink(missing_ok=True)
        if Path(f"{old}{suffix}").exists():
            shutil.copy(f"{old}{suffix}", f"{scene.state}/store.db{suffix}")
    scene.start()
    require_noticed(scene, time.time())
    assert scene.events("WitnessContradicted")
    # The witness does not forget what it saw, so the next control plane meets it again.
    assert scene.status()["audit"]["witnessed"]["size"] >= before["size"]


def test_nothing_is_said_of_an_honest_log(scene: AuditScene) -> None:
    scene.put_back()
    scene.world.causes.clear()
    for _ in range(2):
        scene.start()
        scene.world.wait_for_agents()
        size = len(scene.world.haulier("events", "-o", "json").splitlines())
        head = scene.await_witness(size)
        scene.stop()
    scene.start()
    scene.world.wait_for_agents()
    witness = scene.world.root / "witness.json"
    witness.write_text(json.dumps(scene.await_witness(head["size"])))
    verified = scene.world.haulier_json("audit", "verify", "--witness", str(witness))
    assert verified["intact"] and verified["witnesses"] == 1 and verified["entries"] >= head["size"]
    exported = scene.world.root / "export.jsonl"
    exported.write_text(scene.world.haulier("audit", "export"))
    assert scene.world.haulier_json("audit", "verify", "--export", str(exported), "--witness", str(witness))["intact"]
    exported.write_text(exported.read_text().replace("turn 2", "turn 4"))
    assert not json.loads(scene.world.haulier("audit", "verify", "--export", str(exported), "-o", "json", codes=(1,)))[
        "intact"
    ]
    store = str(scene.state / "store.db")
    assert "intact" in scene.world.haulier("audit", "verify", "--store", store, "--witness", str(witness))
    assert not scene.events("AuditLogContradicted")
    assert AGENT in scene.world.haulier("agent", "list")
