"""The Fleet kind: what people write, what is wrong with it, and the policy that it becomes."""

import pytest

from controlplane.core.rollouts.model import RolloutPolicy
from controlplane.core.rollouts.windows import Window
from controlplane.manifests.diffing import canonical_json
from controlplane.manifests.kinds.documents import load_spec
from controlplane.manifests.kinds.fleet import FleetSpec, policy_of
from controlplane.manifests.parsing import parse
from controlplane.manifests.text.findings import SourceFile
from tests.unit.controlplane.manifests.written import only_finding

HEAD = "apiVersion: haulier/v1\nkind: Fleet\nmetadata: {name: production}\nspec:\n"
WHOLE = (
    HEAD
    + """  hosts: {labels: {tier: prod}}
  release: 0.2.0
  replicas: 12
  resources: {memoryMax: 1GiB}
  health: {heardWithin: 2m, readyMin: 80%}
  rollout:
    start: auto
    canariesPerGroup: 2
    waves: [2.5%, 50%, 100%]
    inFlightMax: 7
    soak: 1m
    probation: 2m
    missingAfter: 3m
    heldMax: 4m
    upgradeMax: 5m
    failuresMax: 3
    failedMax: 4%
    errorFactor: 2.5
    slowFactor: 1.5
    onHalt: stay
    bytesPerSecondMax: 2MB
    windows:
      - {days: [sat, sun], from: "22:00", to: "04:30"}
    timeZone: Europe/Berlin
"""
)


def spec_of(text: str) -> FleetSpec:
    parsed = parse([SourceFile("fleet.yaml", text.encode())])
    assert parsed.findings == ()
    spec = parsed.documents[0].spec
    assert isinstance(spec, FleetSpec)
    return spec


def test_everything_that_is_written_reaches_the_policy() -> None:
    spec = spec_of(WHOLE)
    assert policy_of(spec) == RolloutPolicy(
        waves=(0.025, 0.5, 1.0),
        canaries_per_group=2,
        in_flight_max=7,
        soak_s=60.0,
        probation_s=120.0,
        missing_after_s=180.0,
        held_max_s=240.0,
        upgrade_max_s=300.0,
        failures_max=3,
        failed_share_max=0.04,
        error_factor=2.5,
        slow_factor=1.5,
        memory_bytes_max=1 << 30,
        bytes_per_s_max=2_000_000,
        windows=(Window(("sat", "sun"), 22 * 60, 4 * 60 + 30),),
        time_zone="Europe/Berlin",
        return_on_halt=False,
    )
    assert load_spec("Fleet", canonical_json(spec)) == spec


def test_what_is_left_out_is_the_cores_own_default() -> None:
    assert policy_of(spec_of(HEAD + "  release: 0.2.0\n")) == RolloutPolicy()
    assert canonical_json(spec_of(HEAD + "  rollout: {soak: 10m}\n")) == "{}"


@pytest.mark.parametrize(
    ("spec", "line", "field", "message", "hint"),
    [
        ("  release: v2\n", 5, "spec.release", "not the version of a release", "0.2.0"),
        ("  relase: 0.2.0\n", 5, "spec.relase", "no field", '"release"'),
        ("  rollout: {waves: [5%, 5%, 100%]}\n", 5, "spec.rollout", "more hosts than the one before", "100%"),
        ("  rollout: {waves: [5%, 50%]}\n", 5, "spec.rollout", "must reach every host", '"100%"'),
        ("  rollout:\n    waves: [5, 100%]\n", 6, "spec.rollout.waves[0]", "needs its percent sign", '"5%"'),
        ("  rollout: {failedMax: 0%}\n", 5, "spec.rollout.failedMax", "above 0%", "5%"),
        ("  rollout: {timeZone: Europe/Berln}\n", 5, "spec.rollout.timeZone", "not known", "Europe/Berlin"),
        (
            '  rollout: {windows: [{from: "25:00", to: "04:00"}]}\n',
            5,
            "spec.rollout.windows[0].from",
            "time of day",
            "22:30",
        ),
        (
            '  rollout: {windows: [{from: "04:00", to: "04:00"}]}\n',
            5,
            "spec.rollout.windows[0]",
            "same time",
            "always open",
        ),
        ("  rollout: {onHalt: rollback}\n", 5, "spec.rollout.onHalt", "", "rollBack"),
        ("  resources: {memoryMax: 1 gig}\n", 5, "spec.resources.memoryMax", "not a size", "512MiB"),
    ],
)
def test_each_mistake_is_named_where_it_stands(spec: str, line: int, field: str, message: str, hint: str) -> None:
    found = only_finding(HEAD + spec)
    assert (found.line, found.field) == (line, field)
    assert message in found.message and hint in found.hint + found.message
