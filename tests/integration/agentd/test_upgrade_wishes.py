"""The real daemon and the wish for a release: what it tells, what it leaves for the updater, what survives it."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from haulier.v1 import agent_pb2 as pb
from haulier.v1 import release_pb2

from tests.integration.agentd.world import World, until_path, world

OLD, NEW = "a" * 64, "b" * 64
PATH = "haulier-agentd-0.2.0-x86_64.tar.zst"


def updater_says(it: World, **told: Any) -> None:
    """Leave word as the updater does."""
    home = it.state / "upgrade"
    home.mkdir(exist_ok=True)
    text = json.dumps({"format": 1, "state": "kept", "version": "0.1.0", "digest": OLD, "previous_digest": NEW} | told)
    (home / "status.new").write_text(text)
    (home / "status.new").replace(home / "status.json")


async def wish(it: World, digest: str, rollout_id: str = "roll_1") -> None:
    """Say an upgrade as a control plane does."""
    upgrade = release_pb2.Upgrade(rollout_id=rollout_id, version="0.2.0", digest=digest, target_path=PATH)
    await it.listener.say(directives=[pb.Directive(upgrade=upgrade)])


def last_told(it: World) -> release_pb2.ReleaseStatus:
    """The newest status that the listener heard."""
    return it.listener.releases[-1]


def test_facts_and_release_come_with_hello(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            updater_says(it, pin="0.1.0")
            await it.start_agent()
            hello = it.listener.hellos[0]
            assert hello.facts.cores >= 1
            assert hello.facts.memory_bytes > 2**20
            assert hello.facts.architecture
            assert (hello.release.version, hello.release.digest, hello.release.pin) == ("0.1.0", OLD, "0.1.0")
            assert hello.release.state == release_pb2.RELEASE_STATE_KEPT

    asyncio.run(story())


def test_an_agent_from_a_checkout_ignores_wishes(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, heartbeat_s=0.1) as it:
            await it.start_agent()
            assert it.listener.hellos[0].release.state == release_pb2.RELEASE_STATE_UNSPECIFIED
            assert it.listener.hellos[0].release.version
            await wish(it, NEW)
            beats = it.listener.beats
            await it.listener.until(lambda: it.listener.beats > beats + 2, "heartbeats")
            assert not list((it.state / "upgrade").glob("*.json"))

    asyncio.run(story())


def test_a_wish_for_what_lies_here_reaches_the_updater_and_its_word_the_listener(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            updater_says(it)
            await it.start_agent()
            await wish(it, NEW)
            request_path = it.state / "upgrade" / "request.json"
            await until_path(request_path)
            request = json.loads(request_path.read_text())
            assert request["release"] == {"version": "0.2.0", "digest": NEW}
            answer = {"request_id": request["request_id"], "rollout_id": "roll_1", "wanted_digest": NEW}
            updater_says(it, **answer, state="probation", version="0.2.0", digest=NEW)
            await it.listener.until(
                lambda: it.listener.releases and last_told(it).state == release_pb2.RELEASE_STATE_PROBATION, "probation"
            )
            assert last_told(it).rollout_id == "roll_1"
            updater_says(it, **answer, state="rolled_back", cause_code="hung", cause="it hangs", failed_digests=[NEW])
            await until_path(request_path, there=False)
            await it.listener.until(
                lambda: last_told(it).state == release_pb2.RELEASE_STATE_ROLLED_BACK, "the way back"
            )
            assert (last_told(it).cause_code, list(last_told(it).failed_digests)) == ("hung", [NEW])

    asyncio.run(story())


def test_a_wish_that_cannot_be_fetched_holds_survives_the_daemon_and_delays_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, heartbeat_s=0.1) as it:
            updater_says(it, previous_digest="")
            first = await it.start_agent()
            # This listener serves no releases.
            await wish(it, NEW)
            await it.listener.until(
                lambda: it.listener.releases and last_told(it).cause_code == "fetch_refused",
                "that it cannot be fetched",
            )
            assert last_told(it).wanted_digest == NEW
            beats, began_at = it.listener.beats, time.monotonic()
            await it.listener.until(lambda: it.listener.beats > beats + 5, "heartbeats")
            assert time.monotonic() - began_at < 20.0
            await it.kill(first)
            told = len(it.listener.releases)
            await it.start_agent()
            await it.listener.until(
                lambda: any(each.cause_code == "fetch_refused" for each in it.listener.releases[told:]), "the next try"
            )
            await it.listener.say(
                directives=[pb.Directive(cancel_upgrade=release_pb2.CancelUpgrade(rollout_id="roll_1", reason="no"))]
            )
            await until_path(it.state / "upgrade" / "wish.json", there=False)
            await it.listener.until(lambda: last_told(it).wanted_digest == "", "that nothing is wanted")

    asyncio.run(story())


def test_a_black_box_is_brought_to_the_control_plane_and_told(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            updater_says(it, state="rolled_back", request_id="roll_1:x", rollout_id="roll_1", wanted_digest=NEW)
            box = json.dumps({"request_id": "roll_1:x", "log": ["x" * 200_000]})
            (it.state / "upgrade" / "black-box.json").write_text(box)
            await it.start_agent()
            await it.listener.until(lambda: it.listener.boxes == {"roll_1:x": box.encode()}, "the black box")
            await it.listener.until(lambda: last_told(it).black_box_stored, "that it is stored")

    asyncio.run(story())
