"""Secrets never get into a black box, whether the host's policy names them or they only look like one."""

from pathlib import Path

import pytest

from agentd.core.release_state import Ending, Release, UpdaterState, Verdict
from agentd.updater.black_box import DIRECTORY, BlackBoxes, Mask
from agentd.updater.evidence import Answer
from agentd.updater.memory import Memory
from agentd.updater.programs import Programs
from agentd.updater.settings import UpdaterSettings


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


@pytest.mark.parametrize(("failed", "before"), [("secrets = 'no list'", ""), ("", "secrets = 'no list'"), ("", "")])
def test_secrets_that_a_releases_policy_names_are_known(failed: str, before: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("swordfish\n")
    for name, text in (("a" * 64, failed), ("b" * 64, before)):
        place = tmp_path / "versions" / name / "settings"
        place.mkdir(parents=True)
        (place / "policy.toml").write_text(text or f'secrets = ["file:{secret}"]\n')
    (tmp_path / "policy.toml").write_text("from_release = true\n")
    (tmp_path / "agent.toml").write_text('policy = "policy.toml"\n')
    program = tmp_path / "service"
    program.write_text("#!/bin/sh\necho it said swordfish\n")
    program.chmod(0o700)
    (tmp_path / "upgrade").mkdir()
    settings = UpdaterSettings(
        tmp_path, tmp_path, agent_state=tmp_path, agent_config=tmp_path / "agent.toml", program=str(program)
    )
    last = Verdict(Ending.ROLLED_BACK, "req_1", digest="a" * 64, code="crashed", message="swordfish")
    state = UpdaterState(current=Release("0.1.0", "b" * 64), last=last)
    BlackBoxes(settings, Memory(settings), Programs(settings)).keep(state, Answer())
    (box,) = (tmp_path / DIRECTORY).iterdir()
    told = box.read_text()
    assert "it said" in told
    assert "swordfish" not in told
