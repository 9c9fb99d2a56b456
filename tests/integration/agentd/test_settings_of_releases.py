"""Settings that ride with releases, by the real verifier, updater and agent: they count, and go back with the code."""

import asyncio
from pathlib import Path

import pytest
from haulier.v1 import agent_pb2 as pb

from tests.integration.agentd.released_world import bringing, log_of, outcome, policy_of, upgrade, upgrading

pytestmark = pytest.mark.timeout(600)


def test_settings_ride_with_releases_and_go_back_with_them(tmp_path: Path) -> None:
    asyncio.run(riding(tmp_path))


def test_the_hosts_own_policy_counts_before_any_release(tmp_path: Path) -> None:
    asyncio.run(owning(tmp_path))


async def riding(tmp_path: Path) -> None:
    root = tmp_path / "data"
    first = bringing(policy_of(root, "validate"), 'slots = 9\n[labels]\ntier = "one"\n')
    async with upgrading(tmp_path, "from_release = true\n", first) as (it, host):
        hello = it.listener.hellos[-1]
        assert (list(hello.kinds), hello.slots) == (["validate"], 3), "the host's slots count"
        assert dict(hello.labels) == {"tier": "one"}
        refused = await outcome(it, "att_before")
        assert refused.failure.code == "kind_refused", refused

        # Nothing but the settings changes.
        second = bringing(policy_of(root, "validate", "extract"), '[labels]\ntier = "two"\n')
        good = await upgrade(it, host, "0.1.1", second)
        assert (host.told()["state"], host.runs()) == ("kept", good), host.told()
        hello = it.listener.hellos[-1]
        assert list(hello.kinds) == ["clean_up", "extract", "validate"]
        assert dict(hello.labels) == {"tier": "two"}
        assert (await outcome(it, "att_after")).outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED
        assert f"versions/{good}/settings/policy.toml, because {it.policy} says from_release" in log_of(it)

        # Signed all the same: whoever built it had an agent that judges nothing.
        bad = await upgrade(it, host, "0.1.2", bringing("kinds = 'all'\n", unjudged=True))
        told = host.told()
        assert (told["state"], told["wanted_digest"], told["digest"]) == ("rolled_back", bad, good), told
        assert told["cause_code"] in ("crashed", "selftest_failed"), told
        assert host.runs() == good
        await it.listener.until(
            lambda: list(it.listener.hellos[-1].kinds) == ["clean_up", "extract", "validate"], "a hello"
        )
        assert (await outcome(it, "att_again")).outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED


async def owning(tmp_path: Path) -> None:
    root = tmp_path / "data"
    first = bringing(policy_of(root, "*"))
    async with upgrading(tmp_path, policy_of(root, "validate"), first) as (it, host):
        assert list(it.listener.hellos[-1].kinds) == ["validate"]
        assert (await outcome(it, "att_own")).failure.code == "kind_refused"
        # The owner gives the word, and takes it back: no restart is needed.
        it.policy.write_text("from_release = true\n")
        await it.listener.until(lambda: "extract" in it.listener.hellos[-1].kinds, "a hello")
        assert (await outcome(it, "att_given")).outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED
        it.policy.write_text(policy_of(root, "validate"))
        # Each step asks the host's own file, whatever the daemon has noticed.
        assert (await outcome(it, "att_taken")).failure.code in ("kind_refused", "policy_refused")
        del host
