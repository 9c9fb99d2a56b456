"""What a scraper is told, in Prometheus' text format. Labels have few values: states, loops, placement classes."""

from collections.abc import Callable, Iterable, Mapping

from controlplane.service.agents.liveness import by_liveness
from controlplane.service.agents.sessions import Sessions
from controlplane.service.events.counts import EventCounts
from controlplane.service.health.readiness import Readiness
from controlplane.service.health.store_proof import StoreProof
from controlplane.store.port import Store

# A scraper that comes more often is told the same again: counting rows costs.
FRESH_S = 5.0
CLASSES_MAX = 200


class Metrics:
    """``text`` gathers everything anew each time."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        readiness: Readiness,
        proof: StoreProof,
        counts: EventCounts,
        sessions: Sessions,
    ) -> None:
        self._store = store
        self._clock = clock
        self._readiness = readiness
        self._proof = proof
        self._counts = counts
        self._sessions = sessions
        self._text = ""
        self._at = float("-inf")

    async def text(self) -> str:
        """Return all metrics."""
        now = self._clock()
        if now - self._at >= FRESH_S:
            lines = [line for family in await self._families(now) for line in _written(*family)]
            self._text, self._at = "\n".join([*lines, ""]), now
        return self._text

    async def _families(self, now: float) -> list[tuple[str, str, str, list[tuple[dict[str, str], float]]]]:
        counts, backlog = await self._store.read(
            lambda tx: (tx.counts()._replace(agents=by_liveness(tx, self._sessions, now)), tx.backlog())
        )
        work = sorted(backlog, key=lambda each: -each.ready)[:CLASSES_MAX]

        def of_class(value: Callable[..., float]) -> list[tuple[dict[str, str], float]]:
            return [
                ({"placement_class": each.placement_class, "kind": each.requirements.kind}, value(each))
                for each in work
            ]

        def by_state(of: Mapping[str, int]) -> list[tuple[dict[str, str], float]]:
            return [({"state": state}, float(count)) for state, count in sorted(of.items())]

        ages = sorted(self._readiness.loop_ages().items())
        totals = sorted(self._counts.totals.items())
        ready = self._readiness.is_ready()
        return [
            ("haulier_ready", "gauge", "1 when nothing keeps the control plane from its work", [({}, float(ready))]),
            ("haulier_sessions", "gauge", "open sessions of agents", [({}, float(len(self._sessions.by_agent)))]),
            ("haulier_agents", "gauge", "agents by liveness", by_state(counts.agents)),
            ("haulier_migrations", "gauge", "migrations by state", by_state(counts.migrations)),
            ("haulier_steps", "gauge", "steps by state; leased ones are live leases", by_state(counts.steps)),
            ("haulier_backlog_steps", "gauge", "ready steps by placement class", of_class(lambda e: float(e.ready))),
            ("haulier_running_steps", "gauge", "running steps by class", of_class(lambda e: float(e.running))),
            (
                "haulier_backlog_oldest_seconds",
                "gauge",
                "how long the oldest ready step has waited, by placement class",
                of_class(lambda e: max(0.0, now - e.oldest_ready_at) if e.oldest_ready_at is not None else 0.0),
            ),
            (
                "haulier_events_total",
                "counter",
                "events since the start by type: StepSucceeded, AttemptFailed, LeaseGranted, and so on",
                [({"type": kind}, float(count)) for kind, count in totals],
            ),
            ("haulier_loop_age_seconds", "gauge", "since each loop's last pass", [({"loop": n}, a) for n, a in ages]),
            ("haulier_commit_seconds", "gauge", "the last durable write of the prober", [({}, self._proof.commit_s)]),
        ]


def _written(name: str, kind: str, purpose: str, samples: Iterable[tuple[dict[str, str], float]]) -> Iterable[str]:
    yield f"# HELP {name} {purpose}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        yield f"{name}{{{inner}}} {value:g}" if inner else f"{name} {value:g}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
