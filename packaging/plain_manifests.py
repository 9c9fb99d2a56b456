"""Renders the chart into plain manifests, for those who do without Helm.

python packaging/plain_manifests.py [--check]
"""

import sys
from pathlib import Path
from typing import Any

import helm_python

HERE = Path(__file__).parent
CHART = HERE / "chart"
PLAIN = HERE / "kubernetes" / "haulier.yaml"
_HEAD = "# Made from packaging/chart by packaging/plain_manifests.py: its default values, namespace haulier.\n"


def render(values: dict[str, Any]) -> str:
    """All documents of the chart, in the order of their files. Raises what Helm raises."""
    with helm_python.Chart.load(str(CHART)) as chart:
        rendered = chart.render(values, name="haulier", namespace="haulier")
    texts = [rendered[name].strip() for name in sorted(rendered) if name.endswith(".yaml") and rendered[name].strip()]
    return "\n---\n".join(texts) + "\n"


def main() -> int:
    text = _HEAD + render({})
    if "--check" in sys.argv:
        if PLAIN.read_text(encoding="utf-8") != text:
            print(
                f"{PLAIN.relative_to(HERE.parent)} is not what the chart gives: run packaging/plain_manifests.py",
                file=sys.stderr,
            )
            return 1
        return 0
    PLAIN.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
