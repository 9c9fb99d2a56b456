"""The real updater on a host of its own, with signed releases whose agents behave well or badly."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.upgrading import Forge, UpgradingHost, stand_in


@pytest.fixture
def host(tmp_path: Path) -> Iterator[UpgradingHost]:
    """A host that runs release 0.1.0."""
    made = UpgradingHost(tmp_path / "host", Forge(tmp_path / "forge"))
    made.install(made.forge.release("0.1.0", stand_in("good")))
    made.service("restart")
    try:
        yield made
    finally:
        made.end()


def upgraded(host: UpgradingHost, version: str, manner: str, probation_s: float = 0.5) -> str:
    """Ask for a release of this manner and let it end; returns its digest."""
    built = host.forge.release(version, stand_in(manner))
    host.fetch(built)
    host.ask(built, probation_s)
    assert host.settle() == "idle"
    assert host.faults() == []
    assert host.junk() == []
    return built.digest


def test_a_good_release_is_kept_and_the_updater_follows_it(host: UpgradingHost) -> None:
    old = host.runs()
    new = upgraded(host, "0.2.0", "good")
    assert host.runs() == new
    assert (host.home / "previous").readlink().name == old
    assert (host.home / "updater").readlink().name == new
    told = host.told()
    assert (told["state"], told["version"], told["digest"], told["rollout_id"]) == ("kept", "0.2.0", new, "roll_1")
    assert host.service("state") == "running"
    third = upgraded(host, "0.3.0", "good")
    assert {each.name for each in (host.home / "versions").iterdir()} == {new, third}, "the oldest is gone"


@pytest.mark.parametrize(("manner", "code"), [("crashes", "crashed"), ("hangs", "hung"), ("fails", "selftest_failed")])
def test_a_bad_release_goes_back_and_is_remembered(host: UpgradingHost, manner: str, code: str) -> None:
    old = host.runs()
    bad = upgraded(host, "0.2.0", manner)
    told = host.told()
    assert (told["state"], told["cause_code"]) == ("rolled_back", code)
    assert (told["digest"], told["wanted_digest"], told["failed_digests"]) == (old, bad, [bad])
    assert host.runs() == old
    assert host.service("state") == "running"
    box = json.loads((host.exchange / "black-box.json").read_text())
    assert (box["cause_code"], box["digest"], box["back_to"]) == (code, bad, "0.1.0")
    assert [line["what"] for line in box["timeline"]][-1:] == ["looked"]
    again = upgraded(host, "0.2.0", manner)
    assert again == bad
    assert host.told()["cause_code"] == "failed_before"


@pytest.mark.parametrize(
    ("version", "cut", "code"), [("0.0.9", False, "downgrade"), ("0.2.0", True, "artefact_differs")]
)
def test_what_must_not_run_here_changes_nothing(host: UpgradingHost, version: str, cut: bool, code: str) -> None:
    old = host.runs()
    built = host.forge.release(version, stand_in("good"))
    host.fetch(built)
    if cut:
        artefact = host.exchange / "incoming" / "artefact"
        artefact.write_bytes(artefact.read_bytes()[:-64] + b"\0" * 64)
    host.ask(built)
    assert host.settle() == "idle"
    assert (host.told()["state"], host.told()["cause_code"]) == ("refused", code)
    assert host.runs() == old
    assert [each.name for each in (host.home / "versions").iterdir()] == [old]


def test_the_owner_s_word_counts(host: UpgradingHost) -> None:
    old = host.runs()
    assert host.updater("pin", "0.1.0").returncode == 0
    upgraded(host, "0.2.0", "good")
    assert (host.told()["state"], host.told()["cause_code"], host.told()["pin"]) == ("refused", "pinned", "0.1.0")
    host.updater("unpin")
    assert host.settle() == "idle"
    new = host.runs()
    assert new != old, "the same request counts once the pin is gone"
    host.updater("opt-out")
    assert host.told()["opted_out"]
    back = host.updater("rollback")
    assert (back.returncode, back.stdout) == (0, "release 0.1.0 runs again\n")
    assert host.runs() == old
    assert host.told()["failed_digests"] == [new]
    again = host.updater("rollback")
    assert (again.returncode, again.stderr.count("\n")) == (1, 1)
    assert "no other release is kept" in again.stderr
    host.updater("opt-in")
    status = host.updater("status")
    assert status.returncode == 0
    assert "0.1.0" in status.stdout
    assert json.loads(host.updater("status", "-o", "json").stdout)["phase"] == "idle"


def test_the_control_plane_may_step_back_without_fetching(host: UpgradingHost) -> None:
    old = host.runs()
    upgraded(host, "0.2.0", "good")
    first = host.forge.release("0.1.0", stand_in("good"))
    assert first.digest == old, "the same files are the same release"
    (host.exchange / "incoming" / "artefact").unlink()
    host.ask(first)
    assert host.settle() == "idle"
    assert (host.runs(), host.told()["state"]) == (old, "kept")


def test_rescue_goes_back_on_probation_and_starts_a_kept_release_again(host: UpgradingHost) -> None:
    old = host.runs()
    host.service("stop")
    assert host.service("state") == "failed"
    assert host.updater("rescue").returncode == 0
    assert host.service("state") == "running"
    built = host.forge.release("0.2.0", stand_in("good"))
    host.fetch(built)
    host.ask(built, probation_s=3600.0)
    host.apply()
    assert host.remembered()["phase"] == "probation"
    assert host.updater("status").returncode == 2
    assert host.updater("rescue").returncode == 0
    assert (host.runs(), host.told()["cause_code"]) == (old, "crashed")
    assert host.service("state") == "running"


def test_a_request_taken_back_before_the_switch_leaves_nothing(host: UpgradingHost) -> None:
    old = host.runs()
    built = host.forge.release("0.2.0", stand_in("good"))
    host.fetch(built)
    host.ask(built)
    (host.exchange / "incoming" / "metadata" / "timestamp.json").unlink()
    host.apply()
    assert (host.told()["state"], host.told()["cause_code"]) == ("held", "incomplete")
    (host.exchange / "request.json").unlink()
    host.apply()
    assert (host.runs(), host.told()["state"], host.told()["cause_code"]) == (old, "kept", "")


def test_links_moved_by_a_package_are_taken_as_they_are(host: UpgradingHost) -> None:
    upgraded(host, "0.2.0", "good")
    third = host.forge.release("0.3.0", stand_in("good"))
    host.unpack(third)
    second = host.runs()
    for name, digest in (("previous", second), ("current", third.digest)):
        (host.home / name).unlink()
        (host.home / name).symlink_to(f"versions/{digest}")
    host.apply()
    assert (host.runs(), host.told()["version"], host.told()["previous_digest"]) == (third.digest, "0.3.0", second)


@pytest.mark.parametrize("text", ["{", "x" * 300_000, "[]"])
def test_a_request_that_is_none_is_not_used(host: UpgradingHost, text: str) -> None:
    (host.exchange / "request.json").write_text(text)
    done = host.updater("apply")
    assert done.returncode == 0
    assert "not used" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_link_of_the_agent_s_user_is_followed(host: UpgradingHost, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text('{"request_id": "x"}')
    (host.exchange / "request.json").symlink_to(secret)
    assert "not used" in host.updater("apply").stderr
    (host.exchange / "request.json").unlink()
    # A place for the status that leads elsewhere is replaced, and what it led to stays as it was.
    (host.exchange / "status.json").unlink(missing_ok=True)
    (host.exchange / "status.json").symlink_to(secret)
    host.apply()
    assert secret.read_text() == '{"request_id": "x"}'
    assert host.told()["format"] == 1


def test_a_damaged_state_is_said_in_one_line(host: UpgradingHost) -> None:
    host.apply()
    host.updater("pin", "0.1.0")
    (host.state / "state.json").write_text("{")
    done = host.updater("apply")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "move it away" in done.stderr
    (host.prefix / "etc" / "haulier" / "updater.toml").write_text("programme = 1\n")
    done = host.updater("status")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "did you mean 'program'?" in done.stderr


def test_trust_begins_with_the_packages_root_or_by_hand_and_never_anew(host: UpgradingHost, tmp_path: Path) -> None:
    trusted = host.state / "tuf" / "root.json"
    trusted.unlink()
    built = host.forge.release("0.2.0", stand_in("good"))
    host.fetch(built)
    host.ask(built, 0.5)
    assert host.settle() == "idle"
    assert host.told()["cause_code"] == "no_trusted_root"
    root = tmp_path / "root.json"
    root.write_bytes(host.forge.root.replace(b'"threshold": 1', b'"threshold": 2'))
    assert host.updater("trust", str(root)).returncode == 1, "its own signature is not on it"
    root.write_bytes(host.forge.root)
    assert host.updater("trust", str(root)).returncode == 0
    again = host.updater("trust", str(root))
    assert again.returncode == 1 and "holds a root already" in again.stderr
    trusted.unlink()
    packaged = host.prefix / "usr" / "lib" / "haulier-agentd" / "root.json"
    packaged.parent.mkdir(parents=True)
    packaged.write_bytes(host.forge.root)
    assert upgraded(host, "0.3.0", "good") == host.runs()
    assert b'"_type": "root"' in trusted.read_bytes()
