"""Builds both container images with podman.

python packaging/images.py [--base IMAGE] [--registry HOST/PATH]
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
# The folder is not a package, on purpose: its name is that of a library.
sys.path.insert(0, str(HERE))

import tree  # noqa: E402

BASE = "docker.io/library/debian:12-slim"


def words_of(side: str, place: Path, tag: str, base: str) -> list[str]:
    """The words of `podman build` for one side, out of its release tree at `place`."""
    # The docker format, because only that one carries a health check.
    words = ["build", "--format=docker", "--isolation=chroot", f"--target={side}", f"--tag={tag}"]
    return [*words, f"--build-arg=BASE={base}", f"--build-context=tree={place}", str(HERE / "containers")]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--base", default=BASE, help="a Debian 12 (%(default)s)")
    parser.add_argument("--registry", default="localhost", help="what tags begin with (%(default)s)")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="haulier-images-") as scratch:
        for side in sorted(tree.SIDES):
            try:
                version = tree.build(side, Path(scratch, side))
            except tree.TreeFailed as error:
                print(f"images: {error}", file=sys.stderr)
                return 1
            tag = f"{given.registry}/haulier-{side}:{version}"
            if subprocess.run(
                ["podman", *words_of(side, Path(scratch, side), tag, given.base)], check=False
            ).returncode:
                return 1
            print(tag)
    return 0


if __name__ == "__main__":
    sys.exit(main())
