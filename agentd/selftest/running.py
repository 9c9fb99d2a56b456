"""The self-test as a whole: every check by its name, what failed, and what it took."""

import contextlib
import errno
import importlib
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from agentd.config import reading as config_file
from agentd.datastores.engines import ENGINES
from agentd.datastores.port.engine import Engine
from agentd.installation.release_tree import own_tree
from agentd.journal import mending
from agentd.link import contact, identity_files
from agentd.policy import reading

PREFIX = "selftest-"
_HEAVY = ("pyarrow", "pyarrow.parquet", "duckdb", "psycopg", "agentd.executors.registry", "agentd.daemon")
_FULL = (errno.ENOSPC, errno.EDQUOT)
Check = Callable[[Path], None]


class Failed(Exception):
    """A check found what must not be."""


def run(state: Path, config: Path) -> dict[str, Any]:
    """Make every check; returns the report. `failed` names checks in the order in which they were made."""
    began_at = time.monotonic()
    failed: list[str] = []
    details: list[str] = []
    environment = ""
    with _scratch(state) as scratch:
        for name, check in _checks(state, config):
            try:
                check(scratch)
            except Exception as error:  # noqa: BLE001 - a release may be broken in any way: that is what is looked for
                environment = environment or _environment(error)
                failed.append("fence" if type(error).__name__ == "StaleAccepted" else name)
                details.append(f"{name}: {' '.join((str(error) or type(error).__name__).split())[:300]}")
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "format": 1,
        "passed": not failed,
        "failed": failed,
        "environment": environment,
        "detail": "; ".join(details)[:2000],
        "cpu_s": own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime,
        "wall_s": time.monotonic() - began_at,
        "rss_bytes": max(own.ru_maxrss, children.ru_maxrss) * 1024,
    }


def reach(state: Path, config: Path) -> dict[str, Any]:
    """How the control plane answers this host, beside the session of a running daemon."""
    own = config_file.load(config, own_tree())
    return {"format": 1, "contact": contact.of(identity_files.load(state).through(own.proxy))}


def _checks(state: Path, config: Path) -> list[tuple[str, Check]]:
    checks: list[tuple[str, Check]] = [
        ("libraries", lambda _: _libraries()),
        ("configuration", lambda _: _configuration(config)),
        ("identity", lambda _: _identity(state)),
        ("journal", _journal),
    ]
    return checks + [(f"migrate {engine.name}", _migrating(engine)) for engine in ENGINES.values() if engine.example]


def _libraries() -> None:
    for name in _HEAVY:
        importlib.import_module(name)
    importlib.import_module("agentd.executors.registry").kinds()


def _configuration(config: Path) -> None:
    release = own_tree()
    reading.load(config_file.load(config, release).policy, release)


def _identity(state: Path) -> None:
    found = identity_files.load(state)
    for pem in found.pair():
        if b"-----BEGIN" not in pem:
            raise Failed("the identity of this agent is damaged: join again with a new token")


def _journal(scratch: Path) -> None:
    path = scratch / "journal.db"
    mending.try_out(path)
    # What was written before is there on the second try.
    mending.try_out(path)


def _migrating(engine: Engine) -> Check:
    def migrate(scratch: Path) -> None:
        importlib.import_module("agentd.selftest.miniature").Miniature(scratch, engine).run()

    return migrate


def _environment(error: BaseException | None) -> str:
    """The code of a cause that lies outside the release; empty where there is none."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return "disk_full"
        if getattr(error, "code", "") == "disk_full" or "disk is full" in str(error):
            return "disk_full"
        error = error.__cause__ or error.__context__
    return ""


@contextlib.contextmanager
def _scratch(state: Path) -> Iterator[Path]:
    """A directory on the disk of the agent's state; what a killed self-test left there goes."""
    home = state / "upgrade"
    home.mkdir(mode=0o700, exist_ok=True)
    for left in home.glob(f"{PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)
    path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=home))
    # Libraries put what is too big for memory here, and never beside somebody's data.
    os.environ["TMPDIR"] = str(path)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def printed(told: dict[str, Any], as_json: bool) -> str:
    """A report for a program or for a person."""
    if as_json:
        return json.dumps(told) + "\n"
    if "contact" in told:
        return f"control plane: {told['contact']}\n"
    figures = f"{told['wall_s']:.1f} s, {told['rss_bytes'] / 1e6:.0f} MB"
    if told["passed"]:
        return f"self-test passed ({figures})\n"
    return f"self-test failed ({figures}): {', '.join(told['failed'])}\n  {told['detail']}\n"


def main(state: Path, config: Path, only: str, as_json: bool) -> int:
    """Carry out `haulier-agentd selftest`; returns its exit code."""
    told = reach(state, config) if only == "contact" else run(state, config)
    sys.stdout.write(printed(told, as_json))
    return 0 if told.get("passed", True) else 1
