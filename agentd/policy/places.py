"""What a datastore's name may mean on this host.

A name alone would let whoever writes manifests point `warehouse` at another server and have the password sent there. So
a database on the network is allowed only by a table of its own, which says where it is, and which secrets it may be
given; files are bound by the policy's roots.
"""

import fnmatch
from dataclasses import dataclass

ANYTHING = "*"
POSTGRESQL_PORT = 5432
# In place of the path of a certificate: those that the host trusts.
SYSTEM = "system"
# libpq's modes, weakest first: a datastore may be asked for with the named one or a stronger.
SSLMODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
FILE_ENGINES = ("csv", "parquet", "sqlite", "duckdb")
ENGINES = (*FILE_ENGINES, "postgresql")


@dataclass(frozen=True, slots=True)
class PlaceAsked:
    """A datastore as a step's parameters define it. `path` is set for engines of files, the rest for databases."""

    name: str
    engine: str
    path: str = ""
    host: str = ""
    port: int = POSTGRESQL_PORT
    database: str = ""
    user: str = ""
    schema: str = ""
    sslmode: str = ""
    secret: str = ""
    certificates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DatastoreRule:
    """What one name may mean. `is_bound` is False where the policy lists the name and says nothing more."""

    name: str
    is_bound: bool = False
    engine: str = ""
    access: str = "write"
    deletes: str = ""
    paths: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    # Empty: any.
    ports: tuple[int, ...] = (POSTGRESQL_PORT,)
    databases: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    schemas: tuple[str, ...] = (ANYTHING,)
    sslmode: str = SSLMODES[0]
    secrets: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()

    @property
    def table(self) -> str:
        """Name of its table in the policy file."""
        return f"[datastores.{self.name}]"

    def objection(self, asked: PlaceAsked) -> tuple[str, str] | None:
        """What is asked for and not allowed, and the key that could allow it; None where it is all right.

        Paths and secrets are not judged here: they are resolved first, and by whoever can resolve them.
        """
        if self.engine and asked.engine != self.engine:
            return f"is said to be {asked.engine}, and is {self.engine} here", "engine"
        if asked.engine in FILE_ENGINES:
            return None
        if not self.is_bound:
            return f"is {asked.engine} at {asked.host!r}, and this host does not say where it may be", "hosts"
        for key, value, allowed in (
            ("hosts", asked.host, self.hosts),
            ("databases", asked.database, self.databases),
            ("users", asked.user, self.users),
            ("schemas", asked.schema or "public", self.schemas),
        ):
            if value not in allowed and ANYTHING not in allowed:
                return f"is asked for with {key[:-1]} {value!r}", key
        if self.ports and asked.port not in self.ports:
            return f"is asked for at port {asked.port}", "ports"
        wanted = asked.sslmode or "prefer"
        if wanted not in SSLMODES or SSLMODES.index(wanted) < SSLMODES.index(self.sslmode):
            return f"is asked for with sslmode {wanted!r}, and at least {self.sslmode!r} is demanded", "sslmode"
        return None

    def shows(self, path: str) -> bool:
        """Whether this datastore may use the certificate, or the key, at a path; `system` are those the host trusts."""
        return self.is_bound and (matches(path, self.certificates) or (path == SYSTEM and not self.certificates))

    def gives(self, ref: str) -> bool:
        """Whether this datastore may be given the secret behind a reference."""
        return self.is_bound and matches(ref, self.secrets)


def matches(ref: str, patterns: tuple[str, ...]) -> bool:
    """Whether a path, or a reference to a secret, fits one of the patterns, without climbing out of any."""
    return ".." not in ref.split("/") and any(fnmatch.fnmatchcase(ref, pattern) for pattern in patterns)
