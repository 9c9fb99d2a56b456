"""The manual's policies are policies."""

import re
from pathlib import Path

from agentd.policy import reading

ROOT = Path(__file__).parents[4]


def test_every_policy_on_the_pages_can_be_used(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    blocks = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "host-policy.md").read_text(), re.DOTALL)
    blocks += re.findall(
        r"```toml\n(# /etc/haulier/policy.toml\n.*?)```", (ROOT / "docs" / "operations.md").read_text(), re.DOTALL
    )
    assert len(blocks) == 3
    for block in blocks:
        path = tmp_path / "policy.toml"
        path.write_text(block)
        policy = reading.load(path, None)
        assert policy.datastores or policy.programs
