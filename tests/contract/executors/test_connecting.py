"""Every connection to PostgreSQL is made alike: from the Datastore alone, to one session of the server's own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pytest
from haulier.v1 import kinds_pb2 as k

from agentd.datastores.inspection.inspecting import inspect
from agentd.datastores.port.failures import StepFailure
from agentd.datastores.postgresql.place import PostgresqlPlace as Told
from agentd.datastores.postgresql.session import connected
from agentd.executors import translate
from agentd.proof.types import Column, ColumnType
from tests.contract.executors.attempts import attempt, run
from tests.contract.executors.conftest import MakeScene, Scene
from tests.contract.executors.places import PostgresqlPlace
from tests.kit.pooler import Pooler
from tests.kit.postgres import GUARDED, GUARDED_PASSWORD, SHARED, PostgresServer
from tests.kit.tls import PrivateAuthority, TlsProxy

COLUMNS = (Column("id", ColumnType.INT64), Column("real", ColumnType.FLOAT64))


@pytest.fixture
def scene(make_scene: MakeScene) -> Scene:
    return make_scene("postgresql")


def place_of(scene: Scene) -> PostgresqlPlace:
    assert isinstance(scene.place, PostgresqlPlace)
    return scene.place


def socket_of(server: PostgresServer) -> Path:
    return server.socket / f".s.PGSQL.{server.port}"


def reach(scene: Scene, **changes: str | int) -> None:
    """Point the scene's Datastore elsewhere."""
    for name, value in changes.items():
        setattr(scene.place.datastore.postgresql, name, value)


def looked_at(scene: Scene, **changes: str | int) -> None:
    """Connect as a step does, and look."""
    reach(scene, **changes)
    translate.opened(attempt(scene.home, "load", k.LoadParams(), 1), scene.place.datastore, "source").objects()


def refused(scene: Scene, **changes: str | int) -> StepFailure:
    with pytest.raises(StepFailure) as caught:
        looked_at(scene, **changes)
    return caught.value


Changes = dict[str, str | int]
Listeners = Callable[..., int]


@pytest.fixture
def listeners(postgres_server: PostgresServer) -> Iterator[Listeners]:
    """Opens a listener with TLS in front of the server, and tells its port."""
    with ExitStack() as stack:

        def opened_at(*args: object) -> int:
            listener = TlsProxy(socket_of(postgres_server), *args)  # type: ignore[arg-type]
            stack.callback(listener.close)
            return listener.port

        yield opened_at


@pytest.mark.parametrize("by_transaction", [True, False], ids=["lends transactions", "drops options"])
def test_a_pooler_is_refused_before_anything_is_touched(
    scene: Scene, postgres_server: PostgresServer, by_transaction: bool
) -> None:
    place_of(scene).put_earlier()
    before = scene.place.seen()
    pooler = Pooler(socket_of(postgres_server), by_transaction=by_transaction)
    try:
        reach(scene, host="127.0.0.1", port=pooler.port)
        params = scene.load_params(scene.staged(), replace=True)
        with pytest.raises(StepFailure) as caught:
            run("load", attempt(scene.home, "load", params, 1))
        extract = k.ExtractParams(source=scene.located(), staging=scene.staging)
        with pytest.raises(StepFailure) as read:
            run("extract", attempt(scene.home, "extract", extract, 1))
        url = f"postgresql://{scene.place.datastore.postgresql.user}@127.0.0.1:{pooler.port}/{SHARED}"
        with pytest.raises(StepFailure) as inspected:
            inspect(url)
    finally:
        pooler.close()
    for failure, shown in ((caught, "destination datastore"), (read, "source datastore"), (inspected, "datastore")):
        assert (failure.value.code, failure.value.retryable) == ("pooler", False)
        assert failure.value.message.startswith(shown), failure.value.message
        assert "Name the host and port of the PostgreSQL server itself" in failure.value.hint
    assert scene.place.seen() == before


def test_settings_of_the_role_change_no_value(scene: Scene, postgres_server: PostgresServer) -> None:
    """Whatever a role begins its sessions with, text has one spelling and no limit of the server's ends the work."""
    settings = {
        "extra_float_digits": "-3",
        "datestyle": "German",
        "timezone": "Asia/Tokyo",
        "bytea_output": "escape",
        "statement_timeout": "1",
        "transaction_timeout": "60000",
        "idle_in_transaction_session_timeout": "1",
        "idle_session_timeout": "60000",
        "lock_timeout": "1",
        "search_path": "nowhere",
    }
    role = scene.place.datastore.postgresql.user
    with postgres_server.connect(SHARED) as admin:
        for name, value in settings.items():
            admin.execute(f"ALTER ROLE {role} IN DATABASE {SHARED} SET {name} = '{value}'".encode())
    try:
        place = translate.place(attempt(scene.home, "load", k.LoadParams(), 1), scene.place.datastore)
        assert isinstance(place, Told)
        with connected(place) as session:
            limits = "SELECT name FROM pg_settings WHERE name = ANY(?) AND setting <> '0'"
            names = ["statement_timeout", "transaction_timeout", "idle_session_timeout"]
            assert session.rows(limits, (names,)) == []
        batch = pa.RecordBatch.from_pydict({"id": [1], "real": [0.1 + 0.2]})
        run("load", attempt(scene.home, "load", scene.load_params(scene.staged([batch], COLUMNS)), 1))
        extract = k.ExtractParams(source=scene.located(COLUMNS), staging=scene.staging)
        result = k.ExtractResult.FromString(run("extract", attempt(scene.home, "extract", extract, 1)))
    finally:
        with postgres_server.connect(SHARED) as admin:
            admin.execute(f"ALTER ROLE {role} IN DATABASE {SHARED} RESET ALL".encode())
    assert result.output.digest == scene.staged([batch], COLUMNS).digest


def test_the_environment_has_no_say(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    services, passwords = tmp_path / "services", tmp_path / "passwords"
    services.write_text("[elsewhere]\nhost=/nowhere\n")
    passwords.write_text(f"*:*:*:*:{GUARDED_PASSWORD}\n")
    passwords.chmod(0o600)
    for name, value in {
        "PGSERVICEFILE": str(services),
        "PGSERVICE": "elsewhere",
        "PGHOSTADDR": "192.0.2.1",
        "PGOPTIONS": "-c extra_float_digits=-3 -c nonsense=1",
        "PGSSLMODE": "verify-full",
        "PGTARGETSESSIONATTRS": "standby",
        "PGREQUIREPEER": "nobody",
        "PGSSLNEGOTIATION": "direct",
    }.items():
        monkeypatch.setenv(name, value)
    looked_at(scene)
    # A password that lies somewhere on the host is none that the Datastore was given.
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    monkeypatch.setenv("PGPASSWORD", GUARDED_PASSWORD)
    assert refused(scene, user=GUARDED).code == "authentication_failed"


def test_a_private_authority_is_verified_in_full(scene: Scene, tmp_path: Path, listeners: Listeners) -> None:
    authority, stranger = PrivateAuthority(tmp_path / "ours"), PrivateAuthority(tmp_path / "theirs", "another CA")
    port = listeners(authority.sign("localhost"))
    ours: Changes = {"host": "localhost", "port": port, "sslmode": "verify-full", "sslrootcert": str(authority.path)}
    looked_at(scene, **ours)
    url = f"postgresql://{scene.place.datastore.postgresql.user}@localhost:{port}/{SHARED}"
    schema = scene.place.datastore.postgresql.schema
    place_of(scene).put_earlier()
    found = inspect(f"{url}?sslmode=verify-full&sslrootcert={authority.path}&schema={schema}").text
    assert 'object: "things"' in found
    wrong: list[tuple[Changes, str]] = [
        ({"host": "127.0.0.1"}, "does not match host name"),
        ({"sslrootcert": str(stranger.path)}, "certificate verify failed"),
        ({"sslrootcert": "system"}, "certificate"),
        ({"sslrootcert": ""}, "names no sslrootcert"),
        ({"sslrootcert": str(tmp_path / "missing.crt")}, "missing.crt"),
    ]
    for changes, said in wrong:
        failure = refused(scene, **{**ours, **changes})
        assert (failure.code, failure.retryable) == ("tls_failed", False), failure.message
        assert said in failure.message
        assert failure.message.startswith("source datastore 'elephant'")


def test_a_server_that_wants_a_certificate_is_shown_the_datastores(
    scene: Scene, tmp_path: Path, listeners: Listeners, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = PrivateAuthority(tmp_path / "ours")
    port, mover = listeners(authority.sign("localhost"), authority), authority.sign("mover")
    # What lies in the home directory is not for every server to see.
    home = tmp_path / "home" / ".postgresql"
    home.mkdir(parents=True)
    (home / "postgresql.crt").write_bytes(mover.certificate.read_bytes())
    (home / "postgresql.key").write_bytes(mover.key.read_bytes())
    (home / "postgresql.key").chmod(0o600)
    monkeypatch.setenv("HOME", str(home.parent))
    ours: Changes = {"host": "localhost", "port": port, "sslmode": "verify-full", "sslrootcert": str(authority.path)}
    assert refused(scene, **ours).code == "tls_failed"
    looked_at(scene, **ours, sslcert=str(mover.certificate), sslkey=str(mover.key))


def test_a_server_without_tls_is_refused_where_tls_is_demanded(scene: Scene, postgres_server: PostgresServer) -> None:
    pooler = Pooler(socket_of(postgres_server))
    try:
        failure = refused(scene, host="127.0.0.1", port=pooler.port, sslmode="require")
    finally:
        pooler.close()
    assert failure.code == "tls_failed"
    assert "sslmode" in failure.hint
