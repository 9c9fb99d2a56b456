"""What PostgreSQL's codes and libpq's words mean for a step: above all, whether it met an outage."""

import psycopg
import pytest
from psycopg import errors

from agentd.datastores.port.failures import StepFailure
from agentd.datastores.postgresql.failures import naming_errors, not_connected
from agentd.datastores.postgresql.place import PostgresqlPlace

PLACE = PostgresqlPlace("shop", "db.example.com", 5432, "shop", "mover", "hunter2", side="source")


def named(state: str, said: str = "the server's words") -> StepFailure:
    with pytest.raises(StepFailure) as caught, naming_errors(PLACE):
        raise errors.lookup(state)(said)
    return caught.value


@pytest.mark.parametrize("state", ["57P01", "57P02", "57P03", "53300", "08006", "08003"])
def test_what_a_restart_or_a_full_server_says_is_an_outage(state: str) -> None:
    failure = named(state)
    assert failure.unreachable
    assert failure.retryable
    assert failure.message == "source datastore 'shop' (PostgreSQL): the server's words"


def test_a_connection_that_is_simply_gone_is_an_outage() -> None:
    with pytest.raises(StepFailure) as caught, naming_errors(PLACE):
        raise psycopg.OperationalError("server closed the connection unexpectedly")
    assert (caught.value.code, caught.value.unreachable) == ("connection_lost", True)


@pytest.mark.parametrize(
    ("state", "setting"),
    [
        ("57P05", "idle_session_timeout"),
        ("25P03", "idle_in_transaction_session_timeout"),
        ("25P04", "transaction_timeout"),
        ("53400", "temp_file_limit"),
    ],
)
def test_a_limit_of_the_server_is_named_with_its_remedy(state: str, setting: str) -> None:
    failure = named(state)
    assert (failure.code, failure.unreachable) == ("server_setting", False)
    assert setting in failure.hint
    assert "ALTER ROLE" in failure.hint


@pytest.mark.parametrize("state", ["22P02", "22021", "23514", "44000", "P0001"])
def test_words_that_may_quote_a_value_stay_on_the_host(state: str) -> None:
    failure = named(state, "invalid input syntax for type integer: Zebra")
    assert "Zebra" not in str(failure)
    assert state in failure.message


@pytest.mark.parametrize(
    ("said", "code", "is_outage"),
    [
        ('connection to server at "db", port 1 failed: Connection refused', "unreachable", True),
        ('could not translate host name "db" to address: Temporary failure in name resolution', "unreachable", True),
        ("connection timeout expired", "unreachable", True),
        ("FATAL: the database system is starting up", "unreachable", True),
        ("FATAL: the database system is shutting down", "unreachable", True),
        ("FATAL: the database system is not yet accepting connections", "unreachable", True),
        ("FATAL: sorry, too many clients already", "too_many_connections", True),
        ('FATAL: too many connections for role "mover"', "too_many_connections", True),
        ("FATAL: remaining connection slots are reserved for roles with SUPERUSER", "too_many_connections", True),
        ('FATAL: password authentication failed for user "mover"', "authentication_failed", False),
        ('FATAL: database "shop" does not exist', "not_found", False),
        ("FATAL: unsupported startup parameter: options", "pooler", False),
        ('connection to server at "db", port 1 failed: SSL error: certificate verify failed', "tls_failed", False),
        ('connection to server at "ssl.certificate", port 1 failed: Connection refused', "unreachable", True),
        ("SSL SYSCALL error: EOF detected", "unreachable", True),
    ],
)
def test_a_refused_connection_is_told_apart_by_its_words(said: str, code: str, is_outage: bool) -> None:
    failure = not_connected(psycopg.OperationalError(f"connection failed: {said} hunter2"), PLACE)
    assert (failure.code, failure.unreachable) == (code, is_outage)
    assert "hunter2" not in str(failure)
    assert failure.message.startswith("source datastore 'shop': no connection to PostgreSQL at db.example.com:5432")
