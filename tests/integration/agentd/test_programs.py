"""`run_program` in the real daemon: the host's program runs with the host's words, and nothing else ever does."""

import asyncio
import hashlib
import json
from pathlib import Path

import pytest
from haulier.v1 import agent_pb2 as pb
from haulier.v1 import kinds_pb2 as k

from tests.integration.agentd.world import World, cwd_of, until_path, world

SCRIPT = """#!/bin/sh
echo "said $1 in $PWD"
echo "secret $(cat "$TOKEN")" >&2
grep -q tr0ub4dor /proc/self/environ /proc/$$/environ /proc/$$/cmdline && echo "in the environment"
echo "new rights $(grep NoNewPrivs /proc/self/status)"
cat "{outside}" && echo "saw it"
case "$1" in
  fail) echo "it hurts" >&2; exit 3;;
  hold) touch "{root}/holding"; setsid sleep 600 & sleep 600;;
esac
"""


def policy_text(home: Path) -> str:
    """A policy with one program, which is written here too."""
    root = home / "root"
    root.mkdir(mode=0o700)
    (home / "outside").write_text("canary")
    program = home / "say"
    program.write_text(SCRIPT.format(root=root, outside=home / "outside"))
    digest = hashlib.sha256(program.read_bytes()).hexdigest()
    return f"""kinds = ["run_program"]
roots = ["{root}"]
[programs.say]
path = "{program}"
sha256 = "{digest}"
arguments = ["{{word}}", "--done"]
safe_to_repeat = "it only speaks"
undo = "unsay"
writes = ["{root}"]
secrets = {{TOKEN = "env:SMALL_SECRET"}}
[programs.say.values]
word = {{type = "text", pattern = "[a-z -]+"}}
[programs.unsay]
path = "{program}"
sha256 = "{digest}"
arguments = ["unsaid {{word}}"]
safe_to_repeat = "it only speaks"
undo = ""
[programs.unsay.values]
word = {{type = "text", pattern = "[a-z -]+"}}
"""


async def said(it: World, attempt_id: str, word: str, program: str = "say", **fields: object) -> pb.AttemptResult:
    params = k.RunProgramParams(program=program, values={"word": word}).SerializeToString()
    await it.listener.grant(attempt_id, "run_program", params, **fields)
    return await it.listener.result(attempt_id)


def test_a_program_runs_with_the_hosts_words_and_in_its_own_sandbox(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, policy=policy_text(tmp_path)) as it:
            it.use_installed_kinds()
            await it.start_agent(SMALL_SECRET="tr0ub4dor&3")
            assert it.listener.hellos[-1].kinds == ["run_program"]
            told = await said(it, "att_1", "hello; id")
            assert told.failure.code == "policy_refused" and "does not fit" in told.failure.message
            told = await said(it, "att_2", "hello world")
            assert told.outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED, told
            result = k.RunProgramResult.FromString(told.result)
            lines = result.output.splitlines()
            assert lines[0] == f"said hello world in {it.attempt('att_2')}/work"
            assert lines[1].split() == ["new", "rights", "NoNewPrivs:", "1"]
            assert "saw it" not in result.output and "in the environment" not in result.output
            await it.listener.until(lambda: "att_2" in it.listener.logs_ended, "the output")
            assert b"secret ****" in it.listener.logs["att_2"]
            undone = await said(it, "att_3", "hello", direction=pb.DIRECTION_UNDO)
            assert undone.outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED
            nothing = await said(it, "att_4", "hello", "unsay", direction=pb.DIRECTION_UNDO)
            assert nothing.outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED
            failed = await said(it, "att_5", "fail")
            assert failed.failure.code == "program_failed"
            assert "exit code 3: it hurts" in failed.failure.message
            (tmp_path / "say").write_text("#!/bin/sh\ntouch stolen\n")
            changed = await said(it, "att_6", "hello")
            assert changed.failure.code == "policy_refused" and "has the digest" in changed.failure.message

    asyncio.run(story())


@pytest.mark.parametrize("how", ["cancel", "lease"])
def test_a_program_ends_with_its_attempt_and_with_its_lease(tmp_path: Path, how: str) -> None:
    """Also what it started in a session of its own."""

    async def story() -> None:
        async with world(tmp_path, policy=policy_text(tmp_path)) as it:
            it.use_installed_kinds()
            await it.start_agent(SMALL_SECRET="tr0ub4dor&3")
            waiting = asyncio.create_task(said(it, "att_1", "hold"))
            await until_path(tmp_path / "root" / "holding")
            if how == "cancel":
                await it.listener.cancel("att_1")
            else:
                it.listener.renewing = False
                files = it.attempt("att_1") / "deadline"
                before = files.read_text().split()
                await asyncio.to_thread(files.with_suffix(".now").write_text, f"0.0 {before[1]}\n")
                await asyncio.to_thread(files.with_suffix(".now").replace, files)
            told = await waiting
            if how == "cancel":
                assert told.outcome == pb.ATTEMPT_OUTCOME_CANCELLED
            else:
                assert told.failure.code == "lease_expired"
            assert not sleepers_in(it.attempt("att_1"))

    asyncio.run(story())


def sleepers_in(directory: Path) -> list[int]:
    """Processes that still work below an attempt's directory."""
    pids = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]
    return [pid for pid in pids if (cwd := cwd_of(pid)) is not None and cwd.is_relative_to(directory)]


def test_a_program_that_nobody_named_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, policy=policy_text(tmp_path)) as it:
            it.use_installed_kinds()
            await it.start_agent(SMALL_SECRET="tr0ub4dor&3")
            for number, name in enumerate(["sh", "/bin/sh", "say;sh", "../say", "", "say\n"], start=1):
                told = await said(it, f"att_{number}", "hello", name)
                assert told.failure.code in ("policy_refused", "bad_params"), (name, told)
                assert not told.failure.retryable
            assert json.loads((it.state / "identity.json").read_text())["agent_id"] == "ag_1"

    asyncio.run(story())


def test_a_programs_secret_is_seen_by_nobody_else(tmp_path: Path) -> None:
    """While it runs: in no environment, no command line and no file of the attempt."""

    async def story() -> None:
        async with world(tmp_path, policy=policy_text(tmp_path)) as it:
            it.use_installed_kinds()
            agent = await it.start_agent(SMALL_SECRET="tr0ub4dor&3")
            waiting = asyncio.create_task(said(it, "att_1", "hold"))
            await until_path(tmp_path / "root" / "holding")
            await it.listener.until(lambda: b"secret ****" in it.listener.logs.get("att_1", b""), "it to be used")
            found = places_of(b"tr0ub4dor", it.state, besides=agent.pid)
            await it.listener.cancel("att_1")
            await waiting
            assert found == []

    asyncio.run(story())


def places_of(secret: bytes, directory: Path, besides: int) -> list[str]:
    """Where a secret is to be found: files below a directory, and what /proc shows of every process but one."""
    shown = [
        entry / name for entry in Path("/proc").iterdir() for name in ("environ", "cmdline") if entry.name.isdigit()
    ]
    found = []
    for path in [*directory.rglob("*"), *(each for each in shown if each.parent.name != str(besides))]:
        try:
            if path.is_file() and secret in path.read_bytes():
                found.append(str(path))
        except OSError:
            continue
    return found
