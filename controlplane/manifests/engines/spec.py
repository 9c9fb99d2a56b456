"""What the specs of several engines share: fields, and the types of their values."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from controlplane.manifests.kinds.model import Line, Model, Placement, duration_s, refusal

_PASSWORD_REF_FORM = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:/[^\x00-\x1f]+|credential:[A-Za-z0-9._-]+")


def absolute(value: str) -> str:
    """Return a path of a host as it is; raises the refusal of one that is not absolute."""
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


AbsolutePath = Annotated[Line, AfterValidator(absolute)]
PasswordRef = Annotated[Line, AfterValidator(_password_ref)]


class EngineSpec(Model):
    """What every Datastore has, whatever its engine."""

    if TYPE_CHECKING:
        # Each engine says it itself, as the one text that it takes.
        engine: str

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


def lock_wait_s(text: str) -> int:
    """Write a bound on a wait in whole seconds, at least one."""
    return max(1, round(duration_s(text)))


class FilesSpec(EngineSpec):
    """What every Datastore of files has: who may read what Haulier makes there."""

    file_mode: Annotated[str, BeforeValidator(_file_mode)] | None = Field(
        default=None,
        description='Permission bits of files that Haulier makes, in quotes: "0640". Unset: 0640, staged parts 0600.',
    )
    group: Annotated[Line, AfterValidator(_group)] | None = Field(
        default=None, description="Group of files that Haulier makes, by its name on the host."
    )


def sharing(spec: FilesSpec) -> dict[str, str]:
    """Write who may read what is made there, as fields of a store's message."""
    return {"file_mode": spec.file_mode or "", "group": spec.group or ""}


def labels_of(spec: EngineSpec) -> list[str]:
    """Return which hosts hold a path: a path is one place only together with its host."""
    return [f"{key}={value}" for key, value in sorted(spec.placement.labels.items())]
