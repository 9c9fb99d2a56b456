"""A PostgreSQL URL as a place. Every part of it counts; what Haulier cannot use is refused by name."""

from urllib.parse import parse_qsl, unquote, urlsplit

from agentd.datastores.port.failures import StepFailure
from agentd.datastores.postgresql.place import PORT, PostgresqlPlace

_TEXTS = {"dbname": "database", "user": "user", "schema": "schema"}
_TEXTS |= {name: name for name in ("host", "sslmode", "sslrootcert", "sslcert", "sslkey")}


def postgresql_place(url: str, name: str, password: str = "") -> PostgresqlPlace:
    """The place that a URL names. As with libpq, what stands behind the `?` goes before what stands in front of it.

    Raises StepFailure (bad_params) for a password, which every user of the host could read, for several hosts, and for
    a parameter that Haulier does not use.
    """
    parts = urlsplit(url)
    if parts.password is not None:
        raise _bad("it holds a password, which everybody on this host could read", "set PGPASSWORD instead")
    if "," in parts.netloc:
        raise _bad("it names several hosts", "name the one to look at")
    try:
        port = str(parts.port or PORT)
    except ValueError:
        raise _bad("its port is not a number", "mend it") from None
    found = {
        "host": unquote(parts.hostname or "localhost"),
        "port": port,
        "database": unquote(parts.path.lstrip("/")) or "postgres",
        "user": unquote(parts.username or "") or "postgres",
    }
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if key == "password":
            raise _bad("it holds a password, which everybody on this host could read", "set PGPASSWORD instead")
        if key != "port" and key not in _TEXTS:
            known = ", ".join(sorted(["port", *_TEXTS]))
            raise _bad(f"its parameter {key!r} is not one that Haulier uses", f"remove it; known are {known}")
        found[_TEXTS.get(key, key)] = value
    if not found["port"].isdecimal() or not 0 < int(found["port"]) < 65536:
        raise _bad("its port is not a number from 1 to 65535", "mend it")
    numbers = {"port": int(found.pop("port"))}
    return PostgresqlPlace(name, **found, **numbers, password=password)  # type: ignore[arg-type]


def _bad(what: str, mend: str) -> StepFailure:
    return StepFailure("bad_params", f"the URL cannot be used: {what}", f"{mend[0].upper()}{mend[1:]}.")
