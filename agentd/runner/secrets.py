"""Secrets by reference: resolved in the child that needs them, and masked wherever text leaves it.

env:NAME           the daemon's environment (only names that the host's configuration or a reference lists)
file:/abs/path     a file that nobody but its owner can read; a trailing newline is not part of the secret
credential:NAME    a systemd credential, below $CREDENTIALS_DIRECTORY
"""

import os
import re
import stat
import urllib.parse
from collections.abc import Mapping
from pathlib import Path

MASK = "****"
_CREDENTIAL_NAME = re.compile(r"[A-Za-z0-9_.@-]+\Z")
# Blotting out every occurrence of a shorter value would garble the text and tell the value by what is
# missing.
_SECRET_CHARACTERS_MIN = 4
_SECRET_BYTES_MAX = 64 * 1024


class SecretUnavailable(Exception):
    """A reference leads nowhere. The message names the reference, never a value."""


class Secrets:
    """Resolves references and remembers every value, so that it can be masked."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._masked: list[str] = []

    def resolve(self, ref: str) -> str:
        """The value behind `ref`; the empty reference is the empty value. Raises SecretUnavailable."""
        if not ref:
            return ""
        scheme, _, rest = ref.partition(":")
        if scheme == "env":
            value = self._from_environment(ref, rest)
        elif scheme == "file":
            value = _from_file(ref, Path(rest))
        elif scheme == "credential":
            value = self._from_credential(ref, rest)
        else:
            raise SecretUnavailable(
                f"secret reference of an unknown sort ({len(ref)} characters): use env:, file: or credential:"
            )
        self._remember(value)
        return value

    def mask(self, text: str) -> str:
        """`text` with every value that was resolved so far blotted out."""
        for value in self._masked:
            text = text.replace(value, MASK)
        return text

    def _remember(self, value: str) -> None:
        quoted = urllib.parse.quote(value, safe="")
        forms = {value, quoted, urllib.parse.quote_plus(value), repr(value)[1:-1]}
        known = set(self._masked) | {form for form in forms if len(form) >= _SECRET_CHARACTERS_MIN}
        # Longest first: a value inside another must not leave the rest of it standing.
        self._masked = sorted(known, key=len, reverse=True)

    def _from_environment(self, ref: str, name: str) -> str:
        value = self._environment.get(name)
        if value is None:
            raise SecretUnavailable(f"secret {ref} is not set in the agent's environment on this host")
        return value

    def _from_credential(self, ref: str, name: str) -> str:
        directory = self._environment.get("CREDENTIALS_DIRECTORY")
        if not directory:
            raise SecretUnavailable(f"secret {ref} needs systemd credentials, which this agent was not given")
        if not _CREDENTIAL_NAME.match(name) or name in (".", ".."):
            raise SecretUnavailable(f"secret {ref} is not the name of a credential")
        return _read(ref, Path(directory) / name)


def _from_file(ref: str, path: Path) -> str:
    if not path.is_absolute():
        raise SecretUnavailable(f"secret {ref} must name an absolute path")
    try:
        found = path.stat()
    except OSError as error:
        raise SecretUnavailable(f"secret {ref} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):
        raise SecretUnavailable(f"secret {ref} is not a file")
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = oct(stat.S_IMODE(found.st_mode))
        raise SecretUnavailable(f"secret {ref} is open to others (mode {mode}): chmod 600 it")
    if found.st_uid not in (0, os.geteuid()):
        raise SecretUnavailable(f"secret {ref} belongs to another user")
    return _read(ref, path)


def _read(ref: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_SECRET_BYTES_MAX + 1)
    except OSError as error:
        raise SecretUnavailable(f"secret {ref} cannot be read: {error.strerror}") from error
    if len(data) > _SECRET_BYTES_MAX:
        raise SecretUnavailable(f"secret {ref} is longer than {_SECRET_BYTES_MAX} bytes")
    try:
        return data.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise SecretUnavailable(f"secret {ref} is not UTF-8 text") from None
