"""Attacks with keys: a stolen director, keys that were revoked, too few keys, keys of online roles."""

from tuf.api.metadata import Root, Targets, Timestamp

from agentd.updater.verifying import RequestedRelease
from tests.attacks.catalogue import attack
from tests.attacks.on_metadata import hostile_target, own_keys
from tests.attacks.scene import NEWEST, RUNNING, Scene, asking, path_of
from tests.kit.releases import Forge, Host, wanted

# The director's key: a control plane that lies. It holds no key that a host believes.


@attack("stolen director key", "digest_differs")
def director_installs_its_own(scene: Scene) -> None:
    """The control plane serves its own artefact under a signed path, with the digest of its own."""
    hostile = scene.home / "artefact"
    hostile.write_bytes(b"not from the forge")
    scene.serve(hostile)
    scene.wish = asking(scene, digest="d" * 64)


@attack("stolen director key", "downgrade")
def director_goes_back(scene: Scene) -> None:
    """The control plane asks for an older release, which is signed."""
    scene.serve(scene.built("0.1.0").path)
    scene.wish = wanted(scene.built("0.1.0"))


@attack("stolen director key", "wrong_architecture")
def director_takes_another_architecture(scene: Scene) -> None:
    """The control plane asks for a release of another architecture, which is signed."""
    built = scene.built(NEWEST, "aarch64")
    scene.serve(built.path)
    scene.wish = wanted(built)


@attack("stolen director key", "digest_differs")
def director_calls_old_new(scene: Scene) -> None:
    """The control plane asks for an older release and calls it the newest."""
    old = scene.built("0.1.0")
    scene.serve(old.path)
    scene.wish = RequestedRelease(NEWEST, old.digest, path_of("0.1.0"))


@attack("stolen director key", "too_old_to_follow")
def director_skips_what_lies_between(scene: Scene) -> None:
    """The control plane asks for a release that cannot follow the running one."""
    built = scene.built("0.9.0")
    scene.serve(built.path)
    scene.wish = wanted(built)


@attack("stolen director key", "unknown_target")
def director_takes_what_was_withdrawn(scene: Scene) -> None:
    """The control plane asks for a release that people have withdrawn, with the newest metadata."""
    built = scene.built(NEWEST)
    desk = scene.hostile_desk()
    desk.withdraw(NEWEST, scene.forge.offline)
    desk.refresh(scene.forge.online)
    scene.serve(built.path)


@attack("stolen director key", "unknown_target", "digest_differs")
def director_names_a_path_outside(scene: Scene) -> None:
    """The control plane asks for a path that leads out."""
    scene.serve()
    scene.wish = asking(scene, target_path="../../../etc/passwd")


# Revoked keys.


def revoked(scene: Scene, role: str) -> Forge:
    """The true forge replaces the key of `role`; the host learns of it. Returns the thief's copy of before."""
    import shutil

    shutil.copytree(scene.forge.home, scene.home / "thief")
    thief = Forge(scene.home / "thief", now=scene.now)
    desk = scene.forge.desk(scene.now)
    desk.revoke(desk.root().signed.roles[role].keyids[0], scene.forge.offline, scene.forge.online)
    built = scene.built(RUNNING)
    scene.host.fetch(scene.forge.repository, built)
    scene.host.verify(wanted(built), scene.now)
    shutil.rmtree(scene.hostile)
    shutil.copytree(scene.forge.repository, scene.hostile)
    return thief


@attack("revoked key", "bad_signature")
def revoked_targets_key(scene: Scene) -> None:
    """A targets key that was revoked signs a release, and a thief's old online keys sign it on."""
    thief = revoked(scene, "targets")
    scene.forged("targets", hostile_target, thief.offline.signers("targets"))
    scene.rechain(thief.online.signers("snapshot"), thief.online.signers("timestamp"))
    scene.serve()


@attack("revoked key", "bad_signature")
def revoked_targets_key_with_new_online_keys(scene: Scene) -> None:
    """A targets key that was revoked, and the new online keys stolen as well."""
    thief = revoked(scene, "targets")
    scene.forged("targets", hostile_target, thief.offline.signers("targets"))
    scene.rechain(scene.forge.online.signers("snapshot")[-1:], scene.forge.online.signers("timestamp")[-1:])
    scene.serve()


@attack("revoked key", "bad_signature")
def revoked_snapshot_key(scene: Scene) -> None:
    """A snapshot key that was revoked."""
    thief = revoked(scene, "snapshot")
    scene.rechain(thief.online.signers("snapshot"), scene.forge.online.signers("timestamp")[-1:])
    scene.serve()


@attack("revoked key", "bad_signature")
def revoked_timestamp_key(scene: Scene) -> None:
    """A timestamp key that was revoked."""
    thief = revoked(scene, "timestamp")
    scene.rechain(scene.forge.online.signers("snapshot")[-1:], thief.online.signers("timestamp"))
    scene.serve()


@attack("revoked key", "bad_signature")
def revoked_root_key(scene: Scene) -> None:
    """A root key that was revoked signs a next root with keys of the thief's own."""
    thief = revoked(scene, "root")
    mine = own_keys(scene).make("targets")

    def replace_targets(signed: Root) -> None:
        signed.version += 1
        signed.revoke_key(signed.roles["targets"].keyids[0], "targets")
        signed.add_key(mine.public_key, "targets")

    scene.forged("root", replace_targets, thief.offline.signers("root"))
    scene.serve()


# Too few signatures.


def with_thresholds(scene: Scene) -> None:
    """A forge and a host where two of three keys must sign root, and two of two releases."""
    import shutil

    for path in (scene.forge.home, scene.host.home, scene.hostile):
        shutil.rmtree(path)
    scene.forge = Forge(scene.home / "forge", {"root": 3, "targets": 2}, {"root": 2, "targets": 2}, scene.now)
    scene.host = Host(scene.home / "host", scene.forge.first_root, RUNNING)
    scene.wish = wanted(scene.forge.release(NEWEST))
    shutil.copytree(scene.forge.repository, scene.hostile)


@attack("wrong threshold", "bad_signature")
def one_signature_of_two_on_targets(scene: Scene) -> None:
    """Targets with one of the two signatures that are needed."""
    with_thresholds(scene)
    scene.forged("targets", hostile_target, scene.stolen("targets")[:1])
    scene.rechain(scene.stolen("snapshot"), scene.stolen("timestamp"))
    scene.serve()


@attack("wrong threshold", "bad_metadata", "bad_signature")
def one_key_that_signs_twice(scene: Scene) -> None:
    """Targets with two signatures of one key."""
    import json

    with_thresholds(scene)
    scene.forged("targets", hostile_target, scene.stolen("targets")[:1])
    told = json.loads(scene.path("targets").read_bytes())
    told["signatures"] *= 2
    scene.path("targets").write_text(json.dumps(told))
    scene.rechain(scene.stolen("snapshot"), scene.stolen("timestamp"))
    scene.serve()


@attack("wrong threshold", "bad_signature")
def one_signature_of_two_on_root(scene: Scene) -> None:
    """A next root with one signature of the two that are needed, which lowers the threshold to one."""
    with_thresholds(scene)

    def lower(signed: Root) -> None:
        signed.version += 1
        signed.roles["root"].threshold = 1

    scene.forged("root", lower, scene.stolen("root")[:1])
    scene.serve()


@attack("wrong threshold", "bad_signature")
def no_signature_at_all(scene: Scene) -> None:
    """A timestamp without any signature."""

    def raise_it(signed: Timestamp) -> None:
        signed.version += 1

    scene.forged("timestamp", raise_it, [])
    scene.serve()


# Keys of the online roles, which may be stolen from CI.


@attack("key compromise of online roles", "bad_signature")
def online_keys_add_a_target(scene: Scene) -> None:
    """Stolen online keys sign a snapshot that names targets which nobody signed."""
    scene.forged("targets", hostile_target, [])
    scene.rechain(scene.stolen("snapshot"), scene.stolen("timestamp"))
    scene.serve()


@attack("key compromise of online roles", "bad_signature")
def online_keys_sign_targets(scene: Scene) -> None:
    """Stolen online keys sign targets themselves."""
    scene.forged("targets", hostile_target, [*scene.stolen("snapshot"), *scene.stolen("timestamp")])
    scene.rechain(scene.stolen("snapshot"), scene.stolen("timestamp"))
    scene.serve()


@attack("key compromise of online roles", "bad_signature")
def online_keys_sign_a_root(scene: Scene) -> None:
    """Stolen online keys sign a next root that gives them the targets."""

    def take_over(signed: Root) -> None:
        signed.version += 1
        signed.roles["targets"].keyids = signed.roles["timestamp"].keyids

    scene.forged("root", take_over, [*scene.stolen("snapshot"), *scene.stolen("timestamp")])
    scene.serve()


@attack("key compromise of online roles", "bad_signature")
def signed_targets_with_a_change(scene: Scene) -> None:
    """Truly signed targets with a changed digest and their old signature, in a chain of stolen online keys."""

    def change(signed: Targets) -> None:
        hostile_target(signed)

    scene.forged("targets", change, [], keep=True)
    scene.rechain(scene.stolen("snapshot"), scene.stolen("timestamp"))
    scene.serve()
