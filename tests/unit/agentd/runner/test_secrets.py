"""References to secrets: where they may lead, and that their values never show."""

from pathlib import Path

import pytest

from agentd.runner.secrets import MASK, Secrets, SecretUnavailable


def private(path: Path, text: bytes) -> Path:
    path.write_bytes(text)
    path.chmod(0o600)
    return path


def test_the_three_sorts_of_references(tmp_path: Path) -> None:
    private(tmp_path / "pg", b"from a credential\n")
    secrets = Secrets({"PG_PASSWORD": "from env", "CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert secrets.resolve("") == ""
    assert secrets.resolve("env:PG_PASSWORD") == "from env"
    assert secrets.resolve(f"file:{private(tmp_path / 'f', b'from a file')}") == "from a file"
    assert secrets.resolve("credential:pg") == "from a credential"


@pytest.mark.parametrize(
    "ref",
    [
        "env:UNSET",
        "file:relative",
        "file:/does/not/exist",
        "file:/",
        "credential:../passwd",
        "credential:..",
        "credential:missing",
        "hunter2 pasted by mistake",
    ],
)
def test_what_leads_nowhere_is_named_but_a_pasted_value_is_not(ref: str, tmp_path: Path) -> None:
    with pytest.raises(SecretUnavailable) as caught:
        Secrets({"CREDENTIALS_DIRECTORY": str(tmp_path)}).resolve(ref)
    assert "hunter2" not in str(caught.value)


def test_credentials_need_a_directory() -> None:
    with pytest.raises(SecretUnavailable, match="systemd"):
        Secrets({}).resolve("credential:pg")


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = private(tmp_path / "f", b"secret")
    path.chmod(0o640)
    with pytest.raises(SecretUnavailable, match="chmod 600"):
        Secrets({}).resolve(f"file:{path}")


def test_a_file_that_is_no_secret_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SecretUnavailable, match="longer"):
        Secrets({}).resolve(f"file:{private(tmp_path / 'long', b'x' * 70_000)}")
    with pytest.raises(SecretUnavailable, match="UTF-8"):
        Secrets({}).resolve(f"file:{private(tmp_path / 'bytes', bytes([255, 254]))}")


def test_values_are_masked_in_every_usual_form() -> None:
    secrets = Secrets({"A": "p@ss/word", "B": "p@ss", "C": "ab"})
    for name in "ABC":
        secrets.resolve(f"env:{name}")
    assert secrets.mask("login p@ss/word at postgres://u:p%40ss%2Fword@h") == f"login {MASK} at postgres://u:{MASK}@h"
    assert secrets.mask("about") == "about", "a value that short would garble every text"
