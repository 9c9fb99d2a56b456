"""The Datastore kind: a named place that holds datasets, one model for each engine."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from controlplane.manifests.kinds.model import Duration, Line, Model, Placement, Text, refusal

_PASSWORD_REF_FORM = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:/[^\x00-\x1f]+|credential:[A-Za-z0-9._-]+")


def _absolute(value: str) -> str:
    path = PurePosixPath(value)
    if not path.is_absolute() or ".." in path.parts:
        raise refusal("this must be an absolute path on the host, without ..", "for example /srv/lake")
    return value


def _password_ref(value: str) -> str:
    # The value is never shown: it may well be the password itself.
    if not _PASSWORD_REF_FORM.fullmatch(value):
        raise refusal(
            "this must be a reference to a password, never the password",
            "write env:NAME, file:/absolute/path or credential:NAME; the host of the agent resolves it",
        )
    return value


def _host(value: str) -> str:
    if "@" in value or "://" in value or any(letter.isspace() for letter in value):
        raise refusal(
            "this must be a host name, an address, or the absolute directory of a unix socket, not a URL",
            "put port, database and user into their own fields, and the password behind passwordRef",
        )
    # An IPv6 address may stand in brackets, as in a URL; libpq wants none.
    return value[1:-1] if value.startswith("[") and value.endswith("]") else value


def _delimiter(value: str) -> str:
    if len(value) != 1 or value in '"\n\r\x00':
        raise refusal("the delimiter must be one character, and neither a quote nor a line break")
    return value


_FILE_MODE_FORM = re.compile(r"0?[0-7]{3}")
_GROUP_FORM = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?")


def _file_mode(value: object) -> str:
    text = str(value)
    if not _FILE_MODE_FORM.fullmatch(text):
        raise refusal(f"{text!r} is not a file mode", 'write three octal digits in quotes, such as "0640"')
    bits = int(text, 8)
    if bits & 0o600 != 0o600:
        raise refusal(f"{text!r} takes reading or writing from the agent's own user", 'begin with 6, such as "0640"')
    if bits & 0o111 or bits & 0o002:
        raise refusal(f"{text!r} lets data be executed, or be written by everybody", 'use "0640", "0660" or "0644"')
    return text


def _group(value: str) -> str:
    if not _GROUP_FORM.fullmatch(value):
        raise refusal(f"{value!r} is not the name of a group", "write the group's name as `getent group` shows it")
    return value


def _authorities(value: str) -> str:
    return value if value == "system" else _absolute(value)


AbsolutePath = Annotated[Line, AfterValidator(_absolute)]


class EngineSpec(Model):
    """What every Datastore has, whatever its engine."""

    concurrency_max: Annotated[int, Field(strict=True, ge=1, le=100_000)] | None = Field(
        default=None,
        description="Most steps that may touch this datastore at once. Unset means no limit of its own.",
    )
    migrations_max: Annotated[int, Field(strict=True, ge=1, le=100_000)] | None = Field(
        default=None,
        description="Most migrations from or to this datastore that may be under way at once. Unset means no limit.",
    )
    placement: Placement = Field(default=Placement(), description="Which agents reach this datastore.")


LOCK_WAIT = Field(
    default="15m", description="How long a writer waits for others to let go of the file or table that it replaces."
)


class FilesSpec(EngineSpec):
    """What every Datastore of files has: who may read what Haulier makes there."""

    file_mode: Annotated[str, BeforeValidator(_file_mode)] | None = Field(
        default=None,
        description='Permission bits of files that Haulier makes, in quotes: "0640". Unset: 0640, staged parts 0600.',
    )
    group: Annotated[Line, AfterValidator(_group)] | None = Field(
        default=None, description="Group of files that Haulier makes, by its name on the host."
    )


Delimiter = Annotated[str, AfterValidator(_delimiter)]


class CsvSpec(FilesSpec):
    """CSV files below one directory."""

    engine: Literal["csv"]
    root: AbsolutePath = Field(description="Absolute directory on the host.")
    delimiter: Delimiter = Field(default=",", description="Field separator.")
    null_text: Text = Field(default="", description="Text that stands for NULL in an unquoted field.")


class ParquetSpec(FilesSpec):
    """Parquet files below one directory."""

    engine: Literal["parquet"]
    root: AbsolutePath = Field(description="Absolute directory on the host.")


class SqliteSpec(FilesSpec):
    """One SQLite file."""

    engine: Literal["sqlite"]
    path: AbsolutePath = Field(description="Absolute path of the file on the host.")
    lock_wait: Duration = LOCK_WAIT


class DuckdbSpec(FilesSpec):
    """One DuckDB file."""

    engine: Literal["duckdb"]
    path: AbsolutePath = Field(description="Absolute path of the file on the host.")
    lock_wait: Duration = LOCK_WAIT


class PostgresqlSpec(EngineSpec):
    """One PostgreSQL database."""

    engine: Literal["postgresql"]
    host: Annotated[Line, AfterValidator(_host)] = Field(description="Host name, address, or socket directory.")
    port: Annotated[int, Field(strict=True, ge=1, le=65535)] = Field(default=5432, description="TCP port.")
    database: Line = Field(description="Database name.")
    user: Line = Field(description="Role to log in as.")
    password_ref: Annotated[Line, AfterValidator(_password_ref)] | None = Field(
        default=None, description="Reference to the password: env:NAME, file:/path or credential:NAME."
    )
    schema_: Annotated[Line, Field(alias="schema")] = Field(
        default="public", alias="schema", description="Schema of unqualified objects."
    )
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = Field(
        default="prefer", description="libpq sslmode."
    )
    lock_wait: Duration = LOCK_WAIT
    sslrootcert: Annotated[Line, AfterValidator(_authorities)] | None = Field(
        default=None,
        description="Absolute path on the host of the CA's certificates, or system for those that the host trusts.",
    )
    sslcert: AbsolutePath | None = Field(
        default=None, description="Absolute path on the host of the certificate that the role shows."
    )
    sslkey: AbsolutePath | None = Field(
        default=None, description="Absolute path on the host of that certificate's private key."
    )

    @model_validator(mode="after")
    def _certificates_agree(self) -> PostgresqlSpec:
        if self.sslmode.startswith("verify-") and self.sslrootcert is None:
            raise refusal(
                f"sslmode {self.sslmode} needs sslrootcert: whom to trust",
                "write the path of the CA's file on the host, or `system` for the certificates that the host trusts",
            )
        if (self.sslcert is None) != (self.sslkey is None):
            raise refusal("sslcert and sslkey belong together", "give both, or neither")
        return self


DatastoreSpec = CsvSpec | ParquetSpec | SqliteSpec | DuckdbSpec | PostgresqlSpec
ENGINES: dict[str, type[DatastoreSpec]] = {
    "csv": CsvSpec,
    "parquet": ParquetSpec,
    "sqlite": SqliteSpec,
    "duckdb": DuckdbSpec,
    "postgresql": PostgresqlSpec,
}
FILE_ENGINES = frozenset({"csv", "parquet"})
# Engines whose sources say too little about their types: such datasets declare their columns.
UNDECLARED_ENGINES = frozenset({"csv", "sqlite"})


# What makes a place one place: engine, where it is, and for files which hosts (placement labels) hold that path.
PlaceKey = tuple[str, ...]


def place_key(spec: DatastoreSpec, object_name: str) -> PlaceKey:
    """Return what identifies an object physically, so that two names of one place compare equal."""
    if isinstance(spec, PostgresqlSpec):
        schema, dot, table = object_name.rpartition(".")
        found = (schema if dot else spec.schema_, table)
        return (spec.engine, spec.host.lower(), str(spec.port), spec.database, *found)
    labels = [f"{key}={value}" for key, value in sorted(spec.placement.labels.items())]
    if isinstance(spec, SqliteSpec | DuckdbSpec):
        return (spec.engine, str(PurePosixPath(spec.path)), object_name.casefold(), *labels)
    # CSV and Parquet share a tree: one file cannot be both.
    return ("files", str(PurePosixPath(spec.root) / object_name), *labels)
