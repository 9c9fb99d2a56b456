"""PostgreSQL's errors as StepFailures: by SQLSTATE, with the side, the setting that is behind it, and what mends it.

The server's own words go along only where they speak of names and states. Where they may quote a value (classes 22, 23
and 44, and whatever a function raises) they stay here, and the class of the error is said instead.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import psycopg

from agentd.datastores.port.failures import StepFailure
from agentd.datastores.postgresql.place import PostgresqlPlace


class _Known(NamedTuple):
    """What a SQLSTATE means for a step."""

    code: str
    hint: str
    retryable: bool = False
    unreachable: bool = False


def _passing(hint: str) -> _Known:
    return _Known("unreachable", hint, unreachable=True)


def _setting(name: str) -> _Known:
    hint = f"Let the server keep {name} off for this role: ALTER ROLE … SET {name} = 0; then the step is tried again."
    return _Known("server_setting", f"The server's {name} ended the session. {hint}", retryable=True)


_TRIES_AGAIN = "Nothing to mend where the server comes back: the step is tried again by itself."
_VALUE = _Known("value_does_not_fit", "Mend the value at the source or in a transform; values are never shown.")

_BY_SQLSTATE = {
    "28P01": _Known("authentication_failed", "Check the Datastore's user and the secret its passwordRef names."),
    "28000": _Known("authentication_failed", "Check the Datastore's user and pg_hba.conf."),
    "3D000": _Known("not_found", "Create the database or mend the Datastore."),
    "42501": _Known("permission_denied", "Grant the role what it lacks."),
    "42P01": _Known("not_found", "Check the Dataset's object and the Datastore's schema."),
    "3F000": _Known("not_found", "Create the schema or mend the Datastore."),
    "23505": _Known("key_not_unique", "The declared key names more than one row; mend the Dataset's key."),
    "23502": _Known("value_does_not_fit", "A required or key column holds NULL."),
    "2BP01": _Known("has_dependents", "Drop or repoint what depends on the table."),
    "53100": _Known("disk_full", "Free space on the database's host, then retry.", retryable=True),
    "53200": _Known("out_of_memory", "The server ran out of memory; free some, or lower its load.", retryable=True),
    "53300": _Known(
        "too_many_connections",
        "Raise max_connections (or the CONNECTION LIMIT of the role or database), end idle sessions, or lower the "
        "Datastore's concurrencyMax; the step is tried again by itself.",
        unreachable=True,
    ),
    "53400": _Known(
        "server_setting", "A limit such as temp_file_limit was met; raise it for this role with ALTER ROLE … SET."
    ),
    "55P03": _Known("busy", "Another session holds the table; see pg_locks.", retryable=True),
    "57014": _Known(
        "cancelled_by_server", "Somebody cancelled the statement with pg_cancel_backend; see who.", retryable=True
    ),
    "57P01": _passing(f"The server was restarted, or an administrator ended this session. {_TRIES_AGAIN}"),
    "57P02": _passing(f"One of the server's processes crashed, so it ended every session. {_TRIES_AGAIN}"),
    "57P03": _passing(f"The server is starting up or shutting down. {_TRIES_AGAIN}"),
    "57P04": _Known("not_found", "The database was dropped; create it or mend the Datastore."),
    "57P05": _setting("idle_session_timeout"),
    "25P03": _setting("idle_in_transaction_session_timeout"),
    "25P04": _setting("transaction_timeout"),
    "25006": _Known("read_only", "Name the primary in the Datastore, or lift default_transaction_read_only."),
    "40001": _Known("busy", "", retryable=True),
    "40P01": _Known("busy", "", retryable=True),
    "58030": _Known("disk_error", "The server's device reports errors; check it before retrying."),
}
_RECOVERY_CONFLICT = _Known(
    "recovery_conflict",
    "The standby cancelled the reading to apply changes of its primary: set hot_standby_feedback = on there, or raise "
    "max_standby_streaming_delay, or name the primary in the Datastore.",
    retryable=True,
)
_LOST = _Known("connection_lost", _TRIES_AGAIN, unreachable=True)
_UNKNOWN = _Known("engine_error", "")
# Nobody knows what the words of these quote: values of rows, as a rule.
_QUOTING_CLASSES = ("22", "23", "44", "P0")
_COPY_LINE = re.compile(r"COPY .*?, line (\d+)(?:, column ([^:]+))?")

POOLER_HINT = (
    "Name the host and port of the PostgreSQL server itself in the Datastore, not those of a pooler such as pgbouncer: "
    "Haulier needs one server session per connection, in which its settings hold and its locks are its own."
)


def _known(err: psycopg.Error) -> _Known:
    state = err.sqlstate or ""
    if not state:
        return _LOST if isinstance(err, psycopg.OperationalError) else _UNKNOWN
    if state == "40001" and "recovery" in (err.diag.message_primary or ""):
        return _RECOVERY_CONFLICT
    found = _BY_SQLSTATE.get(state)
    if found is not None:
        return found
    if state == "08P01":
        return _UNKNOWN
    by_class = {"08": _LOST, "22": _VALUE, "44": _VALUE}
    return by_class.get(state[:2], _UNKNOWN)


def said_by(err: psycopg.Error) -> str:
    """What the server says of an error on one line, without any value of a row that it may quote."""
    state = err.sqlstate or ""
    if state[:2] not in _QUOTING_CLASSES:
        return " ".join((err.diag.message_primary or str(err)).split())
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(err).__name__).lower()
    where = [f"table {err.diag.table_name!r}"] if err.diag.table_name else []
    where += [f"column {err.diag.column_name!r}"] if err.diag.column_name else []
    where += [f"constraint {err.diag.constraint_name!r}"] if err.diag.constraint_name else []
    copied = _COPY_LINE.match(err.diag.context or "")
    if copied is not None:
        where.append(f"row {copied[1]}" + (f", column {copied[2]!r}" if copied[2] else ""))
    return f"the server refused a value ({name}, {state})" + (f": {', '.join(where)}" if where else "")


@contextmanager
def naming_errors(place: PostgresqlPlace) -> Iterator[None]:
    """Turn psycopg's errors into StepFailures without the password and without values, whatever the server echoes."""
    try:
        yield
    except psycopg.Error as err:
        said = _masked(said_by(err), place)
        if err.diag.source_function == _ROW_SECURITY_CHECK:
            raise _rows_hidden(place, said) from None
        known = _known(err)
        message = f"{place.shown} (PostgreSQL): {said}"
        raise _failure(known, message) from None


# The server's own name for where it refuses: its code is that of any missing privilege, and its words are translated.
_ROW_SECURITY_CHECK = "check_enable_rls"


def _rows_hidden(place: PostgresqlPlace, said: str) -> StepFailure:
    return StepFailure(
        "rows_hidden",
        f"{place.shown} (PostgreSQL): row security may hide rows from role {place.user!r}: {said}",
        f'Let the role see every row: ALTER ROLE "{place.user}" BYPASSRLS (for a view: the role that owns it), or make '
        "it the owner of a table whose row security is not forced. Then retry.",
    )


def _failure(known: _Known, message: str) -> StepFailure:
    return StepFailure(known.code, message, known.hint, retryable=known.retryable, unreachable=known.unreachable)


def _masked(said: str, place: PostgresqlPlace) -> str:
    return said.replace(place.password, "***") if place.password else said


# A connection that is refused carries no code, only the server's or libpq's words.
_REFUSALS = (
    ("too many", "53300"),
    ("remaining connection slots", "53300"),
    ("authentication failed", "28P01"),
    ("no password supplied", "28P01"),
    ("no pg_hba.conf entry", "28000"),
    ("permission denied", "42501"),
    ("starting up", "57P03"),
    ("shutting down", "57P03"),
    ("not yet accepting connections", "57P03"),
    ("not accepting connections", "57P03"),
    ('role "', "28000"),
    ('database "', "3D000"),
)
_ADDRESS = re.compile(r'connection to server (at|on socket) "[^"]*"( \([^)]*\))?(, port \d+)? failed:')
_TLS_WORDS = ("SSL", "certificate", "private key", "sslrootcert", "sslcert", "sslmode")
_TLS = _Known(
    "tls_failed",
    "Check the Datastore's sslmode, sslrootcert, sslcert and sslkey, and the name in the server's certificate.",
)
_POOLER = _Known("pooler", POOLER_HINT)
_AWAY = _Known(
    "unreachable",
    "Check host, port and database, and that the server is up; it is tried again by itself.",
    unreachable=True,
)


def not_connected(err: psycopg.Error, place: PostgresqlPlace) -> StepFailure:
    """Failure of a connection that could not be had."""
    said = " ".join(str(err).split())
    where = f"{place.host}:{place.port} as {place.user!r}"
    message = f"{place.shown}: no connection to PostgreSQL at {where}: {_masked(said, place)}"
    # The server's name may hold any word: what libpq says after it is what counts.
    return _failure(_refusal(_ADDRESS.sub("", said)), message)


def _refusal(said: str) -> _Known:
    if "unsupported startup parameter" in said:
        return _POOLER
    state = next((state for words, state in _REFUSALS if words in said), "")
    if state:
        return _BY_SQLSTATE[state]
    is_tls = any(word in said for word in _TLS_WORDS)
    is_lost = "SSL SYSCALL" in said or "SSL connection has been closed" in said
    return _TLS if is_tls and not is_lost else _AWAY


def pooler_seen(place: PostgresqlPlace, sign: str) -> StepFailure:
    """Failure for a connection that does not lead to one session of the server; `sign` says how that was seen."""
    return _failure(_POOLER, f"{place.shown}: {place.host}:{place.port} is not PostgreSQL itself but a pooler: {sign}")
