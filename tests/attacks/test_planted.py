"""The attacks have teeth: with one guard taken out of the product, the attacks that it is for succeed."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agentd.updater import unpacking, verifying
from tests.attacks.catalogue import ATTACKS
from tests.attacks.running import against_host
from tests.attacks.scene import Stage

Plant = Callable[[pytest.MonkeyPatch], None]
BY_NAME = {attack.name: attack for attack in ATTACKS}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("stage") / "all")


def replaced(owner: Any, name: str, by: Any) -> Plant:
    return lambda patch: patch.setattr(owner, name, by)


def forgetful(patch: pytest.MonkeyPatch) -> None:
    """Of what was trusted, only the root is remembered."""
    true = verifying._Chain._kept
    patch.setattr(verifying._Chain, "_kept", lambda self, name: true(self, name) if name == verifying.ROOT else None)


def timeless(patch: pytest.MonkeyPatch) -> None:
    """No signature ever ends."""
    true = verifying._Chain.follow

    def follow(self: Any) -> None:
        self._now = datetime.fromtimestamp(0, UTC)
        true(self)

    patch.setattr(verifying._Chain, "follow", follow)


def hasty(patch: pytest.MonkeyPatch) -> None:
    """Metadata is trusted before everything was checked."""
    true = verifying._Chain.follow

    def follow(self: Any) -> None:
        true(self)
        self.commit()

    patch.setattr(verifying._Chain, "follow", follow)


def credulous(patch: pytest.MonkeyPatch) -> None:
    """The control plane's word on the digest counts."""
    patch.setattr(verifying, "_signed_target", lambda targets, wanted: targets.targets[wanted.target_path])


def boundless(patch: pytest.MonkeyPatch) -> None:
    """An archive may unpack to anything."""
    true = unpacking._Forward.__init__
    patch.setattr(unpacking._Forward, "__init__", lambda self, stream, _: true(self, stream, 1 << 62))


def following_links(patch: pytest.MonkeyPatch) -> None:
    """Links of the agent's user are followed by root."""
    import os

    patch.setattr(verifying, "_FILE", verifying._FILE & ~os.O_NOFOLLOW)
    patch.setattr(verifying, "_DIRECTORY", verifying._DIRECTORY & ~os.O_NOFOLLOW)


@pytest.mark.parametrize(
    ("plant", "attacks"),
    [
        (forgetful, ("old_timestamp", "old_snapshot_under_a_new_timestamp", "old_targets_under_a_new_snapshot")),
        (timeless, ("frozen_timestamp", "frozen_snapshot", "frozen_targets", "frozen_root")),
        (hasty, ("other_bytes", "fast_forward_of_timestamp", "director_goes_back")),
        (credulous, ("director_names_own_digest", "director_installs_its_own")),
        (following_links, ("link_as_metadata",)),
        (
            replaced(verifying, "_check_rules", lambda *_: None),
            ("director_goes_back", "director_takes_another_architecture", "director_skips_what_lies_between"),
        ),
        (
            replaced(unpacking, "_check_link", lambda *_: None),
            ("a_link_to_an_absolute_path", "a_link_that_climbs_out_by_another_link", "links_in_a_circle"),
        ),
        (replaced(unpacking, "_check_name", lambda *_: None), ("a_name_that_climbs_out_in_the_middle",)),
        (replaced(unpacking, "MODES", (0o644, 0o755, 0o4755)), ("a_mode_with_setuid",)),
        (replaced(unpacking, "_HEADER_BYTES_MAX", 1 << 40), ("a_header_of_megabytes",)),
        (replaced(unpacking, "WINDOW_BYTES_MAX", 1 << 31), ("a_window_that_takes_all_memory",)),
        (boundless, ("a_bomb_that_unpacks_to_more_than_was_signed",)),
    ],
)
def test_a_guard_that_is_missing_is_noticed(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plant: Plant, attacks: tuple[str, ...]
) -> None:
    plant(monkeypatch)
    held = [name for name in attacks if against_host(stage, BY_NAME[name], tmp_path / name).held]
    assert not held
