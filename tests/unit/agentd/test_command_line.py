"""The agent's commands: exit codes and one clear line for an error."""

from pathlib import Path

import pytest

from agentd.__main__ import NOT_LIVE, NOT_READY, OK, UNUSABLE, main


def test_the_data_of_this_host_can_be_inspected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "people.csv").write_text("id,name\n1,Ada\n2,Grace\n")
    assert main(["inspect", str(tmp_path / "people.csv")]) == OK
    printed = capsys.readouterr()
    assert 'name: "id"' in printed.out
    assert printed.err == ""


def test_an_inspection_that_fails_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tmp_path / "nothing.csv")]) == NOT_READY
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("haulier-agentd: ")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [[], ["dance"], ["check", "--probe", "pulse"], ["run", "--stat"], ["inspect"], ["join"]]
)
def test_wrong_usage_has_its_own_code(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == UNUSABLE
    assert "Traceback" not in capsys.readouterr().err


def test_help_documents_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    for code in ("0 all is well", "1 not ready", "2 not live", "3 unusable"):
        assert code in said


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["check", "--state", "{}/none"], UNUSABLE, "is not a directory"),
        (["check", "--state", "{}"], NOT_LIVE, "no daemon runs"),
        (["status", "--state", "{}"], NOT_LIVE, "no daemon runs"),
        (["run", "--state", "{}", "--config", "{}/agent.toml"], UNUSABLE, "cannot be read: No such file"),
        (["join", "nonsense", "--state", "{}"], UNUSABLE, "not a join token"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: list[str], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([each.format(tmp_path) for each in arguments]) == code
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_a_directory_without_identity_is_told_to_join(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "policy.toml").write_text("")
    (tmp_path / "agent.toml").write_text('policy = "policy.toml"')
    assert main(["run", "--state", str(tmp_path), "--config", str(tmp_path / "agent.toml")]) == UNUSABLE
    assert "haulier-agentd join TOKEN" in capsys.readouterr().err
