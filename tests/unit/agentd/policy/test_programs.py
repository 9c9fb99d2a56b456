"""Programs that the host names: which words a control plane can put on their command lines, and which it cannot."""

from pathlib import Path

import pytest

from agentd.policy import reading
from agentd.policy.programs import BadValue, ProgramRule
from agentd.policy.refusals import PolicyBroken

HEAD = f'path = "/usr/bin/true"\nsha256 = "{"ab" * 32}"\nsafe_to_repeat = "it does nothing"\n'
TEXT = f"""
[programs.reindex]
{HEAD}undo = "drop"
arguments = ["--table", "{{table}}", "--jobs={{jobs}}", "--mode={{mode}}"]
[programs.reindex.values]
table = {{type = "text", pattern = "[a-z{{}}_-]+"}}
jobs = {{type = "integer", least = 1, most = 4}}
mode = {{type = "choice", choices = ["fast", "safe"]}}
[programs.drop]
{HEAD}undo = ""
[programs.drop.values]
table = {{type = "dataset"}}
jobs = {{type = "integer"}}
mode = {{type = "choice", choices = ["fast", "safe"]}}
"""
GOOD = {"table": "crew", "jobs": "2", "mode": "safe"}


def rule_of(tmp_path: Path, text: str = TEXT) -> ProgramRule:
    tmp_path.chmod(0o700)
    path = tmp_path / "policy.toml"
    path.write_text(text)
    return reading.load(path, None).program("reindex")


def test_values_take_their_places_as_whole_words(tmp_path: Path) -> None:
    rule = rule_of(tmp_path)
    assert rule.command(GOOD, str) == ["--table", "crew", "--jobs=2", "--mode=safe"]
    assert rule.command(GOOD | {"table": "{jobs}"}, str)[1] == "{jobs}", "a value is never filled in again"


@pytest.mark.parametrize(
    "changed",
    [
        {"table": "--output"},
        {"table": "crew; rm"},
        {"table": "crew\n"},
        {"table": "crew\0x"},
        {"table": ""},
        {"table": "x" * 5000},
        {"jobs": "5"},
        {"jobs": "0"},
        {"jobs": "2 --evil"},
        {"jobs": "1e9"},
        {"jobs": "٣"},
        {"mode": "FAST"},
        {"more": "1"},
    ],
)
def test_no_value_says_more_than_it_may(tmp_path: Path, changed: dict[str, str]) -> None:
    with pytest.raises(BadValue):
        rule_of(tmp_path).command(GOOD | changed, str)


def test_a_missing_value_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadValue, match="needs the value 'jobs'"):
        rule_of(tmp_path).command({"table": "crew", "mode": "fast"}, str)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('undo = "drop"', 'undo = "dorp"', "not a program of this policy"),
        ("{mode}", "{speed}", "values say nothing of it"),
        ('type = "dataset"', 'type = "regex"', "type must be one of"),
        ('type = "text", pattern = "[a-z{}_-]+"', 'type = "text"', "needs pattern"),
        ('pattern = "[a-z{}_-]+"', 'pattern = "[a-z"', "not a regular expression"),
        ('choices = ["fast", "safe"]', "choices = []", "needs choices"),
        ("least = 1", 'least = "1"', "whole numbers"),
        ('table = {type = "dataset"}', "", "must take the same values"),
        ("safe_to_repeat", "safe_to_retry", "did you mean 'safe_to_repeat'"),
    ],
)
def test_what_is_wrong_in_a_program_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(PolicyBroken, match=said):
        rule_of(tmp_path, TEXT.replace(old, new, 1))
