"""Attacks by metadata: what a network, a mirror, a control plane or a thief of keys can serve to a host."""

import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from tuf.api.metadata import Root, Snapshot, TargetFile, Targets, Timestamp

from agentd.updater.verifying import ARTEFACT, METADATA, METADATA_BYTES_MAX
from controlplane.releases.keys import KeyRing
from tests.attacks.catalogue import attack
from tests.attacks.scene import NEWEST, RUNNING, Scene, asking, later, path_of
from tests.kit.releases import Forge, wanted


def own_keys(scene: Scene) -> KeyRing:
    """Keys that the attacker made."""
    return KeyRing(scene.home / "own", "made by somebody else", kdf_rounds=1)


def hostile_target(signed: Targets) -> None:
    """Name another artefact under the newest release's path."""
    old = signed.targets[path_of(NEWEST)]
    signed.version += 1
    target = TargetFile(old.length, {"sha256": "e" * 64}, old.path)
    target.unrecognized_fields["custom"] = old.custom
    signed.targets[old.path] = target


# Arbitrary package.


@attack("arbitrary package", "artefact_differs")
def other_bytes(scene: Scene) -> None:
    """Other bytes of the same length in place of the artefact."""
    data = bytearray(scene.built(NEWEST).path.read_bytes())
    data[len(data) // 2] ^= 1
    hostile = scene.home / "artefact"
    hostile.write_bytes(data)
    scene.serve(hostile)


@attack("arbitrary package", "digest_differs")
def director_names_own_digest(scene: Scene) -> None:
    """The control plane asks for a digest that nobody signed."""
    scene.serve(scene.built("0.1.0").path)
    scene.wish = asking(scene, digest="e" * 64)


@attack("arbitrary package", "unknown_target")
def director_names_own_path(scene: Scene) -> None:
    """The control plane asks for a path that is not among the signed targets."""
    scene.serve()
    scene.wish = asking(scene, target_path="haulier-agentd-6.6.6-x86_64.tar.zst")


@attack("arbitrary package", "bad_signature")
def targets_signed_by_a_stranger(scene: Scene) -> None:
    """Targets signed by a key that no root names, in a chain of stolen online keys."""
    scene.forged("targets", hostile_target, [own_keys(scene).make("targets")])
    scene.rechain(scene.stolen("snapshot"), scene.stolen("timestamp"))
    scene.serve()
    scene.wish = asking(scene, digest="e" * 64)


@attack("arbitrary package", "bad_signature")
def a_whole_other_repository(scene: Scene) -> None:
    """A repository of the attacker's own, with a next root that its keys signed."""
    other = Forge(scene.home / "other", now=scene.now)
    built = other.release("0.4.0")
    other.desk().renew_root(other.offline, new_keys=False)
    scene.serve(built.path, other.repository)
    scene.wish = wanted(built)


# Replay.


@attack("replay", "bad_version")
def replay_of_everything(scene: Scene) -> None:
    """The whole repository of before the running release, and its release."""
    scene.serve(scene.built("0.1.0").path, scene.at("0.1.0"))
    scene.wish = wanted(scene.built("0.1.0"))


@attack("replay", "downgrade")
def replay_of_a_release(scene: Scene) -> None:
    """The newest metadata, and an old release that it still names."""
    scene.serve(scene.built("0.1.0").path)
    scene.wish = wanted(scene.built("0.1.0"))


@attack("replay", "incomplete", "unknown_target")
def replay_of_what_is_trusted(scene: Scene) -> None:
    """The very metadata that the host trusts already, and a release that came later."""
    scene.serve(repository=scene.at(RUNNING))


# Freeze: what is served goes on to look new, and is noticed when it ends.


@attack("freeze", "metadata_expired")
def frozen_timestamp(scene: Scene) -> None:
    """The same timestamp for more than a week."""
    scene.now = later(8)
    scene.serve()


@attack("freeze", "metadata_expired")
def frozen_before_the_newest(scene: Scene) -> None:
    """The metadata of the running release for more than a week, so that a newer one stays unknown."""
    scene.now = later(8)
    scene.serve(repository=scene.at(RUNNING))


@attack("freeze", "metadata_expired")
def frozen_snapshot(scene: Scene) -> None:
    """A stolen timestamp key keeps an old snapshot alive for more than a month."""
    scene.now = later(31)

    def renew(signed: Timestamp) -> None:
        signed.version += 1
        signed.expires = scene.now + timedelta(days=7)

    scene.forged("timestamp", renew, scene.stolen("timestamp"))
    scene.serve()


@attack("freeze", "metadata_expired")
def frozen_targets(scene: Scene) -> None:
    """Stolen online keys keep old targets alive for more than a year."""
    scene.now = later(366)
    scene.hostile_desk().refresh(scene.forge.online)
    scene.serve()


@attack("freeze", "metadata_expired")
def frozen_root(scene: Scene) -> None:
    """Nobody renewed the root for more than two years."""
    scene.now = later(731)
    desk = scene.hostile_desk()
    desk.add(scene.built(NEWEST), scene.forge.offline)
    desk.refresh(scene.forge.online)
    scene.serve()


# Rollback, role by role, with the keys that it takes.


@attack("rollback of root", "bad_version")
def old_root_as_the_next(scene: Scene) -> None:
    """The first root again, under the name of the next one."""
    first = scene.hostile / METADATA / "1.root.json"
    shutil.copyfile(first, scene.hostile / METADATA / "2.root.json")
    scene.serve()


@attack("rollback of root", "bad_version")
def root_that_skips(scene: Scene) -> None:
    """A root of version 9 under the name of the second, signed by the stolen root key."""

    def skip(signed: Root) -> None:
        signed.version = 9

    scene.forged("root", skip, scene.stolen("root"), "2.root.json")
    scene.serve()


@attack("rollback of timestamp", "bad_version")
def old_timestamp(scene: Scene) -> None:
    """The timestamp of before, with everything else new."""
    shutil.copyfile(scene.at("0.1.0") / METADATA / "timestamp.json", scene.path("timestamp"))
    scene.serve()


@attack("rollback of snapshot", "bad_version")
def old_snapshot_under_a_new_timestamp(scene: Scene) -> None:
    """A stolen timestamp key names the snapshot of before."""
    shutil.copytree(scene.at("0.1.0") / METADATA, scene.hostile / METADATA, dirs_exist_ok=True)
    for path in (scene.hostile / METADATA).glob("[2-9].snapshot.json"):
        path.unlink()
    old = scene.meta_of("snapshot")

    def name_it(signed: Timestamp) -> None:
        signed.version = 1000
        signed.expires = scene.now + timedelta(days=7)
        signed.snapshot_meta = old

    scene.forged("timestamp", name_it, scene.stolen("timestamp"))
    scene.serve()


@attack("rollback of targets", "bad_version")
def old_targets_under_a_new_snapshot(scene: Scene) -> None:
    """Stolen online keys name the targets of before."""
    for path in (scene.hostile / METADATA).glob("[2-9].targets.json"):
        path.unlink()
    scene.rechain(scene.stolen("snapshot"), scene.stolen("timestamp"))
    scene.serve(scene.built("0.1.0").path)
    scene.wish = wanted(scene.built("0.1.0"))


@attack("rollback of targets", "bad_metadata")
def targets_left_out_of_the_snapshot(scene: Scene) -> None:
    """Stolen online keys sign a snapshot that names no targets at all."""

    def forget(signed: Snapshot) -> None:
        signed.version += 1
        signed.meta = {}

    scene.forged("snapshot", forget, scene.stolen("snapshot"))
    scene.name_snapshot(scene.stolen("timestamp"))
    scene.serve()


# Mix and match.


@attack("mix-and-match", "bad_metadata")
def snapshot_of_before(scene: Scene) -> None:
    """The newest timestamp with the snapshot of before under the newest one's name."""
    shutil.copyfile(scene.at(RUNNING) / METADATA / "2.snapshot.json", scene.path("snapshot"))
    scene.serve()


@attack("mix-and-match", "bad_metadata")
def targets_of_before(scene: Scene) -> None:
    """The newest snapshot with the targets of before under the newest ones' name."""
    shutil.copyfile(scene.at(RUNNING) / METADATA / "2.targets.json", scene.path("targets"))
    scene.serve()


@attack("mix-and-match", "bad_metadata")
def one_role_as_another(scene: Scene) -> None:
    """The targets in the place of the snapshot."""
    shutil.copyfile(scene.path("targets"), scene.path("snapshot"))
    scene.serve()


@attack("mix-and-match", "artefact_differs")
def artefact_of_another_release(scene: Scene) -> None:
    """An artefact that is signed, but as another release."""
    scene.serve(scene.built(NEWEST, "aarch64").path)


# Fast-forward: versions so high that honest ones would look old.


@attack("fast-forward", "digest_differs")
def fast_forward_of_timestamp(scene: Scene) -> None:
    """A stolen timestamp key raises the version to the sky, and the control plane asks for another digest."""

    def raise_it(signed: Timestamp) -> None:
        signed.version = 2**31

    scene.forged("timestamp", raise_it, scene.stolen("timestamp"))
    scene.serve()
    scene.wish = asking(scene, digest="e" * 64)


@attack("fast-forward", "incomplete")
def fast_forward_of_snapshot(scene: Scene) -> None:
    """A stolen timestamp key promises a snapshot of a version to the sky, which does not exist."""

    def promise(signed: Timestamp) -> None:
        signed.version += 1
        signed.snapshot_meta.version = 2**31

    scene.forged("timestamp", promise, scene.stolen("timestamp"))
    scene.serve()


@attack("fast-forward", "incomplete")
def fast_forward_of_targets(scene: Scene) -> None:
    """Stolen online keys promise targets of a version to the sky, which do not exist."""

    def promise(signed: Snapshot) -> None:
        signed.version += 1
        signed.meta["targets.json"].version = 2**31

    scene.forged("snapshot", promise, scene.stolen("snapshot"))
    scene.name_snapshot(scene.stolen("timestamp"))
    scene.serve()


# Endless data, and what is not data.


def endless(role: str) -> None:
    """One attack for each role: metadata that does not end."""

    def play(scene: Scene) -> None:
        scene.serve()
        names = {"root": "2.root.json", "timestamp": "timestamp.json"}
        path = scene.host.incoming / METADATA / names.get(role, scene.path(role).name)
        with path.open("ab") as file:
            # A hole: as long as a disk may be, and costs none.
            file.truncate(1 << 40)
        assert path.stat().st_size > METADATA_BYTES_MAX[role]

    play.__name__ = f"endless_{role}"
    play.__doc__ = f"{role.capitalize()} metadata of a terabyte."
    attack("endless data", "bad_metadata")(play)


for _role in METADATA_BYTES_MAX:
    endless(_role)


@attack("endless data", "artefact_differs")
def endless_artefact(scene: Scene) -> None:
    """An artefact of a terabyte that begins with the true one."""
    scene.serve()
    with (scene.host.incoming / ARTEFACT).open("ab") as file:
        file.truncate(1 << 40)


@attack("endless data", "incomplete")
def artefact_cut_short(scene: Scene) -> None:
    """An artefact that lacks its end."""
    scene.serve()
    os.truncate(scene.host.incoming / ARTEFACT, 100)


def instead(name: str, what: str, make: Callable[[Path], object]) -> None:
    """Attacks of the agent's user upon the updater: something else in the place of a file."""

    def play(scene: Scene) -> None:
        scene.serve()
        path = scene.host.incoming / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        make(path)

    play.__name__ = f"{what.split()[-1]}_as_{Path(name).stem}"
    play.__doc__ = f"{what.capitalize()} in the place of {name}."
    attack("endless data", "bad_artefact")(play)


instead(ARTEFACT, "a pipe", os.mkfifo)
instead(ARTEFACT, "a link", lambda path: path.symlink_to("/dev/zero"))
instead(ARTEFACT, "a directory", lambda path: path.mkdir())
instead(f"{METADATA}/timestamp.json", "a pipe", os.mkfifo)
instead(f"{METADATA}/timestamp.json", "a link", lambda path: path.symlink_to("/etc/shadow"))
instead(METADATA, "a link", lambda path: path.symlink_to("/etc"))
