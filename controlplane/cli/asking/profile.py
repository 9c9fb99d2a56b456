"""The profile: which control plane to talk to, how to know it, and the token that lets us in."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from controlplane import durable
from controlplane.cli.asking import proxies
from controlplane.cli.asking.proxies import Proxy
from controlplane.cli.screen.exits import Exit
from controlplane.cli.screen.problems import Problem

VARIABLE = "HAULIER_PROFILE"
PROXY_VARIABLE = "HAULIER_PROXY"
_PROFILE_BYTES_MAX = 1 << 20
# Anything else could not travel in an HTTP/2 header, and grpc would print the whole header when it complains.
_TOKEN = re.compile(r"[\x21-\x7e]+")
_JOIN_PREFIX = "haulier-join."
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/]+):\d{1,5}")


@dataclass(frozen=True)
class Profile:
    """One control plane as an operator sees it."""

    path: str
    """File that it came from."""
    address: str
    """host:port of the public listener."""
    ca_pem: str
    """PEM certificate of the authority that signs the control plane."""
    token: str = field(repr=False)
    """Bearer token; never printed."""
    proxy: Proxy | None = field(default=None, repr=False)
    """Web proxy on the way to the control plane; None for a direct one."""

    @property
    def host(self) -> str:
        """The control plane's host, without brackets."""
        return self.address.rpartition(":")[0].strip("[]")


def find(given: str | None, environment: Mapping[str, str], home: Path) -> Path:
    """The profile's path: the given one, else from HAULIER_PROFILE, else below `home`."""
    if given:
        return Path(given)
    named = environment.get(VARIABLE)
    return Path(named) if named else home / ".config" / "haulier" / "profile.json"


def load(path: Path, proxy: str | None = None) -> Profile:
    """Reads and checks a profile; `proxy` replaces the one that it names, "" by none.

    Raises Problem when it is missing, open to others, or not a profile.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_PROFILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise Problem(
            "there is no profile",
            where=str(path),
            hint=f"`haulier-controlplane init` writes operator.json: name it with --profile or {VARIABLE}",
            code=Exit.NO_PROFILE,
        ) from None
    except OSError as error:
        raise Problem(
            f"the profile cannot be read: {error.strerror}",
            where=str(path),
            hint="check the path and its permissions",
            code=Exit.NO_PROFILE,
        ) from None
    if stat.S_ISREG(mode) and mode & 0o077:
        raise Problem(
            "the profile holds a token and other users may read or change it",
            where=str(path),
            hint=f"chmod 600 {path}",
            code=Exit.NO_PROFILE,
        )
    return _parse(path, content, proxy)


def believe(profile: Profile, bundle_pem: str) -> bool:
    """Write the profile anew with these authorities; tell whether that changed it. Raises Problem."""
    if profile.ca_pem.split() == bundle_pem.split():
        return False
    document = json.loads(Path(profile.path).read_bytes())
    path = Path(profile.path)
    try:
        durable.replace(path, _encoded({**document, "ca_pem": bundle_pem}))
    except OSError as error:
        raise _unwritable(path, error) from None
    return True


def save(path: Path, *, address: str, ca_pem: str, token: str) -> None:
    """Write a new profile, closed to others. Raises Problem, also when there is a file already."""
    try:
        durable.create(path, _encoded({"address": address, "ca_pem": ca_pem, "token": token}))
    except FileExistsError:
        raise Problem("the file exists already", where=str(path), hint="choose another name", code=Exit.USAGE) from None
    except OSError as error:
        raise _unwritable(path, error) from None


def _encoded(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, indent=1).encode("utf-8")


def _unwritable(path: Path, error: OSError) -> Problem:
    return Problem(
        f"the profile cannot be written: {error.strerror}",
        where=str(path),
        hint="choose a place that this user can write to",
        code=Exit.USAGE,
    )


def _parse(path: Path, content: bytes, proxy: str | None) -> Profile:
    try:
        document = json.loads(content)
    except ValueError:
        # The decoder's message would quote the file, and the file holds a token.
        raise _refusal(path, "the profile is not valid JSON") from None
    if not isinstance(document, dict):
        raise _refusal(path, "the profile is not a JSON object")
    values: dict[str, str] = {}
    for key in ("address", "ca_pem", "token"):
        value = document.get(key)
        if not isinstance(value, str) or not value:
            raise _refusal(path, f"the profile has no `{key}`")
        values[key] = value
    if not _ADDRESS.fullmatch(values["address"]):
        raise _refusal(path, "`address` in the profile is not host:port")
    if "-----BEGIN CERTIFICATE-----" not in values["ca_pem"] or not values["ca_pem"].isascii():
        raise _refusal(path, "`ca_pem` in the profile is not a PEM certificate")
    if values["token"].startswith(_JOIN_PREFIX):
        raise Problem(
            "`token` in the profile is a join token, which lets a host become an agent",
            where=str(path),
            hint="put an operator token there: an administrator makes one with `haulier operator create`",
            code=Exit.NO_PROFILE,
        )
    if not _TOKEN.fullmatch(values["token"]):
        raise _refusal(path, "`token` in the profile holds blanks or characters that no token has")
    return Profile(path=str(path), **values, proxy=_proxy(path, document.get("proxy", ""), proxy))


def _proxy(path: Path, told: object, instead: str | None) -> Proxy | None:
    try:
        if not isinstance(told, str):
            raise proxies.BadProxy("`proxy` must be text: http://HOST:PORT")
        return proxies.parse(told if instead is None else instead)
    except proxies.BadProxy as error:
        told_by_profile = instead is None
        where = str(path) if told_by_profile else PROXY_VARIABLE
        code = Exit.NO_PROFILE if told_by_profile else Exit.UNREACHABLE
        raise Problem(str(error), where=where, hint="mend it, or take it away", code=code) from None


def _refusal(path: Path, what: str) -> Problem:
    return Problem(
        what,
        where=str(path),
        hint="copy operator.json from the control plane again",
        code=Exit.NO_PROFILE,
    )
