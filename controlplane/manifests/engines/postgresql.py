"""The engine PostgreSQL."""

from __future__ import annotations

from typing import Annotated, Literal

from haulier.v1 import kinds_pb2
from pydantic import AfterValidator, Field, model_validator

from controlplane.manifests.engines.engine import Engine, PlaceKey
from controlplane.manifests.engines.spec import (
    LOCK_WAIT,
    AbsolutePath,
    EngineSpec,
    PasswordRef,
    absolute,
    lock_wait_s,
)
from controlplane.manifests.kinds.model import Duration, Line, refusal

# PostgreSQL cuts longer identifiers off without a word, so two names could become one.
IDENTIFIER_BYTES_MAX = 63


def _host(value: str) -> str:
    if "@" in value or "://" in value or any(letter.isspace() for letter in value):
        raise refusal(
            "this must be a host name, an address, or the absolute directory of a unix socket, not a URL",
            "put port, database and user into their own fields, and the password behind passwordRef",
        )
    # An IPv6 address may stand in brackets, as in a URL; libpq wants none.
    return value[1:-1] if value.startswith("[") and value.endswith("]") else value


def _authorities(value: str) -> str:
    return value if value == "system" else absolute(value)


class PostgresqlSpec(EngineSpec):
    """One PostgreSQL database."""

    engine: Literal["postgresql"]
    host: Annotated[Line, AfterValidator(_host)] = Field(description="Host name, address, or socket directory.")
    port: Annotated[int, Field(strict=True, ge=1, le=65535)] = Field(default=5432, description="TCP port.")
    database: Line = Field(description="Database name.")
    user: Line = Field(description="Role to log in as.")
    password_ref: PasswordRef | None = Field(
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


def _store(spec: PostgresqlSpec) -> kinds_pb2.PostgresqlStore:
    return kinds_pb2.PostgresqlStore(
        host=spec.host,
        port=spec.port,
        database=spec.database,
        user=spec.user,
        password_ref=spec.password_ref or "",
        schema=spec.schema_,
        sslmode=spec.sslmode,
        lock_wait_s=lock_wait_s(spec.lock_wait),
        sslrootcert=spec.sslrootcert or "",
        sslcert=spec.sslcert or "",
        sslkey=spec.sslkey or "",
    )


def _place_key(spec: PostgresqlSpec, object_name: str) -> PlaceKey:
    schema, dot, table = object_name.rpartition(".")
    found = (schema if dot else spec.schema_, table)
    return ("postgresql", spec.host.lower(), str(spec.port), spec.database, *found)


def _misfit(name: str) -> str:
    if len(name.encode()) > IDENTIFIER_BYTES_MAX:
        return f"PostgreSQL cuts names off after {IDENTIFIER_BYTES_MAX} bytes"
    return ""


POSTGRESQL = Engine(
    name="postgresql",
    title="PostgreSQL databases",
    spec=PostgresqlSpec,
    store=_store,
    place_key=_place_key,
    misfit=_misfit,
)
