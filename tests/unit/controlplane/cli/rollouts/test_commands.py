"""`haulier rollout`, `haulier fleet` and what `haulier agent` does with single hosts: words, bars, exit codes."""

import json
from typing import Any

import grpc
import pytest
from haulier.v1 import fleet_pb2 as fl
from haulier.v1 import operator_pb2 as op
from haulier.v1 import release_pb2

from controlplane.cli.rollouts.tables import plain_line, rollout_page
from controlplane.cli.rollouts.watching import eta_s
from controlplane.cli.screen.pace import RateEstimate
from controlplane.cli.screen.terminal import Look, draw
from tests.unit.controlplane.cli.conftest import Haulier
from tests.unit.controlplane.cli.far_side import FarSide, Refusal

TERMINAL = Look(terminal=True, colour=False, width=100)


def a_view(**changes: Any) -> fl.RolloutView:
    """A rollout in its second wave."""
    fields: dict[str, Any] = {
        "rollout_id": "roll_1",
        "fleet": "production",
        "version": "0.2.0",
        "state": "running",
        "wave": 1,
        "waves": [
            fl.WaveView(wave=0, hosts=2, states={"kept": 2}),
            fl.WaveView(wave=1, hosts=8, states={"kept": 3, "fetching": 1, "failed": 1, "waiting": 3}),
            fl.WaveView(wave=2, hosts=90, states={"waiting": 90}),
        ],
        "shares": [0.1, 1.0],
        "hosts": 100,
        "asked": 7,
        "in_flight_max": 5,
        "elapsed_s": 75.0,
        "soak_s": 60.0,
    }
    return fl.RolloutView(**{**fields, **changes})


def halted(**changes: Any) -> fl.RolloutView:
    return a_view(
        state="halted", halt_code="hosts_failed", halt_cause="2 of 9 hosts failed (2 crashed)", halted_wave=1, **changes
    )


def test_a_rollout_is_shown_wave_by_wave() -> None:
    text = draw(rollout_page(a_view(soak_left_s=30.0), TERMINAL, eta_s=600.0), TERMINAL)
    lines = text.splitlines()
    assert lines[0] == "roll_1  production to 0.2.0  ● running"
    assert lines[3].startswith("▸ 1 10%") and "✓ 3 kept" in lines[3] and "✗ 1 failed" in lines[3]
    assert "5 of 100 hosts kept, 1 of at most 5 in flight, 1 failed" in text
    assert "wave 1 soaks for 30s" in text and "about 10m left" in text


def test_one_host_of_thousands_is_seen_in_its_bar() -> None:
    wave = fl.WaveView(wave=0, hosts=9000, states={"waiting": 8998, "failed": 1, "kept": 1})
    text = draw(rollout_page(a_view(waves=[wave], shares=[]), TERMINAL), TERMINAL)
    assert text.count("━") == 2


def test_a_halted_one_says_where_and_why_and_a_busy_control_plane_is_told() -> None:
    assert "halted in wave 1: hosts_failed: 2 of 9 hosts failed (2 crashed)" in draw(
        rollout_page(halted(), TERMINAL), TERMINAL
    )
    told = draw(rollout_page(a_view(trouble="lease_reaper"), TERMINAL), TERMINAL)
    assert "loop lease_reaper is behind" in told
    assert "lease_reaper" not in draw(rollout_page(halted(trouble="lease_reaper"), TERMINAL), TERMINAL)


def test_the_estimate_adds_what_has_still_to_soak() -> None:
    pace = RateEstimate()
    assert eta_s(a_view(), pace) is None
    for second in range(5):
        pace.see("kept", 10.0 * second, float(second))
    assert eta_s(a_view(), pace) == pytest.approx(6.0 + 60.0 + 60.0)
    assert eta_s(halted(), pace) is None


def test_watching_prints_each_change_once_and_ends_with_the_verdict(far: FarSide, haulier: Haulier) -> None:
    far.says(
        "WatchRollout",
        [
            fl.WatchRolloutResponse(rollout=view)
            for view in (a_view(), a_view(elapsed_s=80.0), a_view(state="succeeded"))
        ],
    )
    ended = haulier("rollout", "watch", "production")
    assert (ended.code, ended.out.count("running"), ended.out.count("succeeded")) == (0, 1, 1)
    assert plain_line(a_view()) in ended.out
    far.says("WatchRollout", [fl.WatchRolloutResponse(rollout=halted())])
    ended = haulier("rollout", "watch", "production")
    assert ended.code == 1
    assert "roll_1 is halted: hosts_failed: 2 of 9 hosts failed (2 crashed)" in ended.err
    assert "haulier rollout get roll_1 --hosts" in ended.err


def test_watching_outlives_a_control_plane_that_goes_and_comes(far: FarSide, haulier: Haulier) -> None:
    times = iter([[fl.WatchRolloutResponse(rollout=a_view()), Refusal(grpc.StatusCode.UNAVAILABLE, "gone")]])
    end = [fl.WatchRolloutResponse(rollout=a_view(state="succeeded"))]
    far.says("WatchRollout", lambda _request: next(times, end))
    assert haulier("rollout", "watch", "production").code == 0
    asked = [request.rollout for request in far.heard if isinstance(request, fl.WatchRolloutRequest)]
    assert asked == ["production", "roll_1"], "what was watched is watched again, whatever is the newest by then"


def test_creating_says_what_is_asked_and_can_follow_to_the_end(far: FarSide, haulier: Haulier) -> None:
    far.says("CreateRollout", fl.CreateRolloutResponse(rollout=a_view(state="running")))
    far.says("WatchRollout", [fl.WatchRolloutResponse(rollout=a_view(state="rolled_back"))])
    ended = haulier("rollout", "create", "production", "--release", "0.2.0", "--supersede", "--reason", "a fix")
    assert ended.code == 0 and "haulier rollout watch roll_1" in ended.err
    request = far.heard[-1]
    assert isinstance(request, fl.CreateRolloutRequest)
    assert (request.version, request.supersede, request.propose, request.reason) == ("0.2.0", True, False, "a fix")
    assert request.request_id
    assert haulier("rollout", "create", "production", "--watch").code == 1


@pytest.mark.parametrize(
    ("verb", "kind", "arguments"),
    [
        ("start", "StartRollout", ()),
        ("pause", "PauseRollout", ("--reason", "lunch")),
        ("resume", "ResumeRollout", ()),
        ("cancel", "CancelRollout", ("--reason", "enough")),
        ("rollback", "ReturnRollout", ("--reason", "it is bad")),
    ],
)
def test_each_decision_is_one_call(
    far: FarSide, haulier: Haulier, verb: str, kind: str, arguments: tuple[str, ...]
) -> None:
    answer = getattr(fl, f"{kind}Response")(rollout=a_view())
    far.says(kind, answer)
    ended = haulier("rollout", verb, "production", *arguments, "-o", "json")
    assert (ended.code, json.loads(ended.out)["rollout"]["waves"][1]["states"]["kept"]) == (0, 3)
    assert len(far.heard) == 1
    far.says(kind, Refusal(grpc.StatusCode.FAILED_PRECONDITION, "rollout roll_1 is cancelled: it cannot be resumed"))
    ended = haulier("rollout", verb, "production", *arguments)
    assert (ended.code, "it cannot be resumed" in ended.err) == (5, True)


def test_rollouts_and_their_hosts_are_listed(far: FarSide, haulier: Haulier) -> None:
    far.says(
        "ListRollouts", fl.ListRolloutsResponse(rollouts=[halted(), a_view(rollout_id="roll_0", reason="by hand")])
    )
    listing = haulier("rollout", "list", "--fleet", "production").out
    assert "hosts_failed: 2 of 9 hosts failed" in listing and "by hand" in listing
    host = fl.RolloutHostView(
        name="web-1", wave=1, state="failed", from_version="0.1.0", running_version="0.1.0", cause_code="crashed",
        cause="it did not stay up", steps_after=9, failed_after=4,
    )  # fmt: skip
    far.says("GetRollout", fl.GetRolloutResponse(rollout=halted(), hosts=[host]))
    page = haulier("rollout", "get", "production", "--hosts").out
    assert "crashed: it did not stay up" in page and "5/9" in page
    far.says("ListRollouts", fl.ListRolloutsResponse())
    assert "there was no rollout" in haulier("rollout", "list").out


def test_a_fleet_that_is_unwell_says_why_and_ends_with_one(far: FarSide, haulier: Haulier) -> None:
    fleet = fl.FleetView(
        name="production", desired_release="0.2.0", desired_replicas=5, agents=4, ready=3, on_release=1,
        versions={"0.1.0": 3, "0.2.0": 1}, rollout=a_view(), problems=["3 agents are ready, and there are to be 5"],
    )  # fmt: skip
    waiting = fl.BacklogView(placement_class="pc_1", kind="load", datastores=["warehouse"], ready=7, oldest_s=61.0)
    far.says("GetFleetStatus", fl.GetFleetStatusResponse(fleets=[fleet], backlog=[waiting]))
    ended = haulier("fleet", "status")
    assert ended.code == 1
    assert "3/5" in ended.out and "3 0.1.0, 1 0.2.0" in ended.out and "there are to be 5" in ended.out
    assert "load warehouse" in ended.out and "1m01s" in ended.out
    fleet.ClearField("problems")
    far.says("GetFleetStatus", fl.GetFleetStatusResponse(fleets=[fleet]))
    assert haulier("fleet", "status", "production").code == 0


def test_hosts_are_listed_with_what_their_owners_said(far: FarSide, haulier: Haulier) -> None:
    host = fl.HostView(
        name="web-1",
        facts=release_pb2.HostFacts(os="debian", os_version="12", architecture="x86_64", cores=4, memory_bytes=8 << 30),
        release=release_pb2.ReleaseStatus(
            version="0.1.0", state=release_pb2.RELEASE_STATE_KEPT, pin="0.1.0", opted_out=True
        ),
        labels={"tier": "prod"},
        cordon_reason="new disks",
        slots=4,
    )
    far.says("ListHosts", fl.ListHostsResponse(hosts=[host]))
    line = haulier("fleet", "hosts").out.splitlines()[1]
    for word in (
        "debian 12 x86_64",
        "8.6 GB",
        "✓ kept",
        "tier=prod",
        "pinned to 0.1.0; opted out; cordoned: new disks",
    ):
        assert word in line


def test_labels_are_put_taken_away_and_left(far: FarSide, haulier: Haulier) -> None:
    far.says("LabelAgent", fl.LabelAgentResponse(agent=op.AgentView(name="web-1", state="serving", liveness="alive")))
    assert haulier("agent", "label", "web-1", "tier=prod", "zone-", "rack~", "empty=").code == 0
    request = far.heard[-1]
    assert isinstance(request, fl.LabelAgentRequest)
    assert (dict(request.labels), list(request.removed), list(request.cleared)) == (
        {"tier": "prod", "empty": ""},
        ["zone"],
        ["rack"],
    )
    ended = haulier("agent", "label", "web-1", "nonsense")
    assert (ended.code, "KEY=VALUE, KEY- or KEY~" in ended.err) == (2, True)


def test_a_host_is_cordoned_uncordoned_and_sent_away(far: FarSide, haulier: Haulier) -> None:
    view = op.AgentView(name="web-1", state="serving", liveness="alive")
    far.says("CordonAgent", fl.CordonAgentResponse(agent=view))
    far.says("UncordonAgent", fl.UncordonAgentResponse(agent=view))
    far.says("DecommissionAgent", fl.DecommissionAgentResponse(agent=view))
    assert haulier("agent", "cordon", "web-1", "--reason", "new disks").code == 0
    assert haulier("agent", "cordon", "web-1").code == 2
    assert haulier("agent", "uncordon", "web-1").code == 0
    assert haulier("agent", "decommission", "web-1", "--reason", "sold", "--force").code == 0
    request = far.heard[-1]
    assert isinstance(request, fl.DecommissionAgentRequest) and request.force
