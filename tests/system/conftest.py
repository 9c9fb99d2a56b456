"""One Haulier for all tests of this folder that can share one; its every secret is a canary that can be looked for."""

import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.kit.world import PASSWORD_VARIABLE
from tests.system.scene import Scene, workflow

WRONG_VARIABLE = "HAULIER_TEST_WRONG_PASSWORD"


@dataclass(frozen=True, slots=True)
class Canaries:
    """Secret values that nothing else could contain, by what they are."""

    password: str  # of the role that agents use, through their environment
    wrong: str  # in the agents' environment too, and the password of nobody
    filed: str  # of another role, in a file that only its owner can read
    file: Path


def canary(name: str) -> str:
    """Return a secret that can be found again."""
    return f"canary-{name}-{secrets.token_hex(12)}"


@pytest.fixture(scope="session")
def canaries(tmp_path_factory: pytest.TempPathFactory) -> Canaries:
    """The secrets of the shared scene."""
    file = tmp_path_factory.mktemp("secrets") / "warehouse"
    found = Canaries(canary("environment"), canary("wrong"), canary("file"), file)
    file.write_text(found.filed + "\n")
    file.chmod(0o600)
    return found


@pytest.fixture(scope="session")
def scene(canaries: Canaries) -> Iterator[Scene]:
    """A risen scene with a PostgreSQL that asks for passwords, and an agent `alpha` that does the usual work.

    A second one, `holder`, runs only what asks for the label hold, and stops first loads before they publish.
    """
    with tempfile.TemporaryDirectory(prefix="haulier-system-") as root:
        found = Scene(Path(root))
        try:
            found.rise(password=canaries.password)
            with psycopg.connect(found.dsn()) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            _add_role(found, canaries.filed)
            found.guard_postgres()
            variables = [f"env:{name}" for name in (PASSWORD_VARIABLE, WRONG_VARIABLE, "NOT_SET")]
            policy = found.world.policy_text(*variables, f"file:{canaries.file}")
            environment = {WRONG_VARIABLE: canaries.wrong}
            found.add_agent("alpha", {"zone": "a"}, policy=policy, environment=environment)
            found.add_agent("holder", {"hold": "yes"}, policy=policy, stop_at="load:before_publish")
            found.await_agents()
            usual = {"zone": "a"}
            found.apply(
                workflow("copy", labels=usual, rest=usual),
                workflow("copy-transformed", labels=usual, rest=usual, transform=True),
                workflow("held", labels={"hold": "yes"}, rest=usual),
            )
            yield found
        finally:
            found.close()


def _add_role(scene: Scene, password: str) -> None:
    """Make a role `filed` that may do in the database what the usual one may."""
    place = scene.postgres
    admin = f"host={place['host']} port={place['port']} user=postgres dbname={place['database']}"
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE filed LOGIN PASSWORD '{password}'".encode())
        connection.execute(b"CREATE SCHEMA filed AUTHORIZATION filed")
