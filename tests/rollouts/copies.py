"""Real copies on real hosts, one after the other: from a CSV file to a SQLite database and to Parquet files."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from haulier.v1 import operator_pb2 as op

from tests.bench.plane import CALL_BOUND_S, Plane
from tests.kit.beside import beside
from tests.kit.processes import until
from tests.system.contents import NULL_TEXT, source_rows, write_source
from tests.system.scene import COLUMNS, dataset, datastore

# Every host reaches these, and only some the third.
SOURCE, STAGING, LITE = "readings-source", "readings-staging", "readings-lite"
ROWS = 50
PAST = 6
PAST_BOUND_S = 120.0
PACE_S = 1.5
# Of each kind in a second: twice as many to the datastore that few reach.
TO_LITE, TO_STAGING = 2, 1
_WORKFLOW = {
    "steps": [
        {
            "name": "extract",
            "kind": "extract",
            "params": {"source": "${migration.source}", "staging": "${migration.staging}"},
        },
        {
            "name": "load",
            "kind": "load",
            "needs": ["extract"],
            "params": {
                "input": "${steps.extract.output}",
                "destination": "${migration.destination}",
                "ifExists": "${migration.ifExists}",
                "waive": "${migration.waive}",
            },
        },
    ]
}


class Copies:
    """Copies of one small table, with every type that a reading has, each to an object of its own."""

    def __init__(self, home: Path, plane: Plane) -> None:
        self.roots = [home / "data" / name for name in ("source", "staging", "lite")]
        for root in self.roots:
            root.mkdir(parents=True)
        source, staging, lite = self.roots
        self._plane = plane
        self._number = self.started = 0
        write_source(source / "readings.csv", source_rows(ROWS))
        self._apply(
            [
                datastore(SOURCE, engine="csv", root=str(source), nullText=NULL_TEXT),
                datastore(STAGING, engine="parquet", root=str(staging)),
                datastore(LITE, engine="sqlite", path=str(lite / "readings.db")),
                dataset("readings", datastore=SOURCE, object="readings.csv", key=["id"], columns=COLUMNS),
                _document("Workflow", "copy-readings", _WORKFLOW),
            ]
        )

    def make_past(self) -> None:
        """Let copies succeed on the release that hosts run now."""
        names = [name for _ in range(PAST) for name in self.start()]
        until(lambda: self._all_ended(names), PAST_BOUND_S, "the first copies to end", self._plane.log)
        assert not self.failed(), self.failed()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Copies that keep coming."""

        def keep(over: threading.Event) -> None:
            while not over.wait(PACE_S):
                self.start()

        with beside(keep):
            yield

    def start(self) -> list[str]:
        """Start some copies to both; return their names."""
        self._number += 1
        places = [(LITE, f"readings_{self._number}_{each}") for each in range(TO_LITE)]
        places += [(STAGING, f"readings-{self._number}-{each}.parquet") for each in range(TO_STAGING)]
        documents = [
            _document(
                "Migration",
                f"copy-{self._number}-{number}",
                {
                    "dataset": "readings",
                    "workflow": "copy-readings",
                    "staging": STAGING,
                    "to": {"datastore": where, "object": name},
                },
            )
            for number, (where, name) in enumerate(places)
        ]
        self._apply(documents)
        names = [str(each["metadata"]["name"]) for each in documents]
        self.started += len(names)
        request = op.StartMigrationsRequest(names=names, request_id=f"start-{names[0]}")
        self._plane.operator().StartMigrations(request, timeout=CALL_BOUND_S)
        return names

    def failed(self) -> Counter[str]:
        """Datastore → copies to it that did not succeed and are over."""
        ends = ("failed", "rolled_back", "cancelled", "stuck", "rolling_back", "cancelling")
        return Counter(each.destination for each in self._listed(*ends))

    def _all_ended(self, names: list[str]) -> bool:
        ended = {each.name for each in self._listed("succeeded", "failed")}
        return ended.issuperset(names)

    def _listed(self, *states: str) -> list[Any]:
        request = op.ListMigrationsRequest(states=states, page_size=1000)
        return list(self._plane.operator().ListMigrations(request, timeout=CALL_BOUND_S).migrations)

    def _apply(self, documents: list[dict[str, Any]]) -> None:
        text = yaml.safe_dump_all(documents)
        file = op.ManifestFile(path="copies.yaml", content=text.encode())
        request = op.ApplyManifestsRequest(files=[file], request_id=f"apply-copies-{self._number}")
        answer = self._plane.operator().ApplyManifests(request, timeout=CALL_BOUND_S)
        assert not answer.findings, answer.findings[:3]


def _document(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "haulier/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
