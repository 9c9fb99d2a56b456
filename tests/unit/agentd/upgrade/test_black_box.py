"""Secrets never get into a black box, whether the host's policy names them or they only look like one."""

import pytest

from agentd.upgrade.black_box import Mask


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("postgresql://mover:hunter2hunter2@db:5432/x", "hunter2hunter2"),
        ('password = "correct horse"', "correct"),
        ("PGPASSWORD=abc123 psql", "abc123"),
        ('{"api_key": "k-123456"}', "k-123456"),
        ("authorization: Bearer0123456789", "Bearer0123456789"),
        ("-----BEGIN PRIVATE KEY-----\nMIIEabc\n-----END PRIVATE KEY-----", "MIIEabc"),
        ("-----BEGIN EC PRIVATE KEY-----\nMIIEcut", "MIIEcut"),
        ("haulier-join.AAAAbbbbCCCCdddd.127.0.0.1:1", "AAAAbbbb"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, secret: str) -> None:
    assert secret not in Mask([])(text)


def test_what_is_known_to_be_a_secret_is_masked_everywhere() -> None:
    mask = Mask(["swordfish", "swordfish-long", "abc"])
    told = mask.all(
        {"log": ["the swordfish-long bites", "abc stays: too short"], "n": 1, "deep": ({"x": "swordfish"},)}
    )
    assert "swordfish" not in str(told) and "-long" not in str(told)
    assert told["log"][1] == "abc stays: too short"
    assert told["n"] == 1


def test_plain_lines_stay_as_they_are() -> None:
    line = "2026-11-22 started agent=ag_1 incarnation=4 attempts=1 kinds=extract,load"
    assert Mask([])(line) == line
