"""What a datastore's name may mean on this host.

A name alone would let whoever writes manifests point `warehouse` at another server and have the password sent there. So
a database on the network is allowed only by a table of its own, which says where it is, and which secrets it may be
given; files are bound by the policy's roots.
"""

import fnmatch
from dataclasses import dataclass

from agentd.datastores.engines import ENGINES
from agentd.datastores.port.engine import PlaceAsked

ANYTHING = "*"
# In place of the path of a certificate: those that the host trusts.
SYSTEM = "system"
# libpq's modes, weakest first: a datastore may be asked for with the named one or a stronger.
SSLMODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


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
    # Empty: any. None: the one where an engine's servers usually are.
    ports: tuple[int, ...] | None = None
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
        engine = ENGINES.get(asked.engine)
        if engine is None:
            return f"is {asked.engine!r}, and this agent has no such engine", "engine"
        if self.engine and asked.engine != self.engine:
            return f"is said to be {asked.engine}, and is {self.engine} here", "engine"
        if not engine.is_server:
            return None
        if not self.is_bound:
            return f"is {asked.engine} at {asked.host!r}, and this host does not say where it may be", "hosts"
        for key, value, allowed in (
            ("hosts", asked.host, self.hosts),
            ("databases", asked.database, self.databases),
            ("users", asked.user, self.users),
            ("schemas", asked.schema, self.schemas),
        ):
            if value not in allowed and ANYTHING not in allowed:
                return f"is asked for with {key[:-1]} {value!r}", key
        ports = (engine.port,) if self.ports is None else self.ports
        if ports and asked.port not in ports:
            return f"is asked for at port {asked.port}", "ports"
        if asked.sslmode not in SSLMODES or SSLMODES.index(asked.sslmode) < SSLMODES.index(self.sslmode):
            return f"is asked for with sslmode {asked.sslmode!r}, and at least {self.sslmode!r} is demanded", "sslmode"
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
