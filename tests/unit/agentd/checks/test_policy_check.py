"""`haulier-agentd check --policy`: the policy in sentences, and whether it allows a step, as its owner would ask."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from agentd import __main__ as program
from agentd.enforcement import enclosing
from agentd.executors import registry
from agentd.executors.uses import Uses
from agentd.policy import reading
from agentd.policy.refusals import PolicyRefused
from agentd.supervision.service_notices import OneLine


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    (tmp_path / "data").mkdir()
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\n")
    path = tmp_path / "policy.toml"
    path.write_text(
        f"""kinds = ["extract", "load", "run_program"]
roots = ["{tmp_path}/data", "{tmp_path}/absent"]
memory_bytes_max = 1000000
[datastores.exports]
engine = "csv"
access = "read"
[datastores.staging]
engine = "parquet"
[programs.tool]
path = "{tool}"
sha256 = "{hashlib.sha256(tool.read_bytes()).hexdigest()}"
arguments = ["--table", "{{table}}"]
safe_to_repeat = "it does nothing"
undo = ""
[programs.tool.values]
table = {{type = "dataset"}}
"""
    )
    return path


def asked(policy: Path, step: Any, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    file = policy.with_name("step.json")
    file.write_text(step if isinstance(step, str) else json.dumps(step))
    code = program.main(["check", "--policy", str(policy), "--would-run", str(file)])
    said = capsys.readouterr()
    return code, said.out + said.err


def extract(policy: Path, root: str = "data", staging: str = "staging") -> dict[str, Any]:
    return {
        "kind": "extract",
        "params": {
            "source": {"datastore": {"name": "exports", "csv": {"root": f"{policy.parent}/{root}"}}, "object": "a.csv"},
            "staging": {"name": staging, "parquet": {"root": f"{policy.parent}/data"}},
        },
    }


def test_a_policy_is_explained_with_what_enforces_it(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["check", "--policy", str(policy)]) == program.OK
    said = capsys.readouterr().out
    assert "Datastore exports may only be read as csv" in said
    assert "at most 1,000,000 bytes of memory" in said
    assert "Program tool runs" in said and "with nothing to undo" in said
    assert "\npaths: " in said and "\nmemory: " in said
    assert said.count("absent: is not there") == 1


def test_a_step_is_allowed_or_refused_with_the_key_that_says_so(
    policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = asked(policy, extract(policy), capsys)
    assert (code, said) == (program.OK, "allowed: extract, with exports (reads), staging (writes)\n")
    for step, wanted in (
        (extract(policy, root="../etc"), "outside the roots"),
        (extract(policy, staging="lake"), "under datastores in"),
        (extract(policy, staging="exports"), "is said to be parquet"),
        ({"kind": "transform"}, "under kinds in"),
        ({"kind": "run_program", "params": {"program": "sh"}}, "is not named on this host"),
        ({"kind": "run_program", "params": {"program": "tool", "values": {"table": "; x"}}}, "does not fit"),
    ):
        code, said = asked(policy, step, capsys)
        assert code == program.NOT_READY and said.startswith("refused: ") and wanted in said, said
        assert str(policy) in said


def test_a_program_is_shown_as_it_would_run(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    step = {"kind": "run_program", "params": {"program": "tool", "values": {"table": "crew"}}}
    assert asked(policy, step, capsys) == (0, f"allowed: {policy.parent}/tool --table crew\n")
    assert asked(policy, step | {"undo": True}, capsys)[1].startswith("allowed: there is nothing to undo")
    (policy.parent / "tool").write_text("#!/bin/sh\necho changed\n")
    code, said = asked(policy, step, capsys)
    assert code == program.NOT_READY and "has the digest" in said


class Rotate:
    """A kind of a user's, which declares what it uses."""

    kind = "rotate"
    SAFE_TO_REPEAT = "A file that was rotated is left alone."
    UNDO = "Puts it back."
    probe = run = undo = lambda self, ctx: None

    @staticmethod
    def uses(params: bytes, undo: bool) -> Uses:
        return Uses(writes=(json.loads(params)["directory"],), network=(443,), programs=True)


def test_a_users_kind_is_judged_by_what_it_declares(
    policy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy.write_text(policy.read_text().replace('kinds = ["extract"', 'kinds = ["rotate", "extract"'))
    step: dict[str, Any] = {"kind": "rotate", "params": {"directory": f"{policy.parent}/data"}}
    assert asked(policy, step, capsys) == (0, "allowed: step kind 'rotate', which is not installed here\n")
    monkeypatch.setitem(registry.BUILT_IN, "rotate", registry.declared(Rotate))
    told = f"allowed: rotate, with {policy.parent}/data (writes), servers at port 443, programs of the system\n"
    assert asked(policy, step, capsys) == (0, told)
    code, said = asked(policy, step | {"params": {"directory": "/etc"}}, capsys)
    assert code == program.NOT_READY and "outside the roots" in said


@pytest.mark.parametrize("step", ["", "[]", "{}", '{"kind": "extract", "params": {"surce": 1}}'])
def test_a_step_that_is_none_is_named(policy: Path, capsys: pytest.CaptureFixture[str], step: str) -> None:
    code, said = asked(policy, step, capsys)
    assert code == program.NOT_READY and "step" in said and "Traceback" not in said


def test_a_broken_policy_and_a_missing_one_are_named(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy.write_text("kindz = []")
    assert program.main(["check", "--policy", str(policy)]) == program.UNUSABLE
    assert "did you mean 'kinds'" in capsys.readouterr().err
    assert program.main(["check", "--would-run", "step.json"]) == program.UNUSABLE
    assert "needs --policy" in capsys.readouterr().err


def test_a_host_that_demands_a_sandbox_runs_nothing_without_one(policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enclosing, "version", lambda: 0)
    enclosing.enclose(reading.load(policy, None), [], policy.parent)
    policy.write_text('sandbox = "required"\n' + policy.read_text())
    with pytest.raises(PolicyRefused, match="no Landlock"):
        enclosing.enclose(reading.load(policy, None), [], policy.parent)


def test_what_others_say_stays_on_one_line_of_the_log() -> None:
    record = logging.LogRecord("agentd", logging.INFO, "", 0, "draining: %s", ("a\nERROR forged\x1b[2J\u2028é",), None)
    assert OneLine("%(message)s").format(record) == r"draining: a\nERROR forged\x1b[2J\u2028é"
