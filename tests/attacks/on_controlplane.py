"""Attacks on the control plane: what a stolen administrator's token could try to publish."""

from datetime import datetime

from controlplane.releases.problems import Unproven
from controlplane.releases.repository import Repository
from tests.attacks.catalogue import ATTACKS, Attack
from tests.attacks.scene import DAY, Scene
from tests.kit.releases import NOW, files_of

# What is wrong with these lies in the metadata alone, so a control plane sees it as well as a host.
KINDS = {
    "arbitrary package",
    "replay",
    "freeze",
    "rollback of root",
    "rollback of timestamp",
    "rollback of snapshot",
    "rollback of targets",
    "mix-and-match",
    "fast-forward",
    "revoked key",
    "wrong threshold",
    "key compromise of online roles",
}
SEEN = {"bad_signature", "bad_version", "bad_metadata", "metadata_expired"}


def publications() -> list[Attack]:
    """The attacks by metadata, as publications."""
    return [each for each in ATTACKS if each.kind in KINDS and set(each.codes) <= SEEN]


class Publisher:
    """A control plane's repository that holds what the scene's host has seen."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.repository = Repository(scene.home / "repository")

    def honest(self) -> None:
        """Publish what was true before the attack."""
        self._publish(files_of(self._scene.seen), NOW + DAY)

    def attacked(self) -> str:
        """Publish what the attacker serves; returns the code of the refusal, "" if it was taken."""
        try:
            self._publish(files_of(self._scene.served), self._scene.now)
        except Unproven as problem:
            return problem.code
        return ""

    def state(self) -> dict[str, bytes]:
        """Everything on the repository."""
        top = self.repository.directory
        return {str(path.relative_to(top)): path.read_bytes() for path in sorted(top.rglob("*")) if path.is_file()}

    def _publish(self, files: dict[str, bytes], now: datetime) -> None:
        proven = self.repository.check(files, now.timestamp())
        self.repository.commit(proven)
