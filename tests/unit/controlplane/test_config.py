"""Settings from a file and the environment: what is wrong is named with its place."""

from pathlib import Path

import pytest

from controlplane.config import Config, ConfigError, host_port, load


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "haulier.toml"
    path.write_text(text)
    return path


def test_nothing_said_means_the_defaults() -> None:
    assert load(None, {}) == Config()


def test_the_environment_counts_over_the_file(tmp_path: Path) -> None:
    path = written(
        tmp_path, 'state_dir = "/srv/state"\nlease_ttl_s = 30\nheartbeat_s = 7.5\nextra_names = ["a", "b"]\n'
    )
    config = load(path, {"HAULIER_CONTROLPLANE_LEASE_TTL_S": "90", "OTHER": "x"})
    assert (config.state_dir, config.lease_ttl_s, config.heartbeat_s) == (Path("/srv/state"), 90.0, 7.5)
    assert config.extra_names == ("a", "b")
    assert load(None, {"HAULIER_CONTROLPLANE_EXTRA_NAMES": "a,b"}).extra_names == ("a", "b")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lease_tll_s = 5", "unknown key lease_tll_s; did you mean lease_ttl_s?"),
        ('door_listen = "x"', "unknown key door_listen; it is called public_listen now"),
        ("x = 5", "unknown key x; known keys: advertised_host"),
        ("lease_ttl_s = 0", "lease_ttl_s must be a number of seconds above 0, not 0"),
        ("lease_ttl_s = inf", "lease_ttl_s must be a number of seconds above 0, not inf"),
        ("lease_ttl_s = nan", "lease_ttl_s must be a number of seconds above 0, not nan"),
        ("lease_ttl_s = [1]", "lease_ttl_s must be a number of seconds above 0"),
        ("public_listen = 1", "public_listen must be text, not 1"),
        ('public_listen = "::1:7422"', "stands in brackets: [::1]:7421"),
        ('agents_listen = "0.0.0.0"', "agents_listen must be host:port"),
        ("= 1", "is not TOML"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert str(caught.value).startswith(str(path))
    assert words in str(caught.value)


def test_what_is_wrong_in_the_environment_is_named() -> None:
    with pytest.raises(ConfigError, match="environment variable HAULIER_CONTROLPLANE_LEASE_TTL: unknown key lease_ttl"):
        load(None, {"HAULIER_CONTROLPLANE_LEASE_TTL": "5"})


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file or directory; check --config"):
        load(tmp_path / "none.toml", {})
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not TOML"):
        load(binary, {})


def test_one_lost_heartbeat_must_not_lose_every_lease() -> None:
    with pytest.raises(ConfigError, match=r"heartbeat_s \(31\) must be at most half of lease_ttl_s \(60\)"):
        load(None, {"HAULIER_CONTROLPLANE_HEARTBEAT_S": "31"})
    assert load(None, {"HAULIER_CONTROLPLANE_HEARTBEAT_S": "30"}).heartbeat_s == 30.0


@pytest.mark.parametrize("written_as", ["::1", "[::1]"])
def test_an_ipv6_address_may_have_brackets_wherever_it_stands(tmp_path: Path, written_as: str) -> None:
    path = written(
        tmp_path,
        f'advertised_host = "{written_as}"\nextra_names = ["{written_as}", "db"]\npublic_listen = "[::1]:7422"\n',
    )
    config = load(path, {})
    assert (config.advertised_host, config.extra_names, config.public_listen) == ("::1", ("::1", "db"), "[::1]:7422")
    assert host_port(config.advertised_host, 7422) == "[::1]:7422"
    assert host_port("cp.example", 7422) == "cp.example:7422"
    assert load(None, {"HAULIER_CONTROLPLANE_PROBES_HTTP_LISTEN": ""}).probes_http_listen == ""
