"""A control plane with releases on its repository and a crowd of simulated agents that answer upgrades, on loopback."""

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from haulier.v1 import fleet_pb2 as fl
from haulier.v1 import operator_pb2 as op

from controlplane.cli.main import main
from controlplane.releases.building import Built
from tests.bench.crowd import Part
from tests.bench.crowd_process import CrowdProcess, shares
from tests.bench.manifests import apply_noops, start_noops
from tests.bench.plane import CALL_BOUND_S, Plane
from tests.kit.beside import beside
from tests.kit.processes import until
from tests.kit.upgrading import Forge
from tests.rollouts.overload import FLOODER
from tests.rollouts.real_hosts import tree_of

OLD = "0.1.0"
CONNECT_BOUND_S = 120.0
ROLLOUT_BOUND_S = 300.0
SETTINGS = {"heartbeat_s": "2", "heartbeat_grace_s": "3", "lost_after_s": "20", "lease_ttl_s": "30"}
SYSTEMS = ({"os": "debian", "architecture": "x86_64"}, {"os": "rhel", "architecture": "x86_64"})
DATASTORES = (("files", "bench-files"), ("duck", "bench-files"), ("lite", "bench-files"))
# Datastores that only tell in which group a host is.
PLACES = """apiVersion: haulier/v1
kind: Datastore
metadata: {name: files}
spec: {engine: csv, root: /srv/files}
---
apiVersion: haulier/v1
kind: Datastore
metadata: {name: duck}
spec: {engine: duckdb, path: /srv/duck.db}
---
apiVersion: haulier/v1
kind: Datastore
metadata: {name: lite}
spec: {engine: sqlite, path: /srv/lite.db}
"""
FLEET = """apiVersion: haulier/v1
kind: Fleet
metadata: {{name: all}}
spec:
  release: {release}
  resources: {{memoryMax: 1GiB}}
  rollout:
    start: auto
    waves: ["10%", "100%"]
    inFlightMax: {in_flight_max}
    soak: {soak}
    probation: 20s
    missingAfter: {missing_after}
    heldMax: {held_max}
    upgradeMax: 2m
"""
STEPS_EACH = 100
AGENTS_OF_A_PROCESS_MAX = 2500
# More hosts than this say their heartbeats at the default pace.
FEW = 1000


class Scene:
    """See the module; make it by ``scene``."""

    def __init__(self, plane: Plane, forge: Forge, hosts: int) -> None:
        self.plane = plane
        self.forge = forge
        self.hosts = hosts
        self.digests: dict[str, str] = {}
        self.built: dict[str, Built] = {}
        self.heartbeat_s = 2.0 if hosts <= FEW else 15.0
        self._migrations = 0

    def publish(self, versions: Mapping[str, str]) -> None:
        """Build, sign and publish releases; ``versions``: version → how it is bad."""
        for version, manner in versions.items():
            self.built[version] = self.forge.release(version, tree_of(manner))
            self.digests[version] = self.built[version].digest
        code = main(["release", "publish", str(self.forge.repository), "--profile", str(self.plane.profile())])
        assert code == 0, "the releases were not published"

    def apply(self, text: str, name: str) -> None:
        """Apply manifests."""
        file = op.ManifestFile(path=f"{name}.yaml", content=text.encode())
        request = op.ApplyManifestsRequest(files=[file], request_id=f"apply-{name}")
        answer = self.plane.operator().ApplyManifests(request, timeout=CALL_BOUND_S)
        assert not answer.findings, answer.findings[:3]

    def desire(self, release: str, *, missing_after: str = "20s", held_max: str = "6s", soak: str = "5s") -> None:
        """Let the Fleet desire a release: the control plane makes a rollout of it by itself."""
        in_flight_max = max(10, self.hosts // 20)
        text = FLEET.format(
            release=release, missing_after=missing_after, held_max=held_max, in_flight_max=in_flight_max, soak=soak
        )
        self.apply(text, f"fleet-{release}")

    @contextmanager
    def crowd(self, names: list[str], manners: Mapping[str, str]) -> Iterator[None]:
        """Simulated agents that run the old release; ``manners``: version → how it is bad."""
        # Dealt so that each process has hosts of every group.
        with ExitStack() as stack:
            crowds = [
                stack.enter_context(CrowdProcess(self._part(share, manners)))
                for share in shares(names, -(-len(names) // AGENTS_OF_A_PROCESS_MAX))
            ]
            for crowd in crowds:
                crowd.heard("connected", CONNECT_BOUND_S)
            yield

    def _part(self, names: list[str], manners: Mapping[str, str]) -> Part:
        return Part(
            str(self.plane.identities),
            names,
            slots=1,
            heartbeat_s=self.heartbeat_s,
            release=(OLD, self.digests[OLD]),
            manners={self.digests[version]: manner for version, manner in manners.items()},
            upgrade_pace_s=0.4,
            facts=SYSTEMS,
            datastores=DATASTORES,
            step_s=1.0,
        )

    def work(self, steps: int) -> None:
        """Start steps that go to all agents in turn."""
        first = self._migrations
        self._migrations += max(1, steps // STEPS_EACH)
        names = [f"work-{number}" for number in range(first, self._migrations)]
        apply_noops(self.plane, names, STEPS_EACH)
        start_noops(self.plane, names)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Steps that keep coming."""

        def keep(over: threading.Event) -> None:
            while not over.wait(1.0):
                self.work(5 * self.hosts)

        with beside(keep):
            yield

    def rollout(self, version: str) -> fl.RolloutView:
        """The rollout of a release, as it is."""
        listing = self.plane.fleets().ListRollouts(fl.ListRolloutsRequest(fleet="all"), timeout=CALL_BOUND_S)
        found: fl.RolloutView = next((each for each in listing.rollouts if each.version == version), fl.RolloutView())
        return found

    def ended(self, version: str) -> fl.RolloutView:
        """Wait until the rollout of a release is at rest; return it."""
        seen = fl.RolloutView()

        def rests() -> bool:
            seen.CopyFrom(self.rollout(version))
            return seen.state in ("succeeded", "halted", "rolled_back", "cancelled")

        until(rests, ROLLOUT_BOUND_S + self.hosts / 10, f"the rollout of {version} to end", self.plane.log)
        return seen

    def parts(self, rollout_id: str) -> list[fl.RolloutHostView]:
        """Every host's part in a rollout."""
        request = fl.GetRolloutRequest(rollout=rollout_id, with_hosts=True)
        return list(self.plane.fleets().GetRollout(request, timeout=CALL_BOUND_S).hosts)

    def logged(self, rollout_id: str) -> list[tuple[str, str]]:
        """What the event log has of a rollout: (type, agent or ""), in order."""
        request = op.WatchEventsRequest(subject=rollout_id)
        events = self.plane.operator().WatchEvents(request, timeout=CALL_BOUND_S)
        return [(each.type, json.loads(each.data_json).get("agent_id", "")) for each in events]

    def versions(self) -> Counter[str]:
        """How many hosts run which version, as they say themselves."""
        listing = self.plane.fleets().ListHosts(fl.ListHostsRequest(), timeout=CALL_BOUND_S)
        return Counter(host.release.version for host in listing.hosts)

    def await_all(self, version: str, bound_s: float) -> None:
        """Wait until every host says that it runs a version."""
        until(lambda: self.versions() == {version: self.hosts}, bound_s, f"every host to run {version}", self.plane.log)

    def tear(self, version: str) -> None:
        """Leave half of an artefact where the control plane serves it from."""
        path = self.plane.state / "releases" / "artefacts" / self.digests[version]
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size // 2)

    def cancel(self, rollout_id: str) -> None:
        """Cancel a rollout."""
        request = fl.CancelRolloutRequest(rollout=rollout_id, reason="the next one is to come")
        self.plane.fleets().CancelRollout(request, timeout=CALL_BOUND_S)

    def counts(self, rollout_id: str) -> Counter[str]:
        """State → hosts of a rollout, and "asked"."""
        request = fl.GetRolloutRequest(rollout=rollout_id)
        view = self.plane.fleets().GetRollout(request, timeout=CALL_BOUND_S).rollout
        found = Counter({"all asked": view.asked})
        for wave in view.waves:
            found.update(dict(wave.states))
        return found


@contextmanager
def scene(home: Path, simulated: int, hosts: int) -> Iterator[Scene]:
    """A control plane that serves, with ``simulated`` identities named agent-0 and so on."""
    forge = Forge(home / "forge")
    with Plane(home, SETTINGS if hosts <= FEW else {}) as plane:
        plane.init()
        plane.serve()
        made = Scene(plane, forge, hosts)
        made.apply(PLACES, "places")
        plane.enrol([FLOODER, *(f"agent-{number}" for number in range(simulated))])
        sent_away = fl.DecommissionAgentRequest(agent=FLOODER, reason="no host")
        plane.fleets().DecommissionAgent(sent_away, timeout=CALL_BOUND_S)
        yield made
