"""One history: from the seed to a verdict."""

from collections.abc import Callable
from dataclasses import dataclass

from controlplane.core.states import MIGRATION_ASKS_A_PERSON, MIGRATION_ENDED
from tests.sim.network import KEEPALIVE_S
from tests.sim.plane import seams
from tests.sim.tampering import Burglar
from tests.sim.virtual_time import VirtualLoop, running
from tests.sim.world import World

# A world in which nothing goes wrong any more must come to rest within this many seconds of its own time.
LIVENESS_BOUND_S = 4 * 3600.0
# While the log stands still, words on their way arrive, dead streams are noticed, and the newest entry is sealed and
# shown to every agent that is connected.
AGREED_WITHIN_S = 2 * KEEPALIVE_S
# In so many histories somebody gets at the store when all is over.
TAMPERED_WITH = 0.15
RESTED = tuple(sorted(state.value for state in MIGRATION_ENDED | MIGRATION_ASKS_A_PERSON))


@dataclass(slots=True)
class Verdict:
    """What came of one seed. ``violation`` is (promise, subject, message), or None."""

    seed: int
    events: int
    violation: tuple[str, str, str] | None
    marks: set[str]
    world: World


def play(seed: int) -> Verdict:
    """Play the history of ``seed`` to its end or to its first broken promise."""
    loop = VirtualLoop()
    with seams(seed), running(loop):
        world = World(seed, loop)
        _play(world, loop)
        world.close()
        for problem in loop.problems:
            world.broken("C", "loop", f"nobody caught {problem.get('exception')!r}", problem.get("exception"))
    return Verdict(seed, len(world.trace), world.violation, world.marks, world)


def _play(world: World, loop: VirtualLoop) -> None:
    world.start_plane()
    for host in world.hosts:
        loop.call_later(world.rng.uniform(0.0, 5.0), host.start_daemon)
    loop.call_later(1.0, world.operators.begin)
    world.faults.begin()
    world.rollouts.begin()
    world.outsiders.begin()
    world.tidying.begin()
    troubled_s = world.rng.uniform(60.0, 300.0)
    loop.run_until(lambda: False, troubled_s)
    world.faults.end()
    world.operators.active = False
    world.explaining.begin()
    started = loop.time()
    if not loop.run_until(lambda: _at_rest(world), started + LIVENESS_BOUND_S):
        if not loop.stopped:
            world.broken("S6", "world", "not everything came to rest: " + _unrested(world))
        return
    _late_processes(world, loop)
    if not loop.stopped and world.rng.random() < TAMPERED_WITH:
        Burglar(world, loop, world.rng).act()


def _late_processes(world: World, loop: VirtualLoop) -> None:
    """Whoever was stopped carries on now, when everything is over: it must not change anything."""
    for host in world.hosts:
        if host.paused:
            host.resume()
            host.start_daemon()
        for child in host.living():
            child.carry_on()
    loop.run_until(lambda: _all_quiet(world), loop.time() + 2000.0)
    wait_until_agreed(loop, lambda: not _differ(world), world.tx.last_position)
    if not loop.stopped:
        world.watch.at_rest()
        assert world.plane is not None, "faults have ended"
        world.plane.settle()


def wait_until_agreed(loop: VirtualLoop, agreed: Callable[[], bool], entries: Callable[[], int]) -> bool:
    """Wait until agents and control plane agree; tell whether they do.

    The bound runs from the newest entry of the log (``entries`` counts them). A rollout succeeds without the hosts that
    are missing, and one that comes back late still takes the release: it is asked, starts anew and is on probation for
    minutes, each with its entries. An agent that has not seen the newest of them is late only when it had the time to:
    it is sealed first, and then shown in answer to a heartbeat. A log that goes on growing is cut off in the end.
    """
    newest, since = entries(), loop.time()

    def is_over() -> bool:
        nonlocal newest, since
        if newest != entries():
            newest, since = entries(), loop.time()
        return agreed() or loop.time() - since > AGREED_WITHIN_S

    loop.run_until(is_over, loop.time() + LIVENESS_BOUND_S)
    return agreed()


def _differ(world: World) -> bool:
    return bool(world.watch.sessions_differ() or world.watch.heads.differ())


def _at_rest(world: World) -> bool:
    plane = world.plane
    if plane is None or not plane.serving or world.operators.open_asks or world.rollouts.unfinished():
        return False
    # Nothing may have started at all: where every manifest was deleted before its start was asked for.
    return all(state in RESTED for state in world.watch.audit.migration_states.values())


def _all_quiet(world: World) -> bool:
    return _at_rest(world) and not any(
        host.living() or (host.daemon is not None and host.daemon.agent.held) for host in world.hosts
    )


def _unrested(world: World) -> str:
    rows = world.connection.execute("SELECT id, state FROM migration ORDER BY id").fetchall()
    return (
        ", ".join(f"{name} is {state}" for name, state in rows if state not in RESTED)
        or ", ".join(world.rollouts.unfinished())
        or "somebody waits for an answer"
    )
