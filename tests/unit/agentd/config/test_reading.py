"""The daemon's configuration: what it says, and how it says that something is wrong."""

from pathlib import Path

import pytest

from agentd.config import reading
from agentd.config.reading import Config, ConfigBroken

WHOLE = """
policy = "policy.toml"
slots = 3
log_level = "debug"
environment = ["PGSSLROOTCERT"]
drain_on_stop_s = 1
stop_grace_s = 2.5
runner_idle_s = 3
[labels]
zone = "b"
disk = "fast"
[probe]
address = "127.0.0.1:9464"
[upgrade]
mirrors = ["https://mirror.example/haulier", "/srv/mirror"]
bytes_per_s_max = 4000000
"""


def load(tmp_path: Path, text: str) -> Config:
    (tmp_path / "agent.toml").write_text(text)
    return reading.load(tmp_path / "agent.toml", None)


def test_everything_is_read(tmp_path: Path) -> None:
    assert load(tmp_path, WHOLE) == Config(
        policy=tmp_path / "policy.toml",
        slots=3,
        labels=(("disk", "fast"), ("zone", "b")),
        log_level="debug",
        environment=("PGSSLROOTCERT",),
        drain_on_stop_s=1.0,
        stop_grace_s=2.5,
        runner_idle_s=3.0,
        probe_address="127.0.0.1:9464",
        mirrors=("https://mirror.example/haulier", "/srv/mirror"),
        fetch_bytes_per_s_max=4e6,
    )


def test_only_the_policy_is_required(tmp_path: Path) -> None:
    told = load(tmp_path, 'policy = "/etc/haulier/policy.toml"')
    assert told.policy == Path("/etc/haulier/policy.toml")
    assert told.slots >= 1
    assert told.probe_address == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "policy is missing"),
        ('polizy = "p"', "did you mean policy?"),
        ('policy = "p"\nx = 1', "known are policy, slots"),
        ('policy = "p"\n[probe]\nadress = ""', "did you mean probe.address?"),
        ("policy = 1", "policy must be a string"),
        ('policy = "p"\nslots = 0', "whole number from 1"),
        ('policy = "p"\nslots = 1.5', "whole number"),
        ('policy = "p"\nslots = true', "whole number"),
        ('policy = "p"\nstop_grace_s = -1', "number from 0"),
        ('policy = "p"\nlog_level = "loud"', "one of debug"),
        ('policy = "p"\nlabels = 1', "must be a table"),
        ('policy = "p"\n[labels]\na = 1', "labels must be strings"),
        ('policy = "p"\nenvironment = ["A B"]', "names of environment variables"),
        ('policy = "p"\n[probe]\naddress = "0.0.0.0:1"', "loopback"),
        ('policy = "p"\n[upgrade]\nmirrors = "/srv"', "a list of http(s) addresses and absolute directories"),
        ('policy = "p"\n[upgrade]\nmirrors = ["ftp://x"]', "a list of http(s) addresses and absolute directories"),
        ('policy = "p"\n[upgrade]\nbytes_per_s_max = -1', "bytes_per_s_max must be a number from 0"),
        ("policy = [", "is not TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigBroken) as caught:
        load(tmp_path, text)
    assert said in str(caught.value)
    assert "agent.toml" in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigBroken, match="No such file"):
        reading.load(tmp_path / "agent.toml", None)
