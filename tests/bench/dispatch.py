"""How long an idle control plane needs to bring a step that becomes ready to an agent."""

import time

from tests.bench.crowd import Part
from tests.bench.crowd_process import CrowdProcess
from tests.bench.evidence import reading
from tests.bench.manifests import apply_noops, start_noops
from tests.bench.plane import Plane

HEARD_BOUND_S = 30.0
PAUSE_S = 0.02
WARM_UP = 10
# The clocks of both processes are the same host's, read apart at the control plane's start.
CLOCK_SLACK_S = 0.001


def measure(plane: Plane, names: list[str], count: int) -> list[float]:
    """Start one-step migrations one at a time while ``names`` are idle; return each one's latency in ms.

    Counted from the instant of its MigrationStarted event, so that the commit that makes it ready, the commit of its
    lease and the wire are all in it, to the instant at which the agent has read the grant.
    """
    migrations = [f"one-{number}" for number in range(count + WARM_UP)]
    apply_noops(plane, migrations, 1)
    arrived: dict[str, float] = {}
    asked: list[tuple[float, float]] = []
    with CrowdProcess(Part(str(plane.identities), names, 1, notes_grants=True)) as crowd:
        crowd.heard("connected", HEARD_BOUND_S)
        for name in migrations:
            before = time.time()
            start_noops(plane, [name])
            asked.append((before, time.time()))
            told = crowd.heard("granted", HEARD_BOUND_S)
            for step_id, _, _ in told["granted"]:
                arrived[step_id] = told["at"]
            time.sleep(PAUSE_S)
    with reading(plane.store) as db:
        rows = db.execute(
            "SELECT s.id, e.at FROM event e JOIN step s ON s.migration_id = e.migration_id "
            "WHERE e.type = 'MigrationStarted' ORDER BY e.position"
        )
        started = [(step_id, at) for step_id, at in rows if step_id in arrived]
    for (_, at), (before, after) in zip(started, asked, strict=True):
        assert before - CLOCK_SLACK_S <= at <= after + CLOCK_SLACK_S, "the two clocks do not agree"
    return [(arrived[step_id] - at) * 1000 for step_id, at in started[WARM_UP:]]
