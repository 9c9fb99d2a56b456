"""A candidate takes over as a whole, wherever the switch was cut short."""

import json
from pathlib import Path

import pytest

from agentd.link import identity_files
from agentd.link.identity_files import CA, CANDIDATE, CERTIFICATE, IDENTITY, KEY, SWITCHING, NotJoined

FILES = (KEY, CERTIFICATE, CA, IDENTITY)


def lay(place: Path, which: str) -> None:
    """An identity of four files."""
    for name in (KEY, CERTIFICATE, CA):
        identity_files.save(place, name, f"{which} {name}".encode())
    told = {"agent_id": "ag_1", "name": which, "session_address": "here:1"}
    identity_files.save(place, IDENTITY, json.dumps(told).encode())


@pytest.mark.parametrize("moved", range(len(FILES) + 1))
def test_a_switch_that_was_cut_short_is_finished_by_whoever_looks_next(tmp_path: Path, moved: int) -> None:
    lay(tmp_path, "old")
    lay(tmp_path / CANDIDATE, "new")
    (tmp_path / CANDIDATE).rename(tmp_path / SWITCHING)
    for name in FILES[:moved]:
        (tmp_path / SWITCHING / name).replace(tmp_path / name)
    found = identity_files.load(tmp_path)
    assert found.name == "new"
    assert found.pair() == (b"new ca.pem", b"new key.pem", b"new certificate.pem")
    assert not (tmp_path / SWITCHING).exists()


def test_a_candidate_alone_changes_nothing(tmp_path: Path) -> None:
    lay(tmp_path, "old")
    lay(tmp_path / CANDIDATE, "new")
    found = identity_files.load(tmp_path)
    assert (found.name, found.pair()[1], found.pair(candidate=True)[1]) == ("old", b"old key.pem", b"new key.pem")
    identity_files.drop_candidate(tmp_path)
    identity_files.drop_candidate(tmp_path)
    with pytest.raises(NotJoined):
        found.pair(candidate=True)
    assert found.pair()[1] == b"old key.pem"
