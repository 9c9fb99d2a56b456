"""What a release brings beside its code: whose word counts, and how a mistake is named before it is signed."""

from pathlib import Path

import pytest

from agentd.__main__ import OK, UNUSABLE, main
from agentd.checks import policy_check, settings_check
from agentd.checks.settings_check import SettingsRefused
from agentd.config import reading as config
from agentd.config.reading import ConfigBroken
from agentd.enforcement import unit_drop_in
from agentd.policy import reading
from agentd.policy.refusals import PolicyBroken, PolicyRefused

POLICY = 'kinds = ["extract"]\nroots = ["/srv/released"]\n'


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """The tree of a release with a policy and a configuration."""
    for path in (tmp_path, tmp_path / "release", tmp_path / "release" / "settings"):
        path.mkdir(exist_ok=True)
        path.chmod(0o755)
    (tmp_path / "release" / "settings" / "policy.toml").write_text(POLICY)
    return tmp_path / "release"


def own(tmp_path: Path, text: str, name: str = "policy.toml") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


# ---- The policy


def test_the_policy_of_a_release_counts_where_the_host_says_so(tmp_path: Path, release: Path) -> None:
    path = own(tmp_path, "from_release = true\n")
    found = reading.load(path, release)
    assert (found.kinds, found.roots) == (("extract",), ("/srv/released",))
    assert found.origin == f"{release}/settings/policy.toml, because {path} says from_release"
    assert 'ReadWritePaths=-"/srv/released"' in unit_drop_in.render(found, 252)
    with pytest.raises(PolicyRefused) as caught:
        found.check_kind("load")
    assert caught.value.hint.startswith("whoever signs this host's releases can allow it under kinds in ")


@pytest.mark.parametrize("text", ["", 'kinds = ["load"]\n', "# from_release = true\n"])
def test_nothing_of_it_counts_where_the_host_does_not(text: str, tmp_path: Path, release: Path) -> None:
    path = own(tmp_path, text)
    found = reading.load(path, release)
    assert "extract" not in found.kinds
    assert found.roots == ()
    assert found.origin == str(path)
    # It is not even read.
    (release / "settings" / "policy.toml").write_text("no TOML")
    assert reading.load(path, release) == found


@pytest.mark.parametrize(
    "text",
    [
        'from_release = true\nkinds = ["load"]\n',
        "from_release = false\n",
        "from_release = 1\n",
        'from_release = "true"\n',
        "from_release = [true]\n",
        "from_release = {really = true}\n",
    ],
)
def test_the_word_stands_alone_or_is_an_error(text: str, tmp_path: Path, release: Path) -> None:
    with pytest.raises(PolicyBroken, match="from_release must be true and stand alone"):
        reading.load(own(tmp_path, text), release)


def test_a_release_without_policy_allows_nothing_and_it_is_said(tmp_path: Path, release: Path) -> None:
    path = own(tmp_path, "from_release = true\n")
    (release / "settings" / "policy.toml").unlink()
    for tree in (release, None):
        found = reading.load(path, tree)
        assert (found.kinds, found.roots, found.datastores, found.programs) == ((), (), (), ())
        assert "the release brings none: nothing is allowed" in found.origin


def test_a_release_cannot_leave_the_word_to_itself(tmp_path: Path, release: Path) -> None:
    (release / "settings" / "policy.toml").write_text("from_release = true\n")
    with pytest.raises(PolicyBroken, match=r"release/settings/policy.toml: unknown key 'from_release'"):
        reading.load(own(tmp_path, "from_release = true\n"), release)


@pytest.mark.parametrize("place", [".", "settings", "settings/policy.toml"])
def test_a_release_that_others_can_change_is_not_believed(place: str, tmp_path: Path, release: Path) -> None:
    path = own(tmp_path, "from_release = true\n")
    (release / place).chmod(0o777)
    with pytest.raises(PolicyBroken, match="can be changed by others"):
        reading.load(path, release)


def test_check_says_which_file_counts(
    tmp_path: Path, release: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(policy_check, "own_tree", lambda: release)
    path = own(tmp_path, "from_release = true\n")
    assert main(["check", "--policy", str(path)]) == OK
    said = capsys.readouterr().out
    assert said.startswith(f"The policy {release}/settings/policy.toml, because {path} says from_release\n")
    assert "/srv/released: is not there" in said


# ---- The configuration


def configured(tmp_path: Path, release: Path, host: str, brought: str) -> config.Config:
    (release / "settings" / "agent.toml").write_text(brought)
    return config.load(own(tmp_path, f'policy = "policy.toml"\n{host}', "agent.toml"), release)


def test_each_key_of_the_host_wins(tmp_path: Path, release: Path) -> None:
    host = '[labels]\nzone = "b"\n[upgrade]\n[probe]\naddress = "127.0.0.1:1"\n'
    brought = (
        'slots = 7\n[labels]\nzone = "x"\ntier = "gold"\n[upgrade]\nbytes_per_s_max = 5\n'
        '[probe]\naddress = "127.0.0.1:2"\nhttp_address = "127.0.0.1:3"\n'
    )
    found = configured(tmp_path, release, "slots = 3\n" + host, brought)
    assert found.slots == 3
    assert found.labels == (("tier", "gold"), ("zone", "b"))
    assert found.fetch_bytes_per_s_max == 5
    assert (found.probe_address, found.probe_http_address) == ("127.0.0.1:1", "127.0.0.1:3")
    assert found.release_keys == ("labels.tier", "probe.http_address", "upgrade.bytes_per_s_max")
    path = tmp_path / "agent.toml"
    assert found.origin(path) == (
        f"{path}, and from {release}/settings/agent.toml: labels.tier, probe.http_address, upgrade.bytes_per_s_max"
    )
    assert configured(tmp_path, release, host, brought).slots == 7
    assert found.policy == tmp_path / "policy.toml"


def test_without_a_release_the_host_alone_counts(tmp_path: Path, release: Path) -> None:
    path = own(tmp_path, 'policy = "policy.toml"\nslots = 2\n', "agent.toml")
    assert config.load(path, None) == config.load(path, release)
    assert config.load(path, release).origin(path) == str(path)


@pytest.mark.parametrize(
    ("brought", "said"),
    [
        ('policy = "/tmp/mine.toml"', "policy is each host's own"),
        ('environment = ["PGPASSWORD"]', "environment is each host's own"),
        ("slots = 0", "slots must be"),
        ("slotz = 1", "did you mean slots"),
        ("slots =", "is not TOML"),
        ("labels = 3", "labels must be a table"),
    ],
)
def test_what_a_release_may_not_bring_is_refused_on_the_host(
    brought: str, said: str, tmp_path: Path, release: Path
) -> None:
    with pytest.raises(ConfigBroken, match=said) as caught:
        configured(tmp_path, release, "", brought)
    assert f"{release}/settings/agent.toml" in str(caught.value)


def test_a_mistake_of_the_host_is_the_hosts(tmp_path: Path, release: Path) -> None:
    with pytest.raises(ConfigBroken, match=r"configuration \S+/agent.toml: slots must be"):
        configured(tmp_path, release, "slots = 0\n", "slots = 2")


# ---- Judged before it is signed


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("agent.toml", "# so\nslots = 0\n", "agent.toml: line 2: slots: slots must be a whole number"),
        ("agent.toml", "[labels]\nzone = 'b'\n\ntier = 5\n", "agent.toml: line 4: labels.tier: labels must be strings"),
        ("agent.toml", "[upgrade]\nmirors = []\n", "agent.toml: line 2: upgrade.mirors: unknown key"),
        ("agent.toml", "log_level = 'info'\npolicy = '/x'\n", "agent.toml: line 2: policy: policy is each host's own"),
        ("agent.toml", "slots = \n", "agent.toml: Invalid value (at line 1, column 9)"),
        ("policy.toml", "from_release = true\n", "policy.toml: line 1: from_release: unknown key 'from_release'"),
        ("policy.toml", "roots = [\n  '/a',\n]\nkinds = 3\n", "policy.toml: line 4: kinds: kinds must be a list"),
        ("policy.toml", "roots = ['/']\n", "policy.toml: line 1: roots: policy settings/policy.toml: '/' cannot be"),
        (
            "policy.toml",
            "kinds = []\n[datastores.a]\n[datastores.'b.c']\nengine = 'csv'\naccess = 'readd'\n",
            "policy.toml: line 5: datastores.b.c.access: [datastores.b.c] access must be one of",
        ),
        (
            "policy.toml",
            "[programs.say]\npath = '/bin/say'\nsha256 = 'ab'\nsafe_to_repeat = 'yes'\nundo = ''\n",
            "policy.toml: line 3: programs.say.sha256: [programs.say] needs sha256",
        ),
        ("policy.toml", "[programs.say]\n", "policy.toml: line 1: programs.say: [programs.say] needs path"),
        ("other.toml", "", "other.toml: settings are the files agent.toml and policy.toml, and nothing else"),
    ],
)
def test_a_mistake_is_named_by_file_line_and_field(
    name: str, text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text(text)
    assert main(["check", "--settings", str(tmp_path)]) == UNUSABLE
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"haulier-agentd: {tmp_path}/{said}")
    assert printed.err.count("\n") == 1


def test_good_settings_are_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "policy.toml").write_text(POLICY)
    (tmp_path / "agent.toml").write_text("slots = 7\n")
    assert main(["check", "--settings", str(tmp_path)]) == OK
    said = capsys.readouterr().out
    assert "slots = 7\n" in said
    assert "Step kinds: extract.\n" in said


def test_no_settings_and_links_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match=r"holds neither agent\.toml nor policy.toml"):
        settings_check.explained(tmp_path)
    with pytest.raises(SettingsRefused, match="cannot be read: No such file"):
        settings_check.explained(tmp_path / "none")
    (tmp_path / "policy.toml").symlink_to("/etc/hostname")
    with pytest.raises(SettingsRefused, match="and nothing else"):
        settings_check.explained(tmp_path)
