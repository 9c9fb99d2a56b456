"""Profiles: where they are found, and what is refused."""

import json
from pathlib import Path

import pytest

from controlplane.cli.asking import profile
from controlplane.cli.screen.exits import Exit
from controlplane.cli.screen.problems import Problem

SECRET = "haulier-operator.very-secret-value"
GOOD = {
    "address": "control.example.org:7443",
    "ca_pem": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "token": SECRET,
}


def written(path: Path, content: str, mode: int = 0o600) -> Path:
    path.write_text(content)
    path.chmod(mode)
    return path


def refusal(path: Path) -> Problem:
    with pytest.raises(Problem) as caught:
        profile.load(path)
    assert caught.value.code is Exit.NO_PROFILE
    assert caught.value.hint
    assert SECRET not in caught.value.what + caught.value.where + caught.value.hint
    return caught.value


def test_the_given_path_wins_over_the_environment_over_the_home(tmp_path: Path) -> None:
    environment = {"HAULIER_PROFILE": "/from/environment"}
    assert profile.find("given", environment, tmp_path) == Path("given")
    assert profile.find(None, environment, tmp_path) == Path("/from/environment")
    assert profile.find(None, {}, tmp_path) == tmp_path / ".config" / "haulier" / "profile.json"
    assert profile.find(None, {"HAULIER_PROFILE": ""}, tmp_path).name == "profile.json"


@pytest.mark.parametrize("address", ["control.example.org:7443", "127.0.0.1:1", "[::1]:7443"])
def test_a_good_profile_is_read_and_never_shows_its_token(tmp_path: Path, address: str) -> None:
    loaded = profile.load(written(tmp_path / "p", json.dumps({**GOOD, "address": address, "later": 1})))
    assert (loaded.address, loaded.ca_pem, loaded.token) == (address, GOOD["ca_pem"], SECRET)
    assert SECRET not in repr(loaded)


def test_a_missing_profile_says_how_to_get_one(tmp_path: Path) -> None:
    problem = refusal(tmp_path / "missing")
    assert problem.where == str(tmp_path / "missing")
    assert "haulier-controlplane init" in problem.hint


def test_a_join_token_is_told_from_an_operators(tmp_path: Path) -> None:
    problem = refusal(written(tmp_path / "p", json.dumps({**GOOD, "token": "haulier-join.host:7422.a.b"})))
    assert "is a join token" in problem.what
    assert "haulier operator create" in problem.hint


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644])
def test_a_profile_that_others_may_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    problem = refusal(written(tmp_path / "p", json.dumps(GOOD), mode))
    assert problem.hint == f"chmod 600 {tmp_path / 'p'}"


def test_a_directory_is_no_profile(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path).what


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (f'{{"token": "{SECRET}", nonsense', "not valid JSON"),
        ("\ufeff[]", "not a JSON object"),
        (json.dumps([GOOD]), "not a JSON object"),
        *[(json.dumps({k: v for k, v in GOOD.items() if k != key}), f"no `{key}`") for key in GOOD],
        *[(json.dumps({**GOOD, key: 7}), f"no `{key}`") for key in GOOD],
        (json.dumps({**GOOD, "address": "control.example.org"}), "host:port"),
        (json.dumps({**GOOD, "address": "https://control.example.org:443"}), "host:port"),
        (json.dumps({**GOOD, "address": "unix:/run/x"}), "host:port"),
        (json.dumps({**GOOD, "ca_pem": "junk"}), "PEM"),
        (json.dumps({**GOOD, "token": SECRET + "\nx-role: admin"}), "token"),
        (json.dumps({**GOOD, "token": SECRET + "ü"}), "token"),
    ],
)
def test_what_is_no_profile_is_refused_without_quoting_it(tmp_path: Path, content: str, what: str) -> None:
    assert what in refusal(written(tmp_path / "p", content)).what


@pytest.mark.parametrize(
    ("told", "instead", "found"),
    [
        (None, None, None),
        ("http://proxy:3128", None, "http://proxy:3128"),
        ("http://proxy:3128", "", None),
        ("http://proxy:3128", "http://ada:secret@other:1", "http://other:1"),
        (None, "other", "http://other:3128"),
        (None, "http://[::1]:1", "http://[::1]:1"),
    ],
)
def test_the_proxy_is_that_of_the_profile_unless_the_variable_says_otherwise(
    tmp_path: Path, told: str | None, instead: str | None, found: str | None
) -> None:
    content = GOOD if told is None else {**GOOD, "proxy": told}
    loaded = profile.load(written(tmp_path / "p", json.dumps(content)), instead)
    assert (None if loaded.proxy is None else str(loaded.proxy)) == found
    assert "secret" not in repr(loaded)


@pytest.mark.parametrize("bad", ["https://proxy:1", "http://ada:hidden@", "http://proxy:1/path", 7])
def test_a_proxy_that_is_none_is_named_without_its_password(tmp_path: Path, bad: object) -> None:
    problem = refusal(written(tmp_path / "p", json.dumps({**GOOD, "proxy": bad})))
    assert "http://HOST:PORT" in problem.what
    assert "hidden" not in problem.what
    with pytest.raises(Problem) as caught:
        profile.load(written(tmp_path / "q", json.dumps(GOOD)), "socks5://proxy")
    assert caught.value.where == "HAULIER_PROXY"
