"""Where a PostgreSQL datastore is, and how it is reached."""

from dataclasses import dataclass, field

from agentd.datastores.port.lock_wait import LOCK_WAIT_S

PORT = 5432
# In place of a path: the certificates that the host trusts.
SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class PostgresqlPlace:
    """One PostgreSQL database. `password` is the resolved secret and never shown. Whoever holds a table that is to be
    replaced is waited for at most `lock_wait_s` seconds.

    `sslrootcert` (or the word `system`), `sslcert` and `sslkey` are paths on this host. `side` says for messages which
    side of a migration this is: source, destination, or nothing where it is neither.
    """

    name: str
    host: str
    port: int
    database: str
    user: str
    password: str = field(default="", repr=False)
    schema: str = "public"
    sslmode: str = "prefer"
    sslrootcert: str = ""
    sslcert: str = ""
    sslkey: str = ""
    side: str = ""
    lock_wait_s: float = LOCK_WAIT_S

    @property
    def shown(self) -> str:
        """The datastore in messages, with its side where it has one."""
        return f"{self.side} datastore {self.name!r}".lstrip()
