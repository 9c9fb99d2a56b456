"""`haulier why` names what holds a step; lifting exactly that makes it run."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from tests.kit.file_holders import IdleWriter
from tests.kit.processes import until
from tests.system.scene import Scene, datastore, free_port, migration, workflow

RUNS_S = 60.0


def holds(scene: Scene, subject: str) -> dict[str, str]:
    """Code of each hold → what would lift it, from the command line's own words."""
    answer = scene.haulier("why", subject)
    assert answer.code == 0 and "Traceback" not in answer.err, answer
    found = re.findall(r"^\s+\d+\. (\w+): (.*?)\n\s+lifted by: (.*?)\n", answer.out + "\n", re.MULTILINE | re.DOTALL)
    return {code: " ".join(f"{message} {lifted}".split()) for code, message, lifted in found}


def until_granted(scene: Scene, name: str, step: str, what: str) -> None:
    """Wait until the named step has an attempt."""
    until(lambda: bool(scene.step(name, step)["attempts"]), RUNS_S, what)


def until_failed(scene: Scene, name: str) -> None:
    """Wait until the load of a migration has failed once."""
    until(
        lambda: any(a["state"] == "failed" for a in scene.step(name, "load")["attempts"]),
        RUNS_S,
        "the load to fail once",
    )


def test_no_agent_with_its_labels(scene: Scene) -> None:
    place = scene.place("parquet", "why-labels")
    flow = workflow("elsewhere", labels={"zone": "b"}, rest={"zone": "a"})
    scene.apply(scene.datastore_of(place), flow, migration("why-labels", place, workflow="elsewhere"))
    scene.start("why-labels")
    until(lambda: scene.step("why-labels", "load")["state"] == "ready", RUNS_S, "the load to be ready")
    found = holds(scene, "why-labels/load")
    assert list(found) == ["no_agent"], found
    assert "zone=b" in found["no_agent"]
    # A label in the configuration, read again without a restart, is all that was missing.
    config = scene.world.root / "agents" / "alpha" / "agent.toml"
    text = config.read_text()
    config.write_text(text.replace('zone = "a"', 'zone = "b"'))
    try:
        until_granted(scene, "why-labels", "load", "the load to run once an agent has the label")
    finally:
        config.write_text(text)
    scene.require_end(["why-labels"], "MigrationSucceeded", RUNS_S)


def test_a_full_budget_and_an_earlier_step(scene: Scene) -> None:
    first, second = scene.place("parquet", "why-budget"), scene.place("parquet", "why-budget-2")
    store = scene.datastore_of(first, concurrencyMax=1)
    documents = [
        migration("why-first", first, workflow="held"),
        migration("why-second", second, workflow="copy", to={"datastore": first.datastore, "object": "second.parquet"}),
    ]
    scene.apply(store, *documents)
    scene.start("why-first")
    until(lambda: len(scene.held("holder")) == 1, RUNS_S, "the first load to stand still")
    scene.start("why-second")
    until(lambda: scene.step("why-second", "load")["state"] == "ready", RUNS_S, "the second load to be ready")
    found = holds(scene, "why-second/load")
    assert list(found) == ["datastore_budget"], found
    assert "why-budget" in found["datastore_budget"] and "limit is 1" in found["datastore_budget"]
    earlier = holds(scene, "why-second/validate")
    assert list(earlier) == ["earlier_step"] and "load" in earlier["earlier_step"], earlier
    scene.thaw("holder")
    scene.require_end(["why-first", "why-second"], "MigrationSucceeded", RUNS_S)


def test_an_outage(scene: Scene) -> None:
    port = free_port()
    reach = {key: scene.postgres[key] for key in ("host", "database", "user")}
    store = datastore("why-relay", engine="postgresql", port=port, passwordRef="env:HAULIER_DEMO_PG_PASSWORD", **reach)
    single = workflow("single", labels={"zone": "a"}, rest={"zone": "a"}, attempts=1, backoff="8s")
    to = {"datastore": "why-relay", "object": "why_outage"}
    scene.apply(store, single, migration("why-outage", scene.place("postgresql", "x"), workflow="single", to=to))
    scene.start("why-outage")
    until_failed(scene, "why-outage")
    found = holds(scene, "why-outage/load")
    # Its only try is not used up, so it goes on by itself.
    assert list(found) == ["unreachable"], found
    assert "uses up none of its 1 tries" in found["unreachable"] and "its return" in found["unreachable"]
    with relay(port, (str(scene.postgres["host"]), int(scene.postgres["port"]))):
        scene.require_end(["why-outage"], "MigrationSucceeded", RUNS_S)
    assert [a["state"] for a in scene.step("why-outage", "load")["attempts"]] == ["failed", "succeeded"]


def test_a_table_that_an_idle_reader_holds(scene: Scene) -> None:
    place = scene.place("postgresql", "why_reader")
    with psycopg.connect(scene.dsn(), autocommit=True) as reader:
        reader.execute(f"CREATE TABLE {place.object} (note text)".encode())
        reader.execute(f"COMMENT ON TABLE {place.object} IS 'old'".encode())
        reader.execute(b"BEGIN")
        reader.execute(f"SELECT count(*) FROM {place.object}".encode())
        document = migration("why-reader", place, replace=True, waive=[f"comment:{place.object}"])
        scene.apply(scene.datastore_of(place), document)
        scene.start("why-reader")
        until(lambda: "destination_held" in holds(scene, "why-reader/load"), RUNS_S, "the swap to wait for the reader")
        found = holds(scene, "why-reader/load")
        assert list(found) == ["destination_held"]
        assert f"held by pid {reader.info.backend_pid} of user" in found["destination_held"]
        reader.execute(b"COMMIT")
    scene.require_end(["why-reader"], "MigrationSucceeded", RUNS_S)
    # The rows were loaded once, and the page says what the table lost.
    assert len(scene.step("why-reader", "load")["attempts"]) == 1
    page = scene.haulier("migration", "get", "why-reader").out
    assert f"comment: {place.object}" in page


@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
def test_a_pause_after_a_wait_for_a_file_that_ended(scene: Scene, engine: str) -> None:
    name = f"why-locked-{engine}"
    place = scene.place(engine, name)
    pausing = workflow("pausing", labels={"zone": "a"}, rest={"zone": "a"}, backoff="15s")
    scene.apply(scene.datastore_of(place, lockWait="1s"), pausing, migration(name, place, workflow="pausing"))
    somebody = IdleWriter(Path(place.at), exclusive=True)
    try:
        scene.start(name)
        until_failed(scene, name)
        found = holds(scene, f"{name}/load")
    finally:
        somebody.end()
    assert list(found) == ["retry_backoff"], found
    assert "try 1 did not succeed (busy: " in found["retry_backoff"] and "the next is due in" in found["retry_backoff"]
    assert f"{somebody.pid})" in found["retry_backoff"] and "not let go within 1s" in found["retry_backoff"]
    # One failed try uses up one of five, and what was staged is there still.
    scene.require_end([name], "MigrationSucceeded", RUNS_S)
    assert [a["state"] for a in scene.step(name, "load")["attempts"]] == ["failed", "succeeded"]
    assert len(scene.step(name, "extract")["attempts"]) == 1


def test_a_drained_agent(scene: Scene) -> None:
    place = scene.place("csv", "why-drained")
    scene.apply(scene.datastore_of(place), migration("why-drained", place))
    assert scene.haulier("agent", "drain", "alpha", "--reason", "new disks").code == 0
    scene.start("why-drained")
    found = holds(scene, "why-drained/extract")
    assert list(found) == ["drained_agent"], found
    assert "new disks" in found["drained_agent"] and "haulier agent resume alpha" in found["drained_agent"]
    assert scene.step("why-drained", "extract")["attempts"] == []
    assert scene.haulier("agent", "resume", "alpha").code == 0
    scene.require_end(["why-drained"], "MigrationSucceeded", RUNS_S)


@contextmanager
def relay(port: int, target: tuple[str, int]) -> Iterator[None]:
    """Pass connections on from a port of 127.0.0.1 to another address until the end of the block."""
    with socket.create_server(("127.0.0.1", port)) as server:
        threading.Thread(target=_accept, args=(server, target), daemon=True).start()
        yield
        server.shutdown(socket.SHUT_RDWR)


def _accept(server: socket.socket, target: tuple[str, int]) -> None:
    with suppress(OSError):
        while True:
            near, _ = server.accept()
            threading.Thread(target=_join, args=(near, target), daemon=True).start()


def _join(near: socket.socket, target: tuple[str, int]) -> None:
    with near, socket.create_connection(target) as far:
        back = threading.Thread(target=_pump, args=(far, near), daemon=True)
        back.start()
        _pump(near, far)
        back.join()


def _pump(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)


@pytest.fixture(autouse=True)
def _everybody_serves(scene: Scene) -> Iterator[None]:
    """Whatever a test does to the agents is taken back."""
    yield
    scene.thaw("holder")
    scene.resume("alpha")
