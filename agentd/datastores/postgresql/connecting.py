"""How every connection to PostgreSQL is made: from the Datastore alone, with settings that are seen to hold.

Nothing else of the host has a say: no variable of libpq's (`PGOPTIONS`, `PGSSLMODE`, `PGHOSTADDR`, …), no file of
passwords or services, no certificate in a home directory. After connecting it is asked back whether this is one session
of the server's, with our settings in it. A pooler that shares sessions answers otherwise, and is refused: through it
text would have another spelling, waits no bound, and ending "our" session would end somebody else's.
"""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from agentd.datastores.port.failures import StepFailure
from agentd.datastores.postgresql.failures import naming_errors, not_connected, pooler_seen
from agentd.datastores.postgresql.place import SYSTEM, PostgresqlPlace

APPLICATION = "haulier"
CONNECT_S = 10
LOCK_S = 20.0
IDLE_IN_TRANSACTION_S = 60.0

# Text that crosses this connection has one spelling per value only under these settings, and a wait its bound. Values
# are spelled as pg_settings shows them. A limit on the work itself is the control plane's (timeouts of the step).
_SETTINGS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    "search_path": "pg_catalog",
    "lock_timeout": str(int(LOCK_S * 1000)),
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": str(int(IDLE_IN_TRANSACTION_S * 1000)),
    "synchronous_commit": "on",
    # Rows that a policy hides make a statement fail, instead of being missing from its answer.
    "row_security": "off",
}
# Settings that older servers do not know, with the first version that does.
_NEWER_SETTINGS = {"idle_session_timeout": ("0", 140_000), "transaction_timeout": ("0", 170_000)}
_ENCODING = {"client_encoding": "UTF8"}

# Where distributions keep the certificates that the host trusts; the library's own default is that of its builder.
_SYSTEM_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
_NO_FILE = "/dev/null/none"


def open_connection(place: PostgresqlPlace, attempt_id: str = "") -> psycopg.Connection[Any]:
    """An autocommit connection named after the attempt. Raises StepFailure where it cannot be had, or is pooled."""
    parameters = _parameters(place, attempt_id)
    try:
        with _own_words_only():
            connection = psycopg.connect(**parameters, autocommit=True)
    except psycopg.Error as err:
        raise not_connected(err, place) from None
    try:
        with naming_errors(place):
            _settle(connection, place)
    except BaseException:
        connection.close()
        raise
    return connection


def application(attempt_id: str) -> str:
    """The name under which the server lists an attempt's connections."""
    return f"{APPLICATION}/{attempt_id}"[:63]


def _parameters(place: PostgresqlPlace, attempt_id: str) -> dict[str, Any]:
    return {
        "host": place.host,
        "port": place.port,
        "dbname": place.database,
        "user": place.user,
        "password": place.password or None,
        "passfile": _NO_FILE,
        "sslmode": place.sslmode,
        "sslrootcert": _authorities(place),
        "sslcert": place.sslcert or None,
        "sslkey": place.sslkey or None,
        # Otherwise a certificate that lies in the home directory would be shown to every server.
        "sslcertmode": "allow" if place.sslcert else "disable",
        "application_name": application(attempt_id),
        "client_encoding": "UTF8",
        "connect_timeout": CONNECT_S,
        "keepalives_idle": 15,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        # Given with the first message, so that no setting of the role's can end the session before ours hold.
        "options": " ".join(f"-c {name}={value.replace(' ', '')}" for name, value in _SETTINGS.items()),
    }


def _authorities(place: PostgresqlPlace) -> str:
    """The file of certificates that the server's must lead to."""
    if place.sslrootcert and place.sslrootcert != SYSTEM:
        return place.sslrootcert
    if not place.sslmode.startswith("verify-"):
        return _NO_FILE
    if not place.sslrootcert:
        raise StepFailure(
            "tls_failed",
            f"{place.shown}: sslmode {place.sslmode} must know whom to trust, and the Datastore names no sslrootcert",
            "Set sslrootcert to the CA's file on this host, or to `system` for the certificates that the host trusts.",
        )
    default = ssl.get_default_verify_paths().cafile
    found = next((path for path in (default, *_SYSTEM_BUNDLES) if path and Path(path).is_file()), None)
    if found is None:
        raise StepFailure(
            "tls_failed",
            f"{place.shown}: sslrootcert is `system`, and this host has no file of trusted certificates",
            "Install ca-certificates on the host, or name the CA's file in sslrootcert.",
        )
    return found


@contextmanager
def _own_words_only() -> Iterator[None]:
    """Without the environment variables that libpq would fill gaps from; what is not named here is its own default."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PG")}
    try:
        yield
    finally:
        os.environ.update(kept)


def _settle(connection: psycopg.Connection[Any], place: PostgresqlPlace) -> None:
    """Set what older servers would have refused with the first message, then see that all of it holds."""
    wanted = _SETTINGS | _ENCODING
    newer = {name: value for name, (value, since) in _NEWER_SETTINGS.items() if connection.info.server_version >= since}
    if newer:
        calls = ", ".join("pg_catalog.set_config(%s, %s, false)" for _ in newer)
        connection.execute(f"SELECT {calls}".encode(), [word for pair in newer.items() for word in pair])
        wanted |= newer
    (pid,) = connection.execute("SELECT pg_catalog.pg_backend_pid()").fetchall()[0]
    if pid != connection.info.backend_pid:
        raise pooler_seen(
            place, f"it answers from server process {pid}, and the connection was given {connection.info.backend_pid}"
        )
    asked = "SELECT name, setting FROM pg_catalog.pg_settings WHERE name = ANY(%s)"
    found = {str(name): str(value) for name, value in connection.execute(asked, (list(wanted),)).fetchall()}
    for name, value in wanted.items():
        if found.get(name) != value:
            raise pooler_seen(place, f"the session's {name} is {found.get(name)!r}, and {value!r} was set")
