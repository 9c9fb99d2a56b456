"""Which release this code is of, told by where it lies, and where a release keeps the settings that it brings."""

import json
import re
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# A release may bring configuration and policy: agentd/config/reading.py and agentd/policy/reading.py say when they
# count.
CONFIGURATION = Path("settings", "agent.toml")
POLICY = Path("settings", "policy.toml")
_LIST = "release.json"
_DIGEST = re.compile(r"[0-9a-f]{64}")


@cache
def own_tree() -> Path | None:
    """The release that this module lies in; None where it was installed in another way, or runs from a checkout."""
    for parent in Path(__file__).resolve().parents:
        if (parent / _LIST).is_file():
            return parent
    return None


def own_digest() -> str:
    """The digest under which this release lies on its host; empty where it was not installed as one."""
    tree = own_tree()
    return tree.name if tree is not None and _DIGEST.fullmatch(tree.name) else ""


@cache
def own_version() -> str:
    """The version of this release, or of the installed distribution."""
    tree = own_tree()
    if tree is not None:
        return str(json.loads((tree / _LIST).read_text(encoding="utf-8"))["version"])
    try:
        return version("haulier")
    except PackageNotFoundError:
        return "0+checkout"
