"""The self-test of a release on a real host: it passes on a good one, and names what is broken in a bad one."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agentd.link import contact, identity_files
from agentd.selftest import running
from tests.integration.agentd.world import ROOT, World, world

# Each plants one fault before the self-test runs, and says which checks must name it.
FAULTS = {
    "a row is lost in DuckDB": (
        "from agentd.datastores.duckdb import datastore as d\n"
        "whole = d.DuckdbDatastore.read\n"
        "d.DuckdbDatastore.read = lambda *a: (b.slice(1) for b in whole(*a))\n",
        ["migrate duckdb"],
    ),
    "a stale writer is let in": (
        "from agentd.datastores.fences import ledger\nfrom agentd.datastores.files import file_log\n"
        "from agentd.datastores.port.failures import Fenced\n"
        "from agentd.executors.load import Load\n"
        "run = Load.run\n"
        "def lenient(self, ctx):\n"
        "    try:\n"
        "        return run(self, ctx)\n"
        "    except Fenced:\n"
        "        return b''\n"
        "Load.run = lenient\n",
        ["fence"] * 4,
    ),
    "a library is missing": ("import sys\nsys.modules['duckdb'] = None\n", ["libraries"]),
    "the journal forgets": (
        "from agentd.journal.journal import Journal\nJournal._write_grant = lambda *a: None\n",
        ["journal"],
    ),
    "the disk is full": (
        "import errno\nfrom agentd.selftest import miniature\n"
        "def full(self):\n    raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "miniature.Miniature.run = full\n",
        [],
    ),
}


def report_of(it: World, planted: str = "") -> dict[str, Any]:
    """Run the self-test as the updater does, after planting a fault."""
    script = f"import sys\n{planted}\nfrom agentd.__main__ import main\nsys.exit(main(sys.argv[1:]))"
    arguments = ["selftest", "--state", str(it.state), "--config", str(it.config), "-o", "json"]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    told: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if told["passed"] else 1), done.stderr
    assert "Traceback" not in done.stderr
    return told


def test_a_good_release_passes_and_leaves_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            (it.state / "upgrade" / f"{running.PREFIX}left-over").mkdir(parents=True)
            told = await asyncio.to_thread(report_of, it)
            assert (told["passed"], told["failed"], told["environment"]) == (True, [], "")
            assert told["rss_bytes"] > 2**20 and told["wall_s"] > 0 and told["cpu_s"] > 0
            assert not list((it.state / "upgrade").iterdir())

    asyncio.run(story())


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_release_is_named(tmp_path: Path, fault: str) -> None:
    planted, expected = FAULTS[fault]

    async def story() -> None:
        async with world(tmp_path) as it:
            told = await asyncio.to_thread(report_of, it, planted)
            assert not told["passed"]
            assert set(expected) <= set(told["failed"]), told
            assert told["environment"] == ("disk_full" if "full" in fault else "")

    asyncio.run(story())


def test_how_the_control_plane_answers_is_found_out_beside_a_session(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            await it.start_agent()
            found = await asyncio.to_thread(contact.of, identity_files.load(it.state))
            assert found == "answers"
            hellos = len(it.listener.hellos)
            beats = it.listener.beats
            await it.listener.until(lambda: it.listener.beats > beats, "the session, which goes on")
            assert len(it.listener.hellos) == hellos
            await it.listener.stop()
            found = await asyncio.to_thread(contact.of, identity_files.load(it.state))
            assert found == "away"
            await it.listener.start()

    asyncio.run(story())
