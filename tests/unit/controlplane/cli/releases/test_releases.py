"""`haulier release` as people and CI use it: keys, signing, renewing, taking back."""

import json
import stat
from pathlib import Path

import pytest

from controlplane.cli.screen.exits import Exit
from controlplane.releases.building import target_path
from tests.kit.releases import ARCHITECTURE, a_tree
from tests.unit.controlplane.cli.conftest import Ended, Haulier


@pytest.fixture
def release(haulier: Haulier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Haulier:
    """Runs `haulier release …` in a directory of its own, with passphrases in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("controlplane.releases.keys.KDF_ROUNDS", 1)
    monkeypatch.setenv("HAULIER_RELEASE_PASSPHRASE", "kept in the safe")
    monkeypatch.setenv("HAULIER_RELEASE_ONLINE_PASSPHRASE", "kept in the pipeline")

    def run(*arguments: str) -> Ended:
        return haulier("release", *arguments)

    return run


def built(release: Haulier, version: str, extra: str = "") -> str:
    a_tree(Path(f"tree-{version}{extra}"), version + extra)
    file = f"{version}{extra}.tar.zst"
    told = release(
        "build", "--tree", f"tree-{version}{extra}", "--version", version, "--architecture", ARCHITECTURE,
        "--output", file, "--json",
    )  # fmt: skip
    assert told.code == Exit.OK, told.err
    assert json.loads(told.out)["version"] == version
    return file


AT = ("--keys", "keys", "--repository", "repo")


def key_ids(release: Haulier, role: str) -> list[str]:
    listed = json.loads(release("keys", "list", "--repository", "repo", "-o", "json").out)["keys"]
    return [key["key_id"] for key in listed if key["role"] == role]


def test_the_whole_ceremony_by_one_person(release: Haulier) -> None:
    made = release("keys", "init", "--dir", "keys")
    assert made.code == Exit.OK
    assert "one root key alone can replace every other key" in made.err
    files = sorted(Path("keys").rglob("*.pem"))
    assert [str(path) for path in files] == [
        "keys/online/snapshot-1.pem", "keys/online/timestamp-1.pem", "keys/root-1.pem", "keys/targets-1.pem",
    ]  # fmt: skip
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert all(path.read_text().startswith("-----BEGIN OPENSSH PRIVATE KEY-----") for path in files)
    signed = release("sign", built(release, "0.2.0"), *AT)
    assert signed.code == Exit.OK, signed.err
    assert "timestamp 1 counts until" in signed.out
    assert (Path("repo") / "targets" / target_path("0.2.0", ARCHITECTURE)).exists()
    listed = release("keys", "list", "--repository", "repo")
    assert listed.out.count("✓ signed") == 4
    assert release("refresh", "--online-keys", "keys/online", "--repository", "repo").out.startswith("timestamp 2")


def test_signing_where_the_online_keys_are_not(release: Haulier) -> None:
    release("keys", "init", "--dir", "keys", "--online-keys", "pipeline")
    signed = release("sign", built(release, "0.2.0"), *AT)
    assert signed.code == Exit.OK
    assert "haulier release refresh" in signed.err
    assert not (Path("repo") / "metadata" / "timestamp.json").exists()
    assert release("refresh", "--online-keys", "pipeline", "--repository", "repo").code == Exit.OK


def test_two_of_three_must_sign_a_root(release: Haulier) -> None:
    release("keys", "init", "--dir", "keys", "--root-keys", "3", "--root-threshold", "2")
    release("sign", built(release, "0.2.0"), *AT)
    Path("hers").mkdir(mode=0o700)
    for name in ("root-2.pem", "root-3.pem"):
        Path("keys", name).rename(Path("hers", name))
    rotated = release("rotate-root", *AT, "--same-keys")
    assert rotated.code == Exit.OK, rotated.err
    assert "2.root.json still needs 1 signature" in rotated.err
    cosigned = release("cosign", "--keys", "hers", "--repository", "repo")
    assert cosigned.out == "2 signature(s) added\n"
    assert "still needs" not in cosigned.err
    assert release("cosign", "--keys", "hers", "--repository", "repo").out == "0 signature(s) added\n"


def test_a_root_is_rotated_to_new_keys(release: Haulier) -> None:
    release("keys", "init", "--dir", "keys")
    release("sign", built(release, "0.2.0"), *AT)
    before = key_ids(release, "root")
    assert release("rotate-root", *AT).out.startswith("root 2 counts until")
    assert not set(before) & set(key_ids(release, "root"))
    assert release("rotate-root", *AT).out.startswith("root 3 counts until")


def test_a_stolen_targets_key_is_replaced_with_all_that_it_guards(release: Haulier) -> None:
    release("keys", "init", "--dir", "keys")
    release("sign", built(release, "0.2.0"), *AT)
    (stolen,) = key_ids(release, "targets")
    revoked = release("revoke-key", stolen[:10], *AT)
    assert revoked.out.splitlines()[0] == "root 2 accepts new keys for targets, snapshot, timestamp"
    assert stolen not in key_ids(release, "targets")
    assert Path("keys/targets-1.revoked").exists() and Path("keys/online/snapshot-1.revoked").exists()
    assert release("sign", built(release, "0.3.0"), *AT).code == Exit.OK


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("keys", "init", "--dir", "keys"), "holds keys already"),
        (("keys", "init", "--dir", "new", "--root-threshold", "2"), "2 of 1 keys cannot be asked to sign for root"),
        (("build", "--tree", "nowhere", "--version", "0.2.0", "--output", "x"), "nowhere: is not a directory"),
        (("build", "--tree", "tree-0.2.0", "--version", "latest", "--output", "x"), "'latest' is not a version"),
        (("sign", "keys/root-1.pem", *AT), "is not an artefact"),
        (("sign", "0.2.0.tar.zst", "--keys", "nowhere", "--repository", "repo"), "holds no key that root 1 accepts"),
        (("withdraw", "9.9.9", *AT), "no release 9.9.9 is signed"),
        (("allow-back", "0.2.0", "--from", "new", *AT), "'new' is not a version"),
        (("revoke-key", "zz", *AT), "is the beginning of 0 key ids"),
        (("keys", "list", "--repository", "nowhere"), "there is no root metadata yet"),
        (("refresh", "--online-keys", "keys", "--repository", "repo"), "holds no key that root 1 accepts for"),
    ],
)
def test_mistakes_are_named(release: Haulier, arguments: tuple[str, ...], complaint: str) -> None:
    release("keys", "init", "--dir", "keys")
    release("sign", built(release, "0.2.0"), *AT)
    if arguments[0] == "refresh":
        Path("keys").rename("kept")
        Path("keys").mkdir()
    ended = release(*arguments)
    assert ended.code == Exit.USAGE
    assert complaint in ended.err


def test_a_version_is_never_signed_twice(release: Haulier) -> None:
    release("keys", "init", "--dir", "keys")
    first = built(release, "0.2.0")
    release("sign", first, *AT)
    assert release("sign", first, *AT).code == Exit.OK
    again = release("sign", built(release, "0.2.0", "-changed"), *AT)
    assert again.code == Exit.USAGE
    assert "signed already, with another digest" in again.err


def test_a_key_holder_takes_a_passphrase_of_her_own(release: Haulier, monkeypatch: pytest.MonkeyPatch) -> None:
    release("keys", "init", "--dir", "keys")
    file = built(release, "0.2.0")
    monkeypatch.setenv("HAULIER_RELEASE_NEW_PASSPHRASE", "short")
    assert "fewer than 12 characters" in release("keys", "protect", "--keys", "keys").err
    monkeypatch.setenv("HAULIER_RELEASE_NEW_PASSPHRASE", "known to her alone")
    assert release("keys", "protect", "--keys", "keys").out == "2 key(s) have a new passphrase\n"
    assert {stat.S_IMODE(path.stat().st_mode) for path in Path("keys").glob("*.pem")} == {0o600}
    assert "is it the right passphrase" in release("sign", file, *AT).err
    monkeypatch.setenv("HAULIER_RELEASE_PASSPHRASE", "known to her alone")
    assert release("sign", file, *AT).code == Exit.OK


def test_passphrases_are_guarded(release: Haulier, monkeypatch: pytest.MonkeyPatch) -> None:
    release("keys", "init", "--dir", "keys")
    file = built(release, "0.2.0")
    monkeypatch.setenv("HAULIER_RELEASE_PASSPHRASE", "wrong but long enough")
    wrong = release("sign", file, *AT)
    assert "is it the right passphrase" in wrong.err and "wrong but" not in wrong.err
    monkeypatch.setenv("HAULIER_RELEASE_PASSPHRASE", "short")
    assert "fewer than 12 characters" in release("sign", file, *AT).err
    monkeypatch.delenv("HAULIER_RELEASE_PASSPHRASE")
    assert "nobody is there to be asked" in release("sign", file, *AT).err
    secret = Path("secret")
    secret.write_text("kept in the safe\n")
    secret.chmod(0o644)
    assert "others may read this passphrase" in release("sign", file, *AT, "--passphrase-file", "secret").err
    secret.chmod(0o600)
    assert release("sign", file, *AT, "--passphrase-file", "secret").code == Exit.OK
    Path("keys/targets-1.pem").chmod(0o640)
    assert "others may read this key" in release("sign", file, *AT, "--passphrase-file", "secret").err
